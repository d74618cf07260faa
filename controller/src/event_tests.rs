//! Old journals stay readable: the bodies of every number, as they are stored.

use serde_json::json;

use super::*;

/// Number and stored body, written once and not changed.
fn stored() -> Vec<(u32, serde_json::Value)> {
    let attempt = json!({ "run": "run-1", "step": "1.1@is-1", "number": 1 });
    let plan = serde_json::to_value(crate::view::example_plan::plan()).expect("is written");
    let outcome = json!({
        "ending": "succeeded", "changed": true, "began": "2026-11-23T01:00:00Z", "ended": "2026-11-23T01:00:09Z",
        "evidence": [{ "what": "process", "found": "none", "holds": true }], "diffs": [],
    });
    let host = |report: serde_json::Value| json!({ "host": "h-1", "incarnation": "ab", "seq": 1, "report": report });
    vec![
        (1, json!({ "epoch_taken": { "epoch": 1 } })),
        (
            2,
            json!({ "run_opened": { "run": "run-1", "plan": plan, "sha256": "ab".repeat(32), "generation": 0, "by": "anna",
            "scope": { "until": null, "nodes": null }, "waived": [], "carried": [] } }),
        ),
        (3, json!({ "scope_changed": { "run": "run-1", "by": "anna", "scope": { "until": 2, "nodes": ["is-1"] } } })),
        (4, json!({ "approved": { "run": "run-1", "stage": 3, "by": "ben", "says": "yes" } })),
        (5, json!({ "offered": { "attempt": attempt, "host": "h-1" } })),
        (6, json!({ "reported": host(json!({ "report": "ended", "attempt": attempt, "outcome": outcome })) })),
        (7, json!({ "host_met": { "host": "h-1", "incarnation": "ab", "last_seq": 0 } })),
        (8, json!({ "server_seen": { "node": "is-1", "process": "1@1" } })),
        (9, json!({ "permitted": { "attempt": attempt, "nonce": "n", "evidence": [] } })),
        (10, json!({ "paused": { "run": "run-1", "by": "anna" } })),
        (11, json!({ "resumed": { "run": "run-1", "by": "anna" } })),
        (12, json!({ "cancelled": { "run": "run-1", "by": "anna", "why": "w" } })),
        (13, json!({ "skipped": { "run": "run-1", "step": "1.1@is-1", "by": "anna", "why": "w" } })),
        (14, json!({ "retried": { "run": "run-1", "step": "1.1@is-1", "by": "anna", "why": "w" } })),
        (15, json!({ "resolved": { "run": "run-1", "step": "1.1@is-1", "by": "a", "resolution": "not-done", "why": "w" } })),
        (16, json!({ "rejudged": { "run": "run-1", "step": "3.1@is-1", "by": "anna", "holds": true, "evidence": [] } })),
        (17, json!({ "job_stopped": { "run": "run-1", "step": "3.1@is-1", "by": "anna", "why": "w" } })),
        (18, json!({ "database_restored": { "run": "run-1", "database": "am_db", "by": "anna", "reopened": ["3.1@is-1"] } })),
        (19, json!({ "run_closed": { "run": "run-1", "result": "done" } })),
        (21, json!({ "secret_pinned": { "run": "run-1", "name": "key", "digest": "ab".repeat(32), "by": "anna" } })),
        (22, json!({ "past_window": { "run": "run-1", "by": "anna", "why": "w" } })),
        (23, json!({ "secret_repinned": { "run": "run-1", "name": "key", "digest": "cd".repeat(32), "by": "a", "why": "w" } })),
        (24, json!({ "took_over": { "run": "run-2", "from": "run-1" } })),
        (25, json!({ "window_moved": { "run": "run-1", "end": "2026-11-23T05:00:00Z", "by": "anna", "why": "w" } })),
        (26, json!({ "host_lost": { "host": "h-1", "by": "anna", "why": "w" } })),
        (27, json!({ "kept": { "run": "run-1", "steps": ["1.1@is-1"], "by": "anna", "why": "w" } })),
        (
            28,
            json!({ "service_seen": { "run": "run-1", "node": "is-1", "home": "old", "sight": "not-ready",
            "at": "2026-11-23T01:00:00Z" } }),
        ),
        (29, json!({ "zone_told": { "host": "h-1", "zone": "Asia/Tokyo", "offset_seconds": 32400 } })),
        (30, json!({ "alarmed": { "attempt": attempt, "planned_seconds": 7200 } })),
    ]
}

#[test]
fn what_is_stored_is_read_and_written_again_as_it_is() {
    for (number, body) in stored() {
        let event = Event::read(number, body.clone()).unwrap_or_else(|error| panic!("{number}: {error:?}"));
        assert_eq!(serde_json::to_value(&event).expect("is written"), body, "{number}");
        assert!(Event::read(number + 100, body).is_err(), "{number} under another number");
    }
}

/// A night that a program before services, zones and alarms wrote is replayed; nothing is known of them then.
#[test]
fn an_old_journal_is_replayed() {
    use crate::state::State;
    use crate::state::transition::Moment;
    let mut state = State::default();
    let all = stored();
    for (position, number) in (1..).zip([1, 2, 7, 5, 6, 8, 9, 10, 11, 4, 25, 22]) {
        let (_, body) = all.iter().find(|(n, _)| *n == number).expect("is stored");
        let event = Event::read(number, body.clone()).expect("is read");
        let moment = Moment { position, at: jiff::Timestamp::UNIX_EPOCH };
        state.apply(moment, &event).unwrap_or_else(|why| panic!("{number}: {why}"));
    }
    let run = state.runs.values().next().expect("a run");
    assert!(run.alarms.is_empty() && state.zones.is_empty());
    let service = run.services.service(&run.plan.plan.nodes[0]);
    assert_eq!((service.down_since(), service.up_since(), service.up), (None, None, None));
}
