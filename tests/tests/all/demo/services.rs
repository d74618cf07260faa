//! Down since and up since, against what the servers themselves witnessed; and what a finished upgrade is called.

use cavalcade_controller::preflight::UPGRADED_BEFORE;
use cavalcade_controller::view::services::ServiceStatus;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::stage::Demo;

/// A look comes at most this long behind what it sees: steps look every half second, and a start script takes its time.
const BEHIND: SignedDuration = SignedDuration::from_secs(60);

fn last(demo: &Demo, what: &str, home: &std::path::Path) -> Timestamp {
    demo.lines_of(what, home).pop().unwrap_or_else(|| panic!("{what} of {}", home.display())).t.parse().unwrap()
}

pub(super) fn as_probed(demo: &Demo) {
    let services: Vec<ServiceStatus> = serde_json::from_value(demo.report["run"]["services"].clone()).unwrap();
    assert_eq!(services.len(), demo.hosts.len());
    for service in services {
        let node = service.node.as_str();
        let (gone, ready) = (last(demo, "exit", &demo.old_home(node)), last(demo, "ready", &demo.new_home(node)));
        let (down, up) = (service.down_since.unwrap(), service.up_since.unwrap());
        assert!(gone <= down && down <= gone + BEHIND, "{node}: ended {gone}, seen down {down}");
        assert!(ready <= up && up <= ready + BEHIND, "{node}: ready {ready}, seen up {up}");
        assert!(service.down_seconds.is_some() && service.outages[0].seen_up_before, "{service:?}");
        let zone = service.zone.unwrap();
        assert_eq!(zone.offset_seconds, jiff::tz::TimeZone::system().to_offset(down).seconds(), "{node}");
    }
}

/// Who looks at a fleet that a run has upgraded is told so, and by which run.
pub(super) fn done_before(demo: &Demo) {
    let run = demo.report["run"]["run"].as_str().unwrap();
    let check: Value = serde_json::from_str(&demo.told(&["fleet", "check", "fleet.yaml", "--output", "json"])).unwrap();
    let findings = check["findings"].as_array().unwrap();
    let found = findings.iter().find(|f| f["check"] == UPGRADED_BEFORE).unwrap_or_else(|| panic!("{findings:?}"));
    assert!(found["found"].as_str().unwrap().starts_with(&format!("run {run} finished this upgrade on ")), "{found}");
    assert_eq!(found["nodes"].as_array().unwrap().len(), demo.hosts.len());
}
