//! Rows D1 to D3, D6, D9, D10, D13, D14.

use std::{fs, path::Path};

use cavalcade_tests::standin::{fleet::running, witness::Line};
use jiff::{Timestamp, ToSpan as _};

use super::stage::{API_MANAGERS, Demo, IDENTITY_SERVERS, item, text};

const DROPINS: &str = "repository/components/dropins";
const WEBAPPS: &str = "repository/deployment/server/webapps";

pub(super) fn set_up(demo: &Demo) {
    let key_manager = format!("{}/services/", demo.host("is-1").url(9443));
    for node in API_MANAGERS {
        let home = demo.new_home(node);
        assert_eq!(fs::read_to_string(home.join("bin/version.txt")).unwrap().trim(), "WSO2 API Manager v4.0.0", "D1 {node}");
        assert!(home.with_file_name(".wso2am-4.0.0.cavalcade.json").is_file(), "D1 {node}");
        let toml = demo.toml(node);
        for (table, database) in [("apim_db", "/am_db?"), ("shared_db", "/shared_db?")] {
            let url = text(&toml, &format!("database.{table}.url")).unwrap();
            assert!(url.contains(database), "D2 {node}: {url}");
            assert_eq!(text(&toml, &format!("database.{table}.username")), Some("wso2carbon"), "D2 {node}");
        }
        assert_eq!(text(&toml, "apim.key_manager.service_url"), Some(key_manager.as_str()), "D3 {node}");
        assert_eq!(text(&toml, "apim.key_manager.type"), Some("WSO2-IS"), "D3 {node}");
    }
    for (row, step) in [("D1", "unpack"), ("D2", "databases"), ("D3", "key-manager")] {
        assert_eq!(demo.nodes_of(row, step), API_MANAGERS, "{row}");
    }
    let omitted = demo.report["plan"]["omitted"].as_array().unwrap();
    let skipped: Vec<_> = omitted.iter().filter(|o| o["row"] == "D6" && o["why"] == "on-purpose").collect();
    let reasons: Vec<&str> = skipped.iter().filter_map(|o| o["reason"].as_str()).collect();
    assert!(reasons.len() == 2 && reasons[0].contains("upgrade-am-db") && reasons[1].contains("migrate-is"), "D6: {reasons:?}");
    let shown = |step: &str| demo.said.contains(&format!("D6 set-up-am/{step}"));
    assert!(shown("am-db-script") && shown("identity-migration"), "D6 stands in the plan that a person sees");
}

/// The launches of an API Manager's new home: its migrations and its normal starts.
fn launches(demo: &Demo, node: &str) -> (Vec<Line>, Vec<Line>) {
    let lines = demo.lines_of("launch", &demo.new_home(node));
    lines.into_iter().partition(|line| line.detail["args"].to_string().contains("-DmigrateFromVersion"))
}

pub(super) fn migrated_once(demo: &Demo) {
    assert_eq!(demo.nodes_of("D10", "migrate"), ["am-1"]);
    let home = demo.new_home("am-1");
    let (migrations, _) = launches(demo, "am-1");
    assert_eq!(migrations.len(), 1, "D10: once");
    assert_eq!(migrations[0].profile, "default", "D10: in the Default profile");
    let begun: Vec<Line> = demo.lines("migration-begin").into_iter().filter(|l| l.detail["migration"] == "api-manager").collect();
    assert_eq!((begun.len(), begun[0].detail["from"].as_str()), (1, Some("3.1.0")), "D10");
    let ended = demo.lines_of("migration-end", &home);
    assert!(ended.len() == 1 && ended[0].detail["ok"] == true, "D10: {ended:?}");
    assert_eq!(demo.sql("am_db", "SELECT COUNT(*) FROM AM_API WHERE API_UUID IS NULL"), "0", "D10");
    assert_ne!(demo.sql("am_db", "SELECT COUNT(*) FROM AM_REVISION"), "0", "D10");
    for node in API_MANAGERS {
        let left = demo.found(node, DROPINS, "org.wso2.carbon.apimgt.migrate.client-", ".jar");
        assert_eq!(left, Vec::<String>::new(), "D10 {node}");
        assert!(!demo.new_home(node).join("migration-resources").exists(), "D10 {node}");
    }
    assert_eq!(demo.lines("migration-destroyed"), [], "nothing was destroyed by a second run");
}

pub(super) fn profiles(demo: &Demo) {
    let mut set = demo.nodes_of("D13", "profile-setup");
    set.sort();
    assert_eq!(set, ["gw-1", "gw-2", "tm-1"], "D13");
    for (node, profile, kept) in [
        ("am-1", "default", vec!["api#am#gateway#v2.war", "api#am#publisher.war", "internal#data#v1.war"]),
        ("tm-1", "traffic-manager", vec!["internal#data#v1.war"]),
        ("gw-1", "gateway-worker", vec!["api#am#gateway#v2.war"]),
        ("gw-2", "gateway-worker", vec!["api#am#gateway#v2.war"]),
    ] {
        let webapps = demo.found(node, WEBAPPS, "", ".war");
        assert!(kept.iter().all(|name| webapps.iter().any(|w| w == name)), "D13 {node}: {webapps:?}");
        assert_eq!(webapps.iter().any(|w| w == "api#am#publisher.war"), profile == "default", "D13 {node}: {webapps:?}");
        let toml = demo.toml(node);
        assert_eq!(text(&toml, "server.server_role"), Some(profile), "D13 {node}");
        assert!(item(&toml, "database.apim_db").is_some(), "D13 {node}: the template did not replace the file");
        let backup = demo.new_home(node).join("repository/conf/deployment.toml.backup");
        assert!(!backup.exists(), "D13 {node}: with --skipConfigOptimization");
        let (_, started) = launches(demo, node);
        // The index of the portals is built by a start of its own (D12), in the Default profile.
        assert_eq!(started.len(), if node == "am-1" { 2 } else { 1 }, "D14 {node}");
        assert_eq!(started.last().unwrap().profile, profile, "D13 {node}");
    }
}

pub(super) async fn started_in_order(demo: &Demo) {
    let mut last = String::new();
    for node in ["am-1", "tm-1", "gw-1", "gw-2"] {
        let home = demo.new_home(node);
        let (_, started) = launches(demo, node);
        let started = started.last().unwrap();
        assert!(started.t > last, "D14: {node} starts when the one before it is ready");
        let ready = demo.lines_of("ready", &home);
        last = ready.iter().find(|line| line.launch == started.launch).unwrap().t.clone();
        assert_eq!(running(&home), i32::try_from(started.pid).ok(), "D14 {node}: it is up");
    }
    let all: Vec<Line> = API_MANAGERS.iter().flat_map(|node| demo.lines_of("launch", &demo.new_home(node))).collect();
    assert_eq!(all.len(), 6, "a migration, a start for the index, and four servers");
    for line in &all {
        identity_servers_were_ready(demo, line);
    }
    assert_eq!(demo.lines("started-without-is"), [], "D9");
    let (status, body) = demo.get("am-1", 9443, "/services/Version").await;
    assert!(status == 200 && body.contains("4.0.0"), "D14: {status} {body}");
}

/// D9 and promise 3: at each launch every Identity Server ran and was ready.
fn identity_servers_were_ready(demo: &Demo, launch: &Line) {
    for node in IDENTITY_SERVERS {
        let home = demo.new_home(node);
        let ready = demo.lines_of("ready", &home).into_iter().rfind(|line| line.t < launch.t);
        let ready = ready.unwrap_or_else(|| panic!("{node} was never ready before {launch:?}"));
        let gone = demo.lines_of("exit", &home).into_iter().any(|line| line.launch == ready.launch && line.t < launch.t);
        assert!(!gone, "D9: {node} was gone at the launch in {}", launch.home);
    }
    // And it was looked at within the minute before: the permit stands in the outcome.
    let at: Timestamp = launch.t.parse().unwrap();
    let home = Path::new(&launch.home);
    let node = home.parent().and_then(Path::file_name).unwrap().to_str().unwrap();
    let step = demo.steps().into_iter().find(|step| {
        step.node == node && step.began.is_some_and(|began| began <= at && at - 60.seconds() <= began) && is_launch(&step.name)
    });
    let outcome = demo.outcome(&step.unwrap_or_else(|| panic!("no step launched {launch:?}"))).to_string();
    for wanted in ["is-1 is ready", "is-2 is ready", "age of the permit at the launch"] {
        assert!(outcome.contains(wanted), "D9 {node}: {wanted} in {outcome}");
    }
}

fn is_launch(name: &str) -> bool {
    ["start", "migrate"].contains(&name)
}
