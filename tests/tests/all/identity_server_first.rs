//! *IS first*: without every Identity Server no API Manager starts anywhere; the plan waits, says for what, and goes on.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::path::Path;

use cavalcade_tests::{
    standin::{
        fleet::{self, Role},
        witness::Line,
    },
    upgrade::site::{Site, Wanted},
};

use crate::site;

/// Launches of new API Managers, migrations among them.
fn launches(site: &Site) -> Vec<Line> {
    let mut lines = site.witness("launch").unwrap();
    lines.retain(|line| line.product == "wso2am" && line.version == "4.0.0");
    lines
}

#[test]
fn without_is_no_api_manager_starts_and_with_it_the_plan_goes_on() {
    let nodes = vec![
        ("is-1", Role::Is, "default"),
        ("is-2", Role::Is, "default"),
        ("am-1", Role::Am, "default"),
        ("gw-1", Role::Am, "gateway-worker"),
    ];
    let site = site(&Wanted { nodes, ..Wanted::default() });
    let digest = site.plan().unwrap();
    site.apply(&digest, &["--until", "is-up"]).unwrap();
    site.approve().unwrap();
    site.wait("the stage is-up is done", |status| {
        status.runs.first().is_some_and(|run| run.stages.iter().any(|stage| stage.id == "is-up" && stage.state == "done"))
    })
    .unwrap();

    // By hand, through the product's own script.
    let home = site.home("is-2").unwrap();
    fleet::stop(&home).unwrap();
    site.apply(&digest, &[]).unwrap();
    site.wait("the plan waits for is-2 and says so", |status| waits_for(status, "is-2")).unwrap();
    assert_eq!(launches(&site), [], "an API Manager was launched without is-2");
    // The plan looks again and again; it never gives up and never starts anything.
    let before = site.step("migrate-am", "migrate", "am-1").unwrap();
    site.wait("it was looked again", |status| {
        let step = status.runs.first().and_then(|run| run.stages.iter().flat_map(|s| &s.steps).find(|s| s.step == before.step));
        step.is_some_and(|step| step.position > before.position) || status.position > before.position + 2
    })
    .unwrap();
    assert_eq!(launches(&site), [], "an API Manager was launched without is-2");
    assert_eq!(site.run().unwrap().closed_at, None);

    start_by_hand(&site, &home);
    site.finish().unwrap();
    let ready = site.witnessed("ready", 1, |line| Path::new(&line.home) == home).unwrap();
    let back = &ready.last().unwrap().t;
    let after = launches(&site);
    assert_eq!(after.len(), 4, "a migration, a start for the index, and two servers: {after:?}");
    assert!(after.iter().all(|line| line.t > *back), "{after:?} before {back}");
    assert_eq!(site.witness("started-without-is").unwrap(), []);
}

fn waits_for(status: &cavalcade_controller::view::document::Status, node: &str) -> bool {
    status.runs.iter().flat_map(|run| &run.waits).any(|wait| wait.why.contains(node))
}

fn start_by_hand(site: &Site, home: &Path) {
    fleet::start(home, &site.layout.java_home, &[]).unwrap();
}
