//! Rows B1, B2, B4, B5.

use std::fs;

use cavalcade_tests::standin::{database::statements, fleet::running, packs};
use serde_json::Value;

use super::stage::{API_MANAGERS, Demo, IDENTITY_SERVERS};

pub(super) fn old_servers_down_and_backups(demo: &Demo) {
    let script = demo.row("B4").remove(0);
    for node in API_MANAGERS.iter().chain(&IDENTITY_SERVERS) {
        let home = demo.old_home(node);
        let (launched, exited) = (demo.lines_of("launch", &home), demo.lines_of("exit", &home));
        assert_eq!((launched.len(), exited.len()), (1, 1), "B1 {node}");
        assert!(exited[0].t < script.began.unwrap().to_string(), "B1 {node}: down before the script");
        assert_eq!(running(&home), None, "B1 {node}");
    }
    let mut proved: Vec<String> = demo.nodes_of("B1", "prove-down");
    proved.sort();
    assert_eq!(proved, ["am-1", "gw-1", "gw-2", "is-1", "is-2", "tm-1"], "B1");
    // API Managers go first: with their Key Manager gone they would fail.
    let last_am = API_MANAGERS.map(|node| demo.lines_of("exit", &demo.old_home(node)).remove(0).t).into_iter().max().unwrap();
    assert!(IDENTITY_SERVERS.iter().all(|node| demo.lines_of("exit", &demo.old_home(node))[0].t > last_am), "B1");

    for (step, database) in demo.row("B2").iter().zip(["am_db", "shared_db"]) {
        let evidence = demo.outcome(step)["evidence"].to_string();
        assert!(evidence.contains("restored once into the scratch database and equal"), "B2 {database}: {evidence}");
        let run = fs::read_dir(demo.path("backups").join(database)).unwrap().next().unwrap().unwrap().path();
        let folder = run.join(database);
        let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest["database"], database, "B2");
        assert!(fs::metadata(folder.join(manifest["dump"].as_str().unwrap())).unwrap().len() > 1000, "B2 {database}");
        assert_eq!(demo.sql(&format!("{database}_proof"), "SHOW TABLES"), "", "B2: the proof is cleared away");
        assert!(step.ended < script.began, "B2 {database}: before the script");
    }
    assert_eq!(demo.row("B2").len(), 2);
}

pub(super) fn upgraded_once(demo: &Demo) {
    assert_eq!(demo.nodes_of("B4", "am-db-script"), ["is-1"]);
    let ledger = demo.sql("am_db", "SHOW TABLES LIKE 'cavalcade%'");
    assert!(ledger.contains("cavalcade_incarnation") && ledger.contains("cavalcade_script"), "B4: {ledger}");
    let step = demo.row("B4").remove(0);
    let outcome = demo.outcome(&step)["evidence"].to_string();
    let count = statements(packs::AM_UPGRADE_SQL).len();
    assert!(count > 10 && outcome.contains(&count.to_string()), "B4: {count} statements; {outcome}");
    for table in ["AM_REVISION", "AM_KEY_MANAGER", "AM_SCOPE", "AM_DEPLOYMENT_REVISION_MAPPING", "AM_GATEWAY_ENVIRONMENT"] {
        assert_eq!(demo.sql("am_db", &format!("SHOW TABLES LIKE '{table}'")), table, "B4");
    }
    assert!(!demo.sql("am_db", "SHOW COLUMNS FROM AM_GW_API_DEPLOYMENTS LIKE 'VHOST'").is_empty(), "B5");
    let asserted = demo.row("B5").remove(0);
    assert_eq!(demo.outcome(&asserted)["evidence"].as_array().unwrap().len(), 14, "B5");
    assert!(asserted.began > step.ended, "B5 judges what B4 left");
}
