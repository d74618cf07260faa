//! What start scripts stumble over does an upgrade no harm: a blank in the path of every home, a PID file that names a stranger,
//! CARBON_HOME in the agent's environment, and no JAVA_HOME there.

use std::{fs, path::Path, process::Command};

use cavalcade_tests::{
    standin::fleet::{self, Role, wait_until},
    upgrade::site::Wanted,
};
use serde_json::json;

use super::{site, standin_migration::PATIENCE};

#[test]
fn blanks_stale_pid_files_and_a_foreign_environment_do_no_harm() {
    let mut site = site(&Wanted {
        nodes: vec![("is-1", Role::Is, "default"), ("am-1", Role::Am, "default"), ("gw-1", Role::Am, "gateway-worker")],
        hosts: "the hosts",
        options: json!({ "apart": "1s" }),
        ..Wanted::default()
    });
    let old = site.layout.old_home(site.layout.node("am-1").unwrap());
    let mut stranger = Command::new("sleep").arg("36000").spawn().unwrap();
    fleet::stop(&old).unwrap();
    fs::write(old.join("wso2carbon.pid"), format!("{}\n", stranger.id())).unwrap();
    // The agents' environment: CARBON_HOME of another home, no JAVA_HOME.
    let other = site.layout.old_home(site.layout.node("is-1").unwrap());
    for host in site.hosts() {
        site.stop_agent(&host).unwrap();
        site.start_agent_with(&host, "CARBON_HOME", &other).unwrap();
    }
    site.wait("all agents are back", |status| status.hosts.iter().filter(|host| host.connected).count() == 3).unwrap();
    fs::write(old.join("tmp/kept"), "").unwrap();

    let digest = site.plan().unwrap();
    site.apply(&digest, &[]).unwrap();
    site.approve().unwrap();
    site.finish().unwrap();

    assert_eq!(stranger.try_wait().unwrap(), None, "the process that the PID file names goes on");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(old.join("tmp/kept").exists(), "no start reached the old home");
    for node in ["is-1", "am-1", "gw-1"] {
        let home = site.home(node).unwrap();
        assert!(home.display().to_string().contains("the hosts"));
        wait_until(PATIENCE, "the server", || fleet::running(&home).is_some()).unwrap();
    }
    let ready = site.witness("ready").unwrap();
    let new: Vec<&Path> =
        ready.iter().filter(|line| line.version != "3.1.0" && line.version != "5.10.0").map(|l| Path::new(&l.home)).collect();
    for node in ["is-1", "am-1", "gw-1"] {
        assert!(new.contains(&site.home(node).unwrap().as_path()), "{node} was started from its own home: {new:?}");
    }
    let webapps = site.home("gw-1").unwrap().join("repository/deployment/server/webapps");
    assert!(!webapps.join("api#am#publisher.war").exists(), "profileSetup.sh worked in the home that was meant");
}
