//! Facts of homes as the packs look.

use cavalcade_common::plan::PlanNode;
use serde_json::{Value, json};

use super::gather;
use crate::action::testkit::{FileHost, Machine};

const TOML: &str = "[server]\nhostname = \"km.example\"\noffset = 1\n[user_store]\ntype = \"database_unique_id\"\n\
    [database.apim_db]\ntype = \"mysql\"\nurl = \"jdbc:mysql://db:3306/AM?a=b&amp;c=d\"\nusername = \"wso2\"\npassword = \"canary\"\n\
    driver = \"com.mysql.cj.jdbc.Driver\"\n";

fn node(machine: &Machine) -> PlanNode {
    let node = json!({
        "id": "is-1", "host": "h-1", "role": "identity-server",
        "old": { "home": machine.at("old") }, "new": { "home": machine.at("new") },
        "runtime": { "java_home": machine.at("jdk") },
    });
    serde_json::from_value(node).expect("a node")
}

fn facts(machine: &Machine) -> Value {
    gather(FileHost::new().as_ref(), &node(machine), &[machine.at("new"), machine.at("backups/x")])
}

#[test]
fn a_km_is_told_from_an_is_by_its_toml() {
    let machine = Machine::new();
    machine.write("old/bin/version.txt", b"WSO2 Identity Server v5.10.0\n");
    machine.write("old/bin/wso2carbon-version.txt", b"WSO2 Carbon v4.6.0");
    machine.write("old/repository/conf/deployment.toml", TOML.as_bytes());
    machine.write("jdk/release", b"IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"11.0.20\"\n");
    let facts = facts(&machine);
    let old = &facts["old"];
    assert_eq!(
        (&old["exists"], &old["product"], &old["version"], &old["kernel"]),
        (&json!(true), &json!("wso2is-km"), &json!("5.10.0"), &json!("4.6.0"))
    );
    assert_eq!((&old["offset"], &old["hostname"], &old["running"]), (&json!(1), &json!("km.example"), &json!([])));
    let db = json!({
        "type": "mysql", "url": "jdbc:mysql://db:3306/AM?a=b&amp;c=d", "username": "wso2",
        "driver": "com.mysql.cj.jdbc.Driver",
    });
    assert_eq!(old["databases"]["apim_db"], db, "the URL is kept as it is written");
    assert_eq!(facts["user_store"]["type"], json!("database_unique_id"));
    assert_eq!(facts["java"]["version"], json!("11.0.20"));
    assert_eq!(facts["new"]["exists"], json!(false));
    assert_eq!(facts["disks"].as_array().map(Vec::len), Some(2), "of paths that do not exist yet, too");
    assert!(facts["host"]["memory_bytes"].as_u64() > Some(0) && facts["host"]["now"].is_string());
    assert_eq!(facts["problems"], json!([]));
    assert!(!facts.to_string().contains("canary"));
    let plain = TOML.replace("apim_db", "identity_db");
    machine.write("old/repository/conf/deployment.toml", plain.as_bytes());
    assert_eq!(super::gather(FileHost::new().as_ref(), &node(&machine), &[])["old"]["product"], json!("wso2is"));
}

#[test]
fn a_missing_file_is_a_fact_and_an_unreadable_one_a_problem() {
    let machine = Machine::new();
    let nothing = facts(&machine);
    assert_eq!((&nothing["old"]["exists"], &nothing["problems"]), (&json!(false), &json!([])));
    machine.write("old/bin/version.txt", b"WSO2 API Manager v3.1.0");
    let bare = facts(&machine);
    assert_eq!((&bare["old"]["product"], &bare["user_store"]["type"]), (&json!("wso2am"), &Value::Null));
    assert_eq!((&bare["old"].get("databases"), &bare["problems"]), (&None, &json!([])));
    machine.write("old/repository/conf/deployment.toml", b"[database.x]\npassword = \"canary\" canary\n");
    machine.write("old/bin/wso2carbon-version.txt/a-folder", b"");
    let broken = facts(&machine);
    let problems = broken["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(broken["problems"].to_string().contains("line 2") && !broken.to_string().contains("canary"));
    assert_eq!(broken["old"].get("databases"), None, "missing, not false");
}
