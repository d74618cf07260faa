use serde_json::{Value, json};

use super::*;
use crate::fleet;

const FLEET: &str = r#"
schema: cavalcade.fleet/1
fleet: test
recipe: wso2-is-km-5.10.0-to-5.11.0
defaults: { run_as: wso2, java_home: /opt/java }
nodes:
  is-[1:2]:
    role: identity-server
    host: "{{ name }}.example.com"
    old: { home: /opt/wso2/old }
    new: { home: /opt/wso2/new }
"#;

fn good() -> Value {
    json!({
        "old": { "exists": true, "version": "5.10.0", "offset": 0, "owner": "wso2", "running": [{ "pid": 7, "user": "wso2" }] },
        "new": { "exists": false, "made_by_us": false },
        "java": { "home": "/opt/java", "version": "11.0.20" },
        "disks": [{ "path": "/opt/wso2/new", "mount": "/opt", "free_bytes": 50_u64 << 30, "read_only": false }],
        "problems": [],
    })
}

fn host(name: &str) -> HostStatus {
    HostStatus {
        host: name.to_owned(),
        connected: true,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        quiet_seconds: 0,
        skew_millis: 3,
        resident_kib: 1,
    }
}

/// The findings when the second node's facts and host are these.
fn found(facts: Value, second: Option<HostStatus>) -> Vec<(String, Severity, Vec<String>)> {
    let fleet = fleet::read(FLEET.as_bytes(), "fleet.yaml").expect("a fleet");
    let recipe = crate::recipe::load(&fleet.recipe, std::path::Path::new(".")).expect("a recipe");
    let now = Timestamp::UNIX_EPOCH;
    let facts_of = |value| NodeFacts { value, gathered_at: now };
    let facts =
        BTreeMap::from([("is-1".parse().expect("a name"), facts_of(good())), ("is-2".parse().expect("a name"), facts_of(facts))]);
    let hosts: Vec<HostStatus> = std::iter::once(host("is-1.example.com")).chain(second).collect();
    // Artifacts that cannot be read keep the plan out of it.
    let artifacts = Err(Faults::default());
    let results = run(&Input {
        fleet: &fleet,
        recipe: &recipe,
        artifacts: &artifacts,
        facts: &facts,
        asked: &BTreeMap::new(),
        shipped: &BTreeMap::new(),
        unanswered: &[],
        hosts: Some(&hosts),
        now,
    });
    results.findings.into_iter().map(|f| (f.check, f.severity, f.nodes)).collect()
}

#[test]
fn a_good_fleet_has_no_findings() {
    assert_eq!(found(good(), Some(host("is-2.example.com"))), []);
}

#[test]
fn every_check_finds_what_it_is_for() {
    let all = |change: &dyn Fn(&mut Value)| {
        let mut facts = good();
        change(&mut facts);
        found(facts, Some(host("is-2.example.com")))
    };
    let one = |check: &str, severity, node: &str| vec![(check.to_owned(), severity, vec![node.to_owned()])];
    use Severity::{Error, Warning};
    assert_eq!(all(&|f| f["old"]["exists"] = json!(false)), one("old-home", Error, "is-2"));
    assert_eq!(all(&|f| f["old"]["offset"] = json!(3)), one("old-offset", Error, "is-2"));
    assert_eq!(all(&|f| f["old"]["running"][0]["user"] = json!("root")), one("old-user", Error, "is-2"));
    assert_eq!(all(&|f| f["new"]["exists"] = json!(true)), one("new-home-free", Error, "is-2"));
    assert_eq!(all(&|f| f["java"]["version"] = json!(null)), one("java-home", Error, "is-2"));
    assert_eq!(all(&|f| f["disks"][0]["read_only"] = json!(true)), one("disk-writable", Error, "is-2.example.com"));
    assert_eq!(all(&|f| f["disks"][0]["free_bytes"] = json!(5)), one("disk-free", Warning, "is-2.example.com"));
    let problem = Fault::new(cavalcade_common::codes::files::FACTS_UNREADABLE, "no");
    assert_eq!(all(&|f| f["problems"] = json!([problem])), one("facts-readable", Error, "is-2"));
    let made = |f: &mut Value| (f["new"]["exists"], f["new"]["made_by_us"]) = (json!(true), json!(true));
    assert_eq!(all(&made), []);

    let with = |change: &dyn Fn(&mut HostStatus)| {
        let mut second = host("is-2.example.com");
        change(&mut second);
        found(good(), Some(second))
    };
    assert_eq!(found(good(), None), one("agent-enrolled", Error, "is-2.example.com"));
    assert_eq!(with(&|h| h.connected = false), one("agent-connected", Error, "is-2.example.com"));
    assert_eq!(with(&|h| h.program = "0.0.9".to_owned()), one("agent-version", Warning, "is-2.example.com"));
    assert_eq!(with(&|h| h.skew_millis = -9000), one("agent-clock", Warning, "is-2.example.com"));
}

#[test]
fn one_finding_over_many_nodes_is_one() {
    let check = CHECKS.iter().flat_map(|group| group.iter()).find(|check| check.name == "old-home").expect("is a check");
    let mut looks = Looks::default();
    for node in ["a", "b", "a"] {
        looks.error(node, "there is no /opt");
    }
    looks.warning("c", "there is no /opt");
    let merged = merged(check, looks);
    assert_eq!(merged.len(), 2);
    assert_eq!(merged[0].nodes, ["a", "b"]);
}
