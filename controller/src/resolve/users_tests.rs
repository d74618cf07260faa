//! Where the users are: the database that the Identity Servers' migration works on, told by the realm alone.

use cavalcade_common::plan::Plan;
use serde_json::json;

use super::conditions::{apart, with_databases_apart};
use super::identity_only;
use super::tests::{RECIPE, plan_with};

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
    assert_eq!((made(None), made(Some("WSO2USER_DB"))), (vec!["user-schema".to_owned()], vec!["separate-user-schema".to_owned()]));
}
