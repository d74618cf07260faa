//! A job outlives its agent and the controller: the same process, run once; its whole output and the record of its end
//! arrive. Servers too.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use cavalcade_tests::{
    standin::{fleet::running, witness::Line},
    test_program,
    upgrade::site::{Site, Wanted},
};
use serde_json::{Value, json};

use crate::site;

/// Another build of the agent: the same program in a file of other content at another path.
fn other_build(site: &Site) -> PathBuf {
    let program = site.path("agent-of-another-build");
    // Bytes behind the end of an ELF file mean nothing to it.
    let bytes = [fs::read(&site.programs.agent).unwrap().as_slice(), b"another build"].concat();
    test_program::write(&program, &bytes).unwrap();
    program
}

fn begun(site: &Site, home: &Path) -> Line {
    site.witnessed("migration-order", 1, |line| Path::new(&line.home) == home).unwrap();
    site.witnessed("migration-begin", 1, |line| Path::new(&line.home) == home).unwrap().remove(0)
}

/// The job of a step ran once, from its first line to its last, in the process that was there when its agent died.
fn whole(site: &Site, begun: &Line, stage: &str, node: &str) {
    let home = PathBuf::from(&begun.home);
    for what in ["migration-begin", "migration-end"] {
        let lines = site.witnessed(what, 1, |line| Path::new(&line.home) == home).unwrap();
        assert_eq!(lines.len(), 1, "{what}");
        assert_eq!((lines[0].pid, &lines[0].launch), (begun.pid, &begun.launch), "{what}");
    }
    let step = site.step(stage, "migrate", node).unwrap();
    assert_eq!((step.state.as_str(), step.attempt), ("succeeded", 1));
    assert!(step.began.is_some() && step.ended > step.began, "the record of its end: {step:?}");
    // What the shim kept is the whole output. The central log has the same lines in the same order: a killed agent may
    // repeat the last ones, and leaves none out.
    let kept = kept_output(site, node, &step.step);
    let central = central_log(site, node, &step.step);
    let ended = kept.iter().position(|line| line.contains("WSO2 Carbon started in")).unwrap();
    let unequal = central.iter().zip(&kept).position(|(a, b)| a != b).unwrap_or(central.len());
    let repeated = kept.iter().position(|line| Some(line) == central.get(unequal)).unwrap_or(kept.len());
    let joined: Vec<&String> =
        kept[..unequal].iter().chain(central[unequal..].iter().skip(unequal.saturating_sub(repeated))).collect();
    assert!(joined.len() > ended, "{} of {} lines came", joined.len(), ended + 1);
    assert_eq!(joined, kept.iter().take(joined.len()).collect::<Vec<_>>());
}

/// The lines of a step's output in the central log. A gap fails the test.
fn central_log(site: &Site, node: &str, step: &str) -> Vec<String> {
    let number = step.split('@').next().unwrap();
    let all = site.cavalcade_ok(&["logs", "--node", node, "--step", number, "--stream", "output", "--output", "jsonl"]).unwrap();
    let records: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records.iter().all(|record| record.get("gap").is_none_or(Value::is_null)), "{all}");
    records.iter().flat_map(|record| record["text"].as_str().unwrap().lines()).map(str::to_owned).collect()
}

/// The lines of the one attempt of a step, as the shim's file holds them.
fn kept_output(site: &Site, node: &str, step: &str) -> Vec<String> {
    let state = site.path("agents").join(node);
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(state) {
        let entry = entry.unwrap();
        let path = entry.path().to_string_lossy().into_owned();
        let of_step = path.contains(&format!("_{}_", step.replace('@', "_")));
        if entry.file_name() == "output" && of_step {
            found.push(entry.into_path());
        }
    }
    assert_eq!(found.len(), 1, "one attempt of {step}: {found:?}");
    fs::read_to_string(&found[0]).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_job_and_servers_outlive_agent_and_controller() {
    let standins = json!({ "start": 0.8, "migration": { "per_order": 1.0 } });
    let mut site = site(&Wanted { standins, ..Wanted::default() });
    let digest = site.plan().unwrap();
    site.apply(&digest, &[]).unwrap();
    site.approve().unwrap();

    // kill -9 of agent and controller while the Identity Server migrates.
    let identity = begun(&site, &site.home("is-1").unwrap());
    site.kill_agent("is-1").unwrap();
    site.kill_controller().unwrap();
    let orders = site.witness("migration-order").unwrap().len();
    site.witnessed("migration-order", orders + 3, |_| true).unwrap();
    assert_eq!(running(Path::new(&identity.home)), Some(i32::try_from(identity.pid).unwrap()));
    site.start_controller().unwrap();
    site.start_agent("is-1").unwrap();

    // While the API Manager migrates its agent is stopped, replaced by another build and started again.
    let other = other_build(&site);
    let manager = begun(&site, &site.home("am-1").unwrap());
    site.stop_agent("am-1").unwrap();
    let orders = site.witness("migration-order").unwrap().len();
    site.witnessed("migration-order", orders + 1, |_| true).unwrap();
    assert_eq!(running(Path::new(&manager.home)), Some(i32::try_from(manager.pid).unwrap()));
    site.start_agent_as("am-1", &other).unwrap();

    site.finish().unwrap();
    whole(&site, &identity, "migrate-is", "is-1");
    whole(&site, &manager, "migrate-am", "am-1");

    // Servers: killed agent, replaced agent, the same servers.
    let homes = ["is-1", "is-2", "am-1"].map(|node| site.home(node).unwrap());
    let servers = homes.clone().map(|home| running(&home).unwrap());
    site.kill_agent("is-1").unwrap();
    for host in ["is-2", "am-1"] {
        site.stop_agent(host).unwrap();
    }
    for host in ["is-1", "is-2", "am-1"] {
        site.start_agent_as(host, &other).unwrap();
    }
    site.wait("the new agents are connected", |status| status.hosts.iter().all(|host| host.connected)).unwrap();
    assert_eq!(homes.map(|home| running(&home).unwrap()), servers);
}
