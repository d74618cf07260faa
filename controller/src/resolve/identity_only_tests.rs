//! Plans of the recipe for Identity Servers alone: no rule of the engine wants an API Manager.

use cavalcade_common::action::Action;
use cavalcade_common::id::Digest;
use cavalcade_common::plan::{OmittedWhy, PlanStage};
use serde_json::json;

use super::*;
use crate::{fleet, recipe};

pub(super) const FLEET: &str = include_str!("../../../deploy/examples/is-only.yaml");

fn facts() -> Value {
    let database = |name: &str| json!({ "type": "mysql", "url": format!("jdbc:mysql://db1.example.com:3306/{name}"), "driver": "com.mysql.cj.jdbc.Driver" });
    json!({
        "old": {
            "exists": true, "version": "5.10.0", "product": "wso2is", "offset": 0, "running": [], "autostart": [], "weak_key": false,
            "databases": { "identity_db": database("identity_db"), "shared_db": database("shared_db") },
            "files": { "bundles": [], "libraries": [], "webapps": [], "scripts": [], "configuration": [], "email": [], "pkcs12": [], "deployment": [] },
            "folders": { "webapps": [], "jaggery_apps": [] },
            "trees": { "tenants": { "files": 0, "bytes": 0, "names": [] }, "user_stores": { "files": 0, "bytes": 0, "names": [] } },
            "keystores": [], "settings": [],
            "values": {
                "cipher_transformation": null, "versioning_properties": "false", "versioning_comments": "false",
                "versioning_tags": "false", "versioning_ratings": "false",
            },
            "conf": {
                "vault": null, "realm": null, "encryption_provider": null, "encryption_type": null, "encryption_key": null, "keystore_name": null,
                "keystore_file": null, "keystore_alias": null, "internal_keystore": null, "keystore_key_password": null,
            },
        },
        "new": { "exists": false, "made_by_us": false, "version": null, "autostart": [] },
        "user_store": { "type": "read_write_ldap_unique_id" },
        "java": { "home": "/opt/java/jdk-11", "version": "11.0.20", "major": 11 },
        "disks": [{ "path": "/opt/wso2", "mount": "/", "free_bytes": 50u64 << 30, "fs": "ext4" }],
        "databases": { "identity_db": { "bytes": 1u64 << 30 }, "shared_db": { "bytes": 1u64 << 28 } },
        "problems": [],
    })
}

pub(super) fn plan_of(fleet: &str, recipe: &str, change: impl Fn(&mut Value)) -> Result<Plan, Faults> {
    let fleet = fleet::read(fleet.as_bytes(), "is-only.yaml")?;
    let recipe = recipe::read(recipe.as_bytes(), "recipe.yaml")?;
    let gathered_at: Timestamp = "2026-11-23T01:00:00Z".parse().expect("is an instant");
    let of_node = |node: &crate::fleet::FleetNode| {
        let mut value = facts();
        change(&mut value);
        (node.id.clone(), NodeFacts { value, gathered_at })
    };
    let facts = fleet.nodes.iter().map(of_node).collect();
    let artifacts = fleet.artifacts.iter().map(|(name, a)| {
        let file = a.file.rsplit('/').next().unwrap_or_default().to_owned();
        (name.clone(), ArtifactRef { name: name.clone(), sha256: Digest::of(name.as_bytes()), size: 400 << 20, file })
    });
    resolve(&Input {
        fleet: &fleet,
        recipe: &recipe,
        facts: &facts,
        asked: &BTreeMap::new(),
        shipped: &BTreeMap::new(),
        artifacts: &artifacts.collect(),
        plan_id: "plan-1",
        made_by: "alice",
        now: gathered_at,
    })
}

pub(super) fn text() -> &'static str {
    recipe::BUILT_IN.iter().find(|(name, _)| *name == "wso2-is-5.10.0-to-5.11.0").expect("is built in").1
}

fn sound(change: impl Fn(&mut Value)) -> Plan {
    plan_of(FLEET, text(), change).unwrap_or_else(|f| panic!("{f}"))
}

fn stage<'p>(plan: &'p Plan, id: &str) -> &'p PlanStage {
    plan.stages.iter().find(|s| s.id.as_str() == id).expect("is a stage")
}

fn has(plan: &Plan, id: &str, name: &str) -> bool {
    stage(plan, id).steps.iter().any(|s| s.name.as_str() == name)
}

/// The first fault of a plan that is refused.
fn refused(fleet: &str, recipe: &str) -> u16 {
    plan_of(fleet, recipe, |_| {}).expect_err("must be refused").0.remove(0).code.0
}

#[test]
fn two_identity_servers_make_a_plan() {
    let plan = sound(|_| {});
    let stages: Vec<&str> = plan.stages.iter().map(|s| s.id.as_str()).collect();
    let wanted = [
        "set-up",
        "stop-old",
        "copy-again",
        "back-up",
        "registry-versioning",
        "alone",
        "migrate",
        "schema",
        "start",
        "autostart-on",
        "verify",
    ];
    assert_eq!(stages, wanted);
    let migrate: Vec<&str> = stage(&plan, "migrate").steps.iter().map(|s| s.key.node.as_str()).collect();
    assert!(migrate.iter().all(|node| *node == "is-1"), "{migrate:?}");
    let jobs = plan.steps().filter_map(|(_, s)| match &s.action {
        Action::Job(job) => Some((job.databases.clone(), s.effect.clone())),
        _ => None,
    });
    let jobs: Vec<_> = jobs.collect();
    assert_eq!(jobs.len(), 1, "one migration");
    assert_eq!(jobs[0].0, ["identity_db", "shared_db"]);
    // No script of an API Manager ran before, so nothing is taken out of the client's configuration.
    let left_out = plan.omitted.iter().find(|o| o.step.as_str() == "client-migrators").expect("is shown");
    assert_eq!((left_out.why, left_out.row.as_deref()), (OmittedWhy::OnPurpose, Some("C11")));
    assert!(stage(&plan, "verify").verify && !has(&plan, "verify", "token"));
    assert!(plan.stages.iter().filter(|s| s.verify).flat_map(|s| &s.steps).all(|s| s.action.only_looks()));
}

#[test]
fn deployed_files_come_once_behind_the_stop_without_what_is_not_custom() {
    let path = "repository/deployment/server/eventpublishers/mail.xml";
    let plan = sound(|facts| {
        facts["old"]["files"]["deployment"] = json!([{ "path": path, "sha256": "cd".repeat(32), "bytes": 1 }]);
        // The person's answer: none is.
        facts["custom"] = json!({ "deployment": [] });
    });
    let copies = plan.steps().filter(|(_, s)| s.key.node.as_str() == "is-1" && s.name.as_str() == "deployment");
    let copies: Vec<_> = copies.filter_map(|(at, s)| Some((at.id.as_str(), copy_of(&s.action)?))).collect();
    let [(at, copy)] = copies.as_slice() else { panic!("once: {copies:?}") };
    assert_eq!((*at, copy.without.as_slice()), ("copy-again", &[path.to_owned()][..]));
}

fn copy_of(action: &Action) -> Option<&cavalcade_common::action::CopyFiles> {
    if let Action::Copy(copy) = action { Some(copy) } else { None }
}

#[test]
fn conditions_follow_the_facts() {
    let ldap = sound(|_| {});
    assert!(!has(&ldap, "set-up", "user-store-jdbc") && !has(&ldap, "registry-versioning", "versioning-script"));
    let jdbc = sound(|facts| facts["user_store"]["type"] = json!("database_unique_id"));
    let step = stage(&jdbc, "set-up").steps.iter().find(|s| s.name.as_str() == "user-store-jdbc").expect("is a step");
    let Action::Toml(edit) = &step.action else { panic!("is an edit") };
    assert_eq!(edit.set["user_store.type"], json!("database_unique_id"), "as it was");
    let symmetric = |facts: &mut Value| {
        facts["old"]["conf"]["encryption_provider"] = json!("org.wso2.carbon.crypto.provider.SymmetricKeyInternalCryptoProvider");
    };
    assert!(
        has(&sound(symmetric), "set-up", "encryption-key-is-the-old-one")
            && has(&sound(symmetric), "migrate", "client-symmetric")
    );
    let by_type = |facts: &mut Value| facts["old"]["conf"]["encryption_type"] = json!("symmetric");
    assert!(has(&sound(by_type), "set-up", "encryption-key-is-the-old-one"));
    let digest = "user_store.properties.PasswordDigest";
    let jdbc = sound(|facts| {
        facts["user_store"]["type"] = json!("database");
        facts["old"]["settings"] = json!([{ "key": digest, "change": "added", "hidden": false, "value": "SHA-512" }]);
    });
    let steps: Vec<&str> = stage(&jdbc, "set-up").steps.iter().map(|s| s.name.as_str()).collect();
    let at = |name: &str| steps.iter().position(|step| *step == name).expect("is a step");
    assert!(at("user-store-jdbc") < at("old-settings"), "{steps:?}");
    let versioned = |facts: &mut Value| facts["old"]["values"]["versioning_tags"] = json!("true");
    assert!(plan_of(FLEET, text(), versioned).is_err(), "the script is missing");
}

#[test]
fn what_changed_until_the_stop_comes_along_here_too() {
    let plan = sound(|facts| {
        facts["old"]["trees"]["tenants"]["files"] = json!(3);
        facts["old"]["files"]["email"] =
            json!([{ "path": "repository/conf/email/email-admin-config.xml", "sha256": "ab".repeat(32) }]);
    });
    let action = |id: &str, name: &str| {
        let mut steps = stage(&plan, id).steps.iter().filter(|s| s.key.node.as_str() == "is-2");
        steps.find(|s| s.name.as_str() == name).map(|s| s.action.clone())
    };
    for name in ["keystores", "email-templates"] {
        let first = action("set-up", name);
        assert!(matches!(first, Some(Action::Copy(_))) && first == action("copy-again", name), "{name}");
    }
    // Once: what somebody removes until the stop would come back with a copy of before.
    for name in ["deployment", "tenants"] {
        assert!(matches!(action("copy-again", name), Some(Action::Copy(_))) && action("set-up", name).is_none(), "{name}");
    }
    let order = |id: &str| plan.stages.iter().position(|s| s.id.as_str() == id).expect("is a stage");
    assert!(order("stop-old") < order("copy-again") && order("copy-again") < order("migrate"));
}

#[test]
fn a_configuration_registry_apart_is_one_on_the_new_servers_too() {
    let of = |fleet: &str| {
        plan_of(fleet, text(), |facts| {
            facts["old"]["databases"]["config"] = facts["old"]["databases"]["shared_db"].clone();
            facts["databases"]["config_db"] = json!({ "bytes": 1 });
        })
    };
    assert_eq!(of(FLEET).expect_err("the fleet file names none").0.remove(0).code, codes::REQUIREMENT);
    let config_db = "\ndatabases:\n  config_db:\n    engine: mysql\n    host: db1.example.com\n    name: conf_db\n    from: is-1\n    \
                     scratch: conf_db_proof\n    admin: { user: wso2_ddl, password: ddl_password }\n    \
                     server: { user: wso2carbon, password: server_password }\n";
    let plan = of(&FLEET.replacen("\ndatabases:\n", config_db, 1)).unwrap_or_else(|f| panic!("{f}"));
    assert!(has(&plan, "set-up", "config-database") && has(&plan, "alone", "config-db-alone"));
    let jobs = plan.steps().filter_map(|(_, s)| match &s.action {
        Action::Job(job) => Some(job.databases.clone()),
        _ => None,
    });
    assert_eq!(jobs.collect::<Vec<_>>(), [["identity_db", "shared_db", "config_db"]]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let with_am = format!(
        "{FLEET}  am-1:\n    role: api-manager\n    host: am-1.example.com\n    old: {{ home: /opt/wso2/wso2am-3.1.0 }}\n    \
         new: {{ home: /opt/wso2/wso2am-4.0.0 }}\n"
    );
    assert_eq!(refused(&with_am, text()), codes::REQUIREMENT.0);
    let migrate = "    on: values.migration_node\n    needs: [old-servers-down, nobody-in-databases]\n";
    assert!(text().contains(migrate));
    let unguarded = text().replacen(migrate, &migrate.replace("old-servers-down, ", ""), 1);
    assert_eq!(refused(FLEET, &unguarded), codes::NO_DOWN_BEFORE.0);
    let look = "server: { wait: \"{{ node.new.home }}\", within: \"{{ options.start_within }}\" }";
    assert!(text().contains(look));
    let acting = text().replacen(look, "server: { stop: \"{{ node.new.home }}\" }", 1);
    assert_eq!(refused(FLEET, &acting), codes::VERIFY_ACTS.0);
}
