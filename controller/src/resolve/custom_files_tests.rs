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
