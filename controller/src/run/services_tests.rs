//! What is journaled of services, time zones and alarms, and what the next controller makes of it.

use cavalcade_common::message::Seen;
use cavalcade_common::report::{Observation, Sight};

use super::*;
use crate::event::Home;
use crate::run::view::View;
use crate::view::document::{RunStatus, run_status};
use crate::view::services::ZoneStatus;

/// One server is stopped, the other one is waited for; each has an old home.
fn night_of(stages: Vec<Value>) -> HashedPlan {
    let mut plan = plan("emea", stages, json!({}));
    for node in &mut plan.nodes {
        node.old = node.new.clone().map(|side| cavalcade_common::plan::Side { home: "/opt/old".to_owned(), ..side });
    }
    hashed(plan)
}

fn stop() -> Value {
    json!({ "server": { "op": "stop", "home": "/opt/old", "script": "bin/x", "within": "1min" } })
}

fn saw(home: &str, sight: Sight, text: &str) -> Observation {
    Observation { home: home.to_owned(), sight, at: at(text) }
}

fn status(kit: &Kit) -> RunStatus {
    let view: Arc<View> = kit.view.borrow().clone();
    let run = view.state.runs.values().next().expect("a run");
    run_status(&view, run, kit.clock.now())
}

async fn events(kit: &Kit) -> Vec<Event> {
    let entries = kit.journal.read(1, 10_000).await.expect("is read");
    entries.into_iter().map(|e| Event::read(e.kind, e.body).expect("an event")).collect()
}

/// Begins the next offer of a step and does not end it.
async fn begin(kit: &Kit, agent: &mut Worker) -> AttemptId {
    let attempt = agent.peer.offers().pop().expect("an offer").attempt;
    agent.tell(kit, Report::Accepted { attempt: attempt.clone() }).await;
    agent.tell(kit, Report::Began { attempt: attempt.clone() }).await;
    attempt
}

async fn end(kit: &Kit, agent: &mut Worker, attempt: AttemptId, observed: Vec<Observation>) {
    let now = kit.clock.now();
    let (evidence, diffs, known, unknown) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let ending = Ending::Succeeded;
    let outcome =
        Outcome { ending, changed: true, began: now, ended: now, evidence, diffs, fault: None, known, unknown, observed };
    agent.tell(kit, Report::Ended { attempt, outcome: Box::new(outcome) }).await;
}

/// The next look that the controller asks of an agent is answered so.
async fn look(kit: &Kit, peer: &mut Peer, ready: bool, observed: Vec<Observation>) {
    let asked = std::iter::from_fn(|| peer.from_controller.try_recv().ok()).collect::<Vec<_>>();
    let asked = asked.into_iter().rev().find_map(|message| match message {
        ToAgent::Probe { id, node, .. } => Some((id, node)),
        _ => None,
    });
    let (id, node) = asked.expect("a look");
    let process = if ready { "1@1".to_owned() } else { String::new() };
    let seen = Seen { ready, process, old_down: true, evidence: Vec::new(), observed, age_millis: 0 };
    let message = FromAgent::Probed { id, node, seen };
    kit.inputs.send(Input::Message { host: peer.host.clone(), session: peer.session, message }).await.expect("takes");
    kit.settle().await;
}

#[tokio::test(start_paused = true)]
async fn down_and_up_are_journaled_as_they_were_probed_and_told_from_it() {
    let mut needing = stage(2, &["is-1"], &edit("x"), json!({}));
    needing["steps"][0]["needs"] = json!([{ "ready": { "nodes": ["is-2"], "via": [] } }]);
    let mut kit = Kit::new().await;
    kit.apply(&night_of(vec![stage(1, &["is-2"], &stop(), json!({})), needing]), Scope::default(), none()).await;
    let mut agent = Worker { peer: kit.connect("is-2.host").await, seq: 0 };
    let _other = kit.connect("is-1.host").await;
    let attempt = begin(&kit, &mut agent).await;
    let stopped = vec![
        saw("/opt/old", Sight::Running, "2026-11-23T01:00:10Z"),
        saw("/opt/emea", Sight::Running, "2026-11-23T01:00:11Z"),
        saw("/opt/old", Sight::Down, "2026-11-23T01:00:40Z"),
        saw("/somewhere/else", Sight::Up, "2026-11-23T01:00:41Z"),
    ];
    end(&kit, &mut agent, attempt, stopped).await;
    assert_eq!(status(&kit).services[1].says, "is down");
    // Probes: nothing new, then ready, then the same again.
    look(&kit, &mut agent.peer, false, vec![saw("/opt/old", Sight::Down, "2026-11-23T01:10:00Z")]).await;
    look(&kit, &mut agent.peer, true, vec![saw("/opt/emea", Sight::Up, "2026-11-23T01:20:40Z")]).await;

    let seen = |events: &[Event]| -> Vec<(Home, Sight)> {
        let of = |e: &Event| match e {
            Event::ServiceSeen { home, sight, .. } => Some((*home, *sight)),
            _ => None,
        };
        events.iter().filter_map(of).collect()
    };
    let journaled = events(&kit).await;
    assert_eq!(seen(&journaled), [(Home::Old, Sight::Up), (Home::Old, Sight::Down), (Home::New, Sight::Up)]);
    let plain =
        |e: &Event| matches!(e, Event::Reported { report: Report::Ended { outcome, .. }, .. } if outcome.observed.is_empty());
    assert!(journaled.iter().any(plain), "the report's own body is as it was");
    let before = status(&kit).services;
    kit.restart().await;
    kit.settle().await;
    assert_eq!(status(&kit).services, before, "the state is the fold of the journal");
    let service = &before[1];
    assert_eq!((service.down_since, service.up_since), (Some(at("2026-11-23T01:00:40Z")), Some(at("2026-11-23T01:20:40Z"))));
    assert_eq!((service.down_seconds, service.says.as_str()), (Some(1200), "20m00s"));
    assert_eq!(before[0].says, "unknown: no probe saw it");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_down_again_is_seen_though_nobody_waits_for_it() {
    let mut kit = Kit::new().await;
    let later = stage(2, &["is-1"], &edit("x"), json!({ "approval": { "by": "dba", "says": "later" } }));
    kit.apply(&night_of(vec![stage(1, &["is-2"], &stop(), json!({})), later]), Scope::default(), none()).await;
    let mut agent = Worker { peer: kit.connect("is-2.host").await, seq: 0 };
    let attempt = begin(&kit, &mut agent).await;
    let seen = vec![
        saw("/opt/old", Sight::Running, "2026-11-23T01:00:00Z"),
        saw("/opt/old", Sight::Down, "2026-11-23T01:00:40Z"),
        saw("/opt/emea", Sight::Up, "2026-11-23T01:01:40Z"),
    ];
    end(&kit, &mut agent, attempt, seen).await;
    assert_eq!(status(&kit).services[1].says, "1m00s");
    tokio::time::sleep(Duration::from_secs(61)).await;
    look(&kit, &mut agent.peer, false, vec![saw("/opt/emea", Sight::NotReady, "2026-11-23T01:05:00Z")]).await;
    assert_eq!((status(&kit).services[1].says.as_str(), status(&kit).services[1].up_since), ("is down", None));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let asked = std::iter::from_fn(|| agent.peer.from_controller.try_recv().ok()).any(|m| matches!(m, ToAgent::Probe { .. }));
    assert!(!asked, "not all the time");
    tokio::time::sleep(Duration::from_secs(31)).await;
    look(&kit, &mut agent.peer, true, vec![saw("/opt/emea", Sight::Up, "2026-11-23T01:06:00Z")]).await;
    let service = status(&kit).services.remove(1);
    assert_eq!((service.says.as_str(), service.outages.len()), ("2m00s, 2 times", 2));
}

#[tokio::test(start_paused = true)]
async fn a_host_s_zone_is_journaled_when_it_is_another_one() {
    let mut kit = Kit::new().await;
    kit.apply(&night_of(vec![stage(1, &["is-1"], &stop(), json!({}))]), Scope::default(), none()).await;
    let zones = [("Asia/Tokyo", 9 * 3600), ("Asia/Tokyo", 9 * 3600), ("Europe/Berlin\u{1b}[2J", 3600), ("Mars", i32::MAX)];
    for (zone, utc_offset_seconds) in zones {
        kit.sessions += 1;
        let (session, (to, _from_controller)) = (SessionId(kit.sessions), mpsc::channel(64));
        let hello = Hello { zone: zone.to_owned(), utc_offset_seconds, ..hello("is-1.host", kit.clock.now()) };
        let host = hello.host.clone();
        kit.inputs.send(Input::SessionUp { host: host.clone(), session, hello: Box::new(hello), to }).await.expect("takes");
        kit.settle().await;
        // A hello alone may be one of the past.
        let told = events(&kit).await.iter().filter(|e| matches!(e, Event::ZoneTold { .. })).count();
        assert_eq!(told, usize::from(session.0 > 1) + usize::from(session.0 > 3), "{zone:?}");
        let message = FromAgent::Heartbeat(Heartbeat { count: 1, running: 0, resident_kib: 1 });
        kit.inputs.send(Input::Message { host, session, message }).await.expect("takes");
        kit.settle().await;
    }
    let told: Vec<(String, i32)> = events(&kit)
        .await
        .into_iter()
        .filter_map(|e| match e {
            Event::ZoneTold { zone, offset_seconds, .. } => Some((zone, offset_seconds)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("Asia/Tokyo".to_owned(), 9 * 3600), (String::new(), 3600)], "what is no zone is none");
    let zone = status(&kit).services[0].zone.clone();
    assert_eq!(zone, Some(ZoneStatus { name: String::new(), offset_seconds: 3600 }));
}

/// The same agent in a new session: its ledger is as far as its reports.
async fn again(kit: &mut Kit, agent: &mut Worker) {
    kit.sessions += 1;
    let (session, (to, from_controller)) = (SessionId(kit.sessions), mpsc::channel(64));
    let hello = Hello { last_seq: agent.seq, ..hello("is-1.host", kit.clock.now()) };
    let host = hello.host.clone();
    kit.inputs.send(Input::SessionUp { host: host.clone(), session, hello: Box::new(hello), to }).await.expect("takes");
    agent.peer = Peer { host, session, from_controller };
    kit.beat(&agent.peer).await;
}

fn database() -> Value {
    json!({ "name": "am_db", "engine": "mysql", "host": "db", "port": 3306, "database": "am_db", "user": "u", "password": "",
        "scratch": "proof" })
}

#[tokio::test(start_paused = true)]
async fn what_is_never_interrupted_and_late_raises_one_alarm_and_nothing_else() {
    let kinds = [
        job(),
        json!({ "sql": { "effect": "upgrade", "database": database(), "statements": "SELECT 1;" } }),
        json!({ "backup": { "database": database(), "to": "/backup" } }),
        json!({ "restore": { "effect": "back", "database": database(), "from": "/backup" } }),
    ];
    for action in kinds {
        let mut only = stage(1, &["is-1"], &action, json!({}));
        only["steps"][0]["timeout"] = json!("2h");
        let mut kit = Kit::new().await;
        kit.apply(&hashed(plan("emea", vec![only], json!({}))), Scope::default(), none()).await;
        let mut agent = Worker { peer: kit.connect("is-1.host").await, seq: 0 };
        let attempt = begin(&kit, &mut agent).await;
        let later = |kit: &Kit, text: &str| *kit.clock.0.lock().unwrap_or_else(PoisonError::into_inner) = at(text);
        let alarms = |events: Vec<Event>| events.iter().filter(|e| matches!(e, Event::Alarmed { .. })).count();
        later(&kit, "2026-11-23T03:00:00Z");
        kit.settle().await;
        assert_eq!(alarms(events(&kit).await), 0, "{action}: not yet");
        later(&kit, "2026-11-23T03:00:01Z");
        kit.settle().await;
        let shown = status(&kit).alarms;
        assert_eq!((shown[0].open, shown[0].planned_seconds, shown[0].at), (true, 7200, at("2026-11-23T03:00:01Z")), "{action}");
        // Another controller knows it.
        kit.restart().await;
        again(&mut kit, &mut agent).await;
        later(&kit, "2026-11-23T09:00:00Z");
        kit.settle().await;
        assert_eq!(alarms(events(&kit).await), 1, "{action}: once");
        while let Ok(message) = agent.peer.from_controller.try_recv() {
            let signals = matches!(message, ToAgent::StopJob { .. } | ToAgent::Withdraw { .. });
            assert!(!signals, "{action}: nothing is signalled");
        }
        assert_eq!(kit.run().step(&attempt.step).map(|s| s.phase), Some(Phase::Running), "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_raises_none_and_the_next_attempt_one_of_its_own() {
    let mut only = stage(1, &["is-1"], &json!({ "backup": { "database": database(), "to": "/backup" } }), json!({}));
    only["steps"][0]["timeout"] = json!("10min");
    let edit = stage(1, &["is-2"], &edit("x"), json!({}));
    only["nodes"] = json!(["is-1", "is-2"]);
    only["batch"]["size"] = json!(2);
    only["steps"].as_array_mut().expect("a list").extend(edit["steps"].as_array().expect("a list").clone());
    let mut kit = Kit::new().await;
    kit.apply(&hashed(plan("emea", vec![only], json!({}))), Scope::default(), none()).await;
    let mut first = Worker { peer: kit.connect("is-1.host").await, seq: 0 };
    let mut second = Worker { peer: kit.connect("is-2.host").await, seq: 0 };
    let attempt = begin(&kit, &mut first).await;
    begin(&kit, &mut second).await;
    for (hour, word) in [(2, Some(())), (4, None)] {
        *kit.clock.0.lock().unwrap_or_else(PoisonError::into_inner) = at(&format!("2026-11-23T0{hour}:00:00Z"));
        kit.settle().await;
        if word.is_none() {
            break;
        }
        first.tell(&kit, Report::Ended { attempt: attempt.clone(), outcome: failed(&kit) }).await;
        assert!(status(&kit).alarms.iter().all(|a| !a.open), "it ended");
        kit.order("ben", None, None, Verb::Retry { step: attempt.step.clone(), why: "again".to_owned() })
            .await
            .expect("is taken");
        kit.settle().await;
        begin(&kit, &mut first).await;
    }
    let raised: Vec<(String, u32, bool)> = status(&kit).alarms.into_iter().map(|a| (a.step, a.attempt, a.open)).collect();
    assert_eq!(raised, [("1.1@is-1".to_owned(), 1, false), ("1.1@is-1".to_owned(), 2, true)]);
}

fn failed(kit: &Kit) -> Box<Outcome> {
    let now = kit.clock.now();
    let (evidence, diffs, known, unknown, observed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let ending = Ending::Failed;
    Box::new(Outcome { ending, changed: true, began: now, ended: now, evidence, diffs, fault: None, known, unknown, observed })
}
