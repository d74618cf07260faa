//! Where the users are: the database that the Identity Servers' migration works on, told by the realm alone.

use cavalcade_common::action::Action;
use cavalcade_common::plan::Plan;
use serde_json::json;

use super::conditions::{apart, with_databases_apart};
use super::identity_only;
use super::tests::{FLEET, RECIPE, plan_with};

/// The steps that look at the schema of the users.
fn looks(plan: &Plan, stage: &str) -> Vec<String> {
    let of_stage = plan.stages.iter().find(|s| s.id.as_str() == stage).expect("is a stage");
    let names = of_stage.steps.iter().map(|s| s.name.to_string());
    names.filter(|name| name.ends_with("user-schema")).collect()
}

#[test]
fn a_user_database_that_is_not_the_realms_is_not_looked_at() {
    let made = |realm: Option<&'static str>, of: &'static str| {
        let change = move |id: &str, facts: &mut serde_json::Value| {
            with_databases_apart(facts);
            if id.starts_with(of) {
                facts["old"]["conf"]["realm"] = json!(realm);
            }
        };
        plan_with(&apart("mysql"), RECIPE, change).unwrap_or_else(|f| panic!("{f}"))
    };
    let of_is = |realm| looks(&made(realm, "is"), "is-schema");
    assert_eq!(of_is(None), ["user-schema"], "the client migrates the shared database, though there is another one");
    assert_eq!(of_is(Some("SHARED_DB")), ["user-schema"]);
    assert_eq!(of_is(Some("WSO2USER_DB")), ["separate-user-schema"]);
    assert_eq!(looks(&made(Some("WSO2USER_DB"), "cp"), "is-schema"), ["user-schema"], "API Managers have no say in it");
}

const STORES: [&str; 2] = ["repository/deployment/server/userstores/P.xml", "repository/tenants/1/userstores/Q.xml"];

/// The nodes where somebody looks whether the migrated files are there, with the homes and the files.
fn carried(plan: &Plan) -> Vec<(String, Vec<String>)> {
    let stage = plan.stages.iter().find(|s| s.id.as_str() == "carry-user-stores");
    let steps = stage.iter().flat_map(|stage| &stage.steps);
    let told = steps.map(|step| match &step.action {
        Action::Command(line) => (step.key.node.to_string(), line.command[3..].to_vec()),
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[test]
fn a_person_brings_the_migrated_user_stores_to_the_other_identity_servers() {
    let made = |names: &'static [&'static str]| {
        let change = move |_: &str, facts: &mut serde_json::Value| {
            facts["old"]["trees"]["user_stores"] = json!({ "files": names.len(), "names": names });
        };
        plan_with(FLEET, RECIPE, change).unwrap_or_else(|f| panic!("{f}"))
    };
    let with = made(&STORES);
    let of = |name: &str| with.stages.iter().position(|s| s.id.as_str() == name).expect("is a stage");
    let wanted = ["/opt/wso2/wso2is-km-5.10.0", "/opt/wso2/wso2is-5.11.0", STORES[0], STORES[1]].map(str::to_owned);
    assert_eq!(carried(&with), [("is-2".to_owned(), wanted.to_vec())]);
    let gate = with.stages[of("carry-user-stores")].approval.as_ref().expect("a person says it");
    assert!(gate.says.contains("userstores") && gate.says.contains("eventpublishers"), "{}", gate.says);
    assert!(of("migrate-is") < of("carry-user-stores") && of("carry-user-stores") < of("start-is"));
    assert!(with.stages[of("start-is")].after.contains(&with.stages[of("carry-user-stores")].number), "nothing starts before");
    assert_eq!(carried(&made(&[])), []);
}

#[test]
fn the_same_holds_without_an_api_manager() {
    let user_db = "\ndatabases:\n  user_db:\n    engine: mysql\n    host: db1.example.com\n    name: um_db\n    from: is-1\n    \
                   scratch: um_db_proof\n    admin: { user: wso2_ddl, password: ddl_password }\n    \
                   server: { user: wso2carbon, password: server_password }\n";
    let fleet = identity_only::FLEET.replacen("\ndatabases:\n", user_db, 1);
    let made = |realm: Option<&'static str>| {
        let change = move |facts: &mut serde_json::Value| {
            facts["old"]["conf"]["realm"] = json!(realm);
            facts["old"]["databases"]["user"] = facts["old"]["databases"]["shared_db"].clone();
            facts["databases"]["user_db"] = json!({ "bytes": 1 });
        };
        let plan = identity_only::plan_of(&fleet, identity_only::text(), change).unwrap_or_else(|f| panic!("{f}"));
        looks(&plan, "schema")
    };
    let stores = |facts: &mut serde_json::Value| {
        facts["old"]["trees"]["user_stores"] = json!({ "files": 1, "names": [STORES[0]] });
    };
    let plan = identity_only::plan_of(identity_only::FLEET, identity_only::text(), stores).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(carried(&plan).iter().map(|(node, _)| node.as_str()).collect::<Vec<_>>(), ["is-2"]);
    assert_eq!(
        (made(None), made(Some("WSO2USER_DB"))),
        (vec!["user-schema".to_owned()], vec!["separate-user-schema".to_owned()])
    );
}
