//! Rows with a condition that the demos leave false: B6 (something would start an old server again) and D15 (the latest user
//! store is wanted), through a whole upgrade.

use std::fs;

use cavalcade_tests::{
    standin::fleet::{Role, running},
    upgrade::site::Wanted,
};
use serde_json::json;
use toml_edit::DocumentMut;

use crate::site;

#[test]
fn an_old_server_stays_off_and_the_latest_user_store_comes_last() {
    let machine = tempfile::tempdir().unwrap();
    let crontab = machine.path().join("etc/cron.d/wso2");
    let options = json!({ "apart": "1s", "autostart_root": machine.path(), "latest_user_store": true });
    let nodes = vec![("is-1", Role::Is, "default"), ("am-1", Role::Am, "default")];
    let site = site(&Wanted { nodes, options, ..Wanted::default() });
    let old = site.layout.old_home(site.layout.node("is-1").unwrap());
    let (starts, other) = (format!("@reboot root {}/bin/wso2server.sh start", old.display()), "17 * * * * root /bin/true");
    let next = format!("@reboot root {}/bin/wso2server.sh start", site.home("is-1").unwrap().display());
    fs::create_dir_all(crontab.parent().unwrap()).unwrap();
    fs::write(&crontab, format!("{starts}\n{other}\n{next}\n")).unwrap();

    let digest = site.plan().unwrap();
    site.apply(&digest, &["--until", "back-up"]).unwrap();
    site.wait("the backups are made", |status| {
        status.runs.first().is_some_and(|run| run.stages.iter().any(|stage| stage.id == "back-up" && stage.state == "done"))
    })
    .unwrap();
    let off = format!("#cavalcade# {starts}\n{other}\n#cavalcade# {next}\n");
    assert_eq!(fs::read_to_string(&crontab).unwrap(), off, "B6: neither starts by itself");
    site.apply(&digest, &[]).unwrap();
    site.approve().unwrap();
    site.finish().unwrap();

    let text = fs::read_to_string(&crontab).unwrap();
    assert_eq!(text, format!("#cavalcade# {starts}\n{other}\n{next}\n"), "B6: the new server starts by itself again");
    for node in ["is-1", "am-1"] {
        let home = site.home(node).unwrap();
        let toml: DocumentMut = fs::read_to_string(home.join("repository/conf/deployment.toml")).unwrap().parse().unwrap();
        assert_eq!(toml["user_store"]["type"].as_str(), Some("database_unique_id"), "D15 {node}");
        let read = site.witnessed("settings", 1, |line| line.home == home.display().to_string()).unwrap();
        let stores: Vec<_> = read.iter().map(|line| line.detail["user_store"].as_str().unwrap()).collect();
        let (last, before) = stores.split_last().unwrap();
        assert_eq!(*last, "database_unique_id", "D15 {node}: the last start read it");
        assert!(!before.is_empty() && before.iter().all(|store| *store == "database"), "C2, D7 {node}: {stores:?}");
        let pid = i32::try_from(read.last().unwrap().pid).unwrap();
        assert_eq!(running(&home), Some(pid), "D15 {node}: it is up");
    }
}
