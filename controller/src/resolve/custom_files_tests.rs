//! What comes along of what people changed, and what does not.

use cavalcade_common::action::{Action, TomlEdit};
use cavalcade_common::plan::{Fate, Plan};
use serde_json::{Value, json};

use super::tests::{FLEET, RECIPE, plan_knowing, plan_with, step};

#[test]
fn an_old_jdbc_driver_and_what_the_server_makes_itself_are_no_custom_files() {
    let shipped: crate::pack::Shipped = serde_json::from_value(json!({
        "schema": "cavalcade.pack/1", "root": "r", "settings": {},
        "files": { "repository/components/lib/shipped-1.0.jar": "cd".repeat(32) },
    }))
    .expect("is a list");
    let shipped = ["is_old_pack", "am_old_pack"].map(|name| (name.to_owned(), shipped.clone())).into();
    let file = |name: &str| json!({ "path": format!("repository/components/{name}.jar"), "sha256": "cd".repeat(32), "bytes": 1 });
    for (stage, node) in [("set-up-am", "cp-1"), ("set-up-is", "is-1")] {
        let plan = plan_knowing(FLEET, RECIPE, &shipped, |_, facts| {
            let libraries = ["lib/mysql-8.0", "lib/mysql-5.1-bin", "lib/own-1.0", "lib/shipped-1.0"].map(file);
            facts["old"]["files"]["libraries"] = json!(libraries);
            // A bundle for each library, remade at each start; a bundle of one's own whose name looks like one.
            let made = ["mysql_8.0", "mysql_5.1_bin", "own_1.0", "shipped_1.0", "com.example.audit"];
            facts["old"]["files"]["bundles"] = json!(made.map(|name| file(&format!("dropins/{name}_1.0.0"))));
            facts["old"]["driver_jars"] =
                json!(["mysql-8.0", "mysql-5.1-bin"].map(|n| format!("repository/components/lib/{n}.jar")));
        });
        let plan = plan.unwrap_or_else(|f| panic!("{f}"));
        let copied = |name: &str| match &step(&plan, stage, node, name).action {
            Action::Copy(copy) => copy.paths.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(copied("custom-libraries"), ["repository/components/lib/own-1.0.jar"], "{node}");
        assert_eq!(copied("custom-bundles"), ["repository/components/dropins/com.example.audit_1.0.0.jar"], "{node}");
    }
}

#[test]
fn own_headers_of_cors_get_those_that_the_new_version_adds() {
    let key = "apim.cors.allow_headers";
    let own = |headers: Value| {
        move |_: &str, facts: &mut Value| {
            facts["old"]["conf"]["cors_headers"] = headers.clone();
            facts["old"]["settings"] = json!([{ "key": key, "change": "changed", "hidden": false, "value": headers }]);
        }
    };
    let edits = |plan: &Plan, name: &str| -> Vec<TomlEdit> {
        let of = plan.steps().filter(|(_, s)| s.key.node.as_str() == "cp-1" && s.name.as_str() == name);
        of.filter_map(|(_, s)| if let Action::Toml(edit) = &s.action { Some(edit.clone()) } else { None }).collect()
    };
    let plan = |change: &dyn Fn(&str, &mut Value)| plan_with(FLEET, RECIPE, change).unwrap_or_else(|f| panic!("{f}"));
    for (old, new) in [
        (json!(["authorization", "X-Example"]), json!(["authorization", "X-Example", "Internal-Key"])),
        (json!(["Internal-Key", "X-Example"]), json!(["Internal-Key", "X-Example"])),
    ] {
        let plan = plan(&own(old));
        assert_eq!(edits(&plan, "cors-headers")[0].set[key], new);
        assert!(edits(&plan, "old-settings").is_empty(), "the other step has it");
        assert!(plan.settings.iter().any(|s| s.key == key && s.fate == Fate::Done), "and the table says so");
    }
    // A text in place of a list is carried as it is; without one the new version's own stay.
    let text = plan(&own(json!("authorization,X-Example")));
    assert!(edits(&text, "cors-headers").is_empty() && !edits(&text, "old-settings").is_empty());
    assert!(edits(&plan(&|_, _| {}), "cors-headers").is_empty());
}

const DEPLOYMENT: &str = "repository/deployment/server";

/// Facts of an Identity Server with one file of each kind in its deployment folder, and one Jaggery application of each.
fn deployed(_: &str, facts: &mut Value) {
    let file =
        |path: &str, digest: &str| json!({ "path": format!("{DEPLOYMENT}/{path}"), "sha256": digest.repeat(32), "bytes": 1 });
    facts["old"]["files"]["deployment"] = json!([
        file("eventpublishers/mail.xml", "ef"),
        file("eventstreams/mail.json", "cd"),
        file("userstores/PARTNERS.xml", "ab"),
    ]);
    facts["old"]["folders"]["jaggery_apps"] = json!([file("jaggeryapps/own", "ab"), file("jaggeryapps/portal", "ab")]);
}

fn copied(plan: &Plan, stage: &str) -> Vec<String> {
    match &step(plan, stage, "is-1", "deployment").action {
        Action::Copy(copy) => copy.without.clone(),
        other => panic!("{other:?}"),
    }
}

fn below(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| format!("{DEPLOYMENT}/{path}")).collect()
}

#[test]
fn what_the_old_pack_deployed_stays_out_and_what_was_changed_of_it_is_told() {
    let files = ["eventpublishers/mail.xml", "eventstreams/mail.json", "jaggeryapps/portal/jaggery.conf"];
    let files: serde_json::Map<String, Value> =
        files.map(|path| (format!("{DEPLOYMENT}/{path}"), json!("cd".repeat(32)))).into_iter().collect();
    let pack: crate::pack::Shipped =
        serde_json::from_value(json!({ "schema": "cavalcade.pack/1", "root": "r", "settings": {}, "files": files }))
            .expect("is a list");
    let shipped = ["is_old_pack", "am_old_pack"].map(|name| (name.to_owned(), pack.clone())).into();
    let told = |plan: &Plan| plan.remarks.iter().find(|r| r.contains("Deployed by the old pack")).cloned();
    let plan = plan_knowing(FLEET, RECIPE, &shipped, deployed).unwrap_or_else(|f| panic!("{f}"));
    let out = below(&["eventpublishers/mail.xml", "eventstreams/mail.json", "jaggeryapps/portal"]);
    assert_eq!(copied(&plan, "copy-again-is"), out);
    let says = told(&plan).expect("is told");
    assert!(says.contains("eventpublishers/mail.xml") && says.contains("jaggeryapps/portal"), "{says}");
    assert!(!says.contains("mail.json") && !says.contains("PARTNERS") && !says.contains("jaggeryapps/own"), "{says}");
    let as_shipped = plan_knowing(FLEET, RECIPE, &shipped, |_, facts| {
        facts["old"]["files"]["deployment"] =
            json!([{ "path": format!("{DEPLOYMENT}/eventstreams/mail.json"), "sha256": "cd".repeat(32), "bytes": 1 }]);
    });
    let as_shipped = as_shipped.unwrap_or_else(|f| panic!("{f}"));
    assert_eq!((copied(&as_shipped, "copy-again-is"), told(&as_shipped)), (below(&["eventstreams/mail.json"]), None));
}

#[test]
fn which_deployed_files_are_custom_is_asked_where_nobody_knows_the_pack() {
    let faults = plan_with(FLEET, RECIPE, deployed).expect_err("must be asked for").0;
    let of = |name: &str| faults.iter().find(|f| f.help.as_ref().is_some_and(|h| h.contains(name))).expect("is asked");
    for (name, candidates) in [
        ("deployment", below(&["eventpublishers/mail.xml", "userstores/PARTNERS.xml"])),
        ("jaggery_apps", below(&["jaggeryapps/own"])),
    ] {
        assert!(candidates.iter().all(|path| of(name).message.contains(path)), "{faults:?}");
    }
    let [store, app] = ["userstores/PARTNERS.xml", "jaggeryapps/own"].map(|path| format!("{DEPLOYMENT}/{path}"));
    let answers = format!("answers: {{ custom: {{ deployment: [{store}], jaggery_apps: [{app}] }} }}");
    let fleet = FLEET.replacen("answers: {}", &answers, 1);
    let plan = plan_with(&fleet, RECIPE, |id, facts| {
        if id == "is-1" {
            deployed(id, facts)
        }
    });
    let plan = plan.unwrap_or_else(|f| panic!("{f}"));
    let out = below(&["eventpublishers/mail.xml", "eventstreams/mail.json", "jaggeryapps/portal"]);
    assert_eq!(copied(&plan, "copy-again-is"), out, "all that was there and that nobody calls custom");
    let only = |kind: &'static str, name: &'static str| {
        plan_with(&fleet, RECIPE, move |id, facts| {
            let mut found = json!({ "old": { "files": {}, "folders": {} } });
            deployed(id, &mut found);
            if id == "is-1" {
                facts["old"][kind][name] = found["old"][kind][name].take();
            }
        })
    };
    for (kind, name) in [("files", "deployment"), ("folders", "jaggery_apps")] {
        assert!(only(kind, name).is_ok(), "the other list is empty: {name}");
    }
    // A list that could not be read is not taken for an empty one.
    let unread = plan_with(FLEET, RECIPE, |_, facts| facts["old"]["files"]["deployment"] = Value::Null);
    let unread = unread.expect_err("must be asked for").0;
    assert!(unread.iter().any(|f| f.help.as_ref().is_some_and(|h| h.contains("custom: { deployment:"))), "{unread:?}");
}
