//! Rules 1, 3, 6, 17: what began is not begun again unasked, and a person's word is for what it was said of.

use super::*;

fn script() -> HashedPlan {
    let database = json!({ "name": "am_db", "engine": "mysql", "host": "db", "port": 3306, "database": "am_db", "user": "u",
        "password": "", "scratch": "proof" });
    let script = json!({ "sql": { "effect": "upgrade", "database": database, "statements": "SELECT 1;" } });
    let mut only = stage(1, &["is-1"], &script, json!({}));
    only["steps"][0]["effect"] = json!("upgrade|db:am");
    hashed(plan("emea", vec![only], json!({})))
}

async fn applied(plan: &HashedPlan) -> (Kit, Worker) {
    let mut kit = Kit::new().await;
    kit.apply(plan, Scope::default(), none()).await;
    let peer = kit.connect("is-1.host").await;
    (kit, Worker { peer, seq: 0 })
}

fn word(resolution: Resolution) -> Verb {
    Verb::Resolve { step: key("1.1@is-1"), resolution, evidence: false, why: "seen".to_owned() }
}

fn key(text: &str) -> StepKey {
    text.parse().expect("a step")
}

fn outcome(kit: &Kit, ending: Ending, changed: bool) -> Box<Outcome> {
    let now = kit.clock.now();
    Box::new(Outcome::bare(ending, changed, now, now))
}

fn withdrawn(peer: &mut Peer) -> (usize, usize) {
    let (mut offers, mut withdrawals) = (0, 0);
    while let Ok(message) = peer.from_controller.try_recv() {
        offers += usize::from(matches!(message, ToAgent::Offer(_)));
        withdrawals += usize::from(matches!(message, ToAgent::Withdraw { .. }));
    }
    (offers, withdrawals)
}

/// Rule 3: a host that boots hours later does not begin the work of a run that was cancelled.
#[tokio::test(start_paused = true)]
async fn what_a_cancelled_run_offered_is_taken_back_from_whoever_comes_back() {
    for begun in [false, true] {
        let (mut kit, mut agent) = applied(&script()).await;
        let offer = agent.peer.offers().remove(0);
        agent.tell(&kit, Report::Accepted { attempt: offer.attempt.clone() }).await;
        if begun {
            agent.tell(&kit, Report::Began { attempt: offer.attempt.clone() }).await;
        }
        let down = Input::SessionDown { host: agent.peer.host.clone(), session: agent.peer.session };
        kit.inputs.send(down).await.expect("takes");
        kit.order("ben", None, None, Verb::Cancel { why: "another night".to_owned() }).await.expect("is taken");
        kit.sessions += 1;
        let (session, (to, from_controller)) = (SessionId(kit.sessions), mpsc::channel(64));
        let hello = Hello { last_seq: agent.seq, ..hello("is-1.host", kit.clock.now()) };
        let up = Input::SessionUp { host: agent.peer.host.clone(), session, hello: Box::new(hello), to };
        kit.inputs.send(up).await.expect("takes");
        agent.peer = Peer { host: agent.peer.host, session, from_controller };
        kit.settle().await;
        let (offers, withdrawals) = withdrawn(&mut agent.peer);
        assert_eq!((offers > 0, withdrawals > 0), (begun, !begun), "what began goes on to its end");
        kit.beat(&agent.peer).await;
        let (offers, withdrawals) = withdrawn(&mut agent.peer);
        assert_eq!((offers, withdrawals > 0), (0, !begun), "a withdrawal may be lost: it comes again");
        if !begun {
            agent.tell(&kit, Report::Abandoned { attempt: offer.attempt, why: "withdrawn".to_owned() }).await;
            assert!(kit.run().is_closed());
        }
    }
}

/// Promise 10: a confirmation that was lost comes again while the session lives, and only to an agent that waits for it.
#[tokio::test(start_paused = true)]
async fn a_lost_confirmation_comes_again_within_the_session() {
    for (begun, cancelled) in [(false, false), (true, false), (true, true), (false, true)] {
        let (kit, mut agent) = applied(&script()).await;
        let offer = agent.peer.offers().remove(0);
        agent.tell(&kit, Report::Accepted { attempt: offer.attempt.clone() }).await;
        if begun {
            agent.tell(&kit, Report::Began { attempt: offer.attempt.clone() }).await;
        }
        if cancelled {
            kit.order("ben", None, None, Verb::Cancel { why: "another night".to_owned() }).await.expect("is taken");
        }
        withdrawn(&mut agent.peer);
        kit.beat(&agent.peer).await;
        assert_eq!(withdrawn(&mut agent.peer), (0, usize::from(cancelled && !begun)), "its agent works on it");
        let stranger = AttemptId { number: 7, ..offer.attempt.clone() };
        for (waits, offers) in [(stranger, 0), (offer.attempt.clone(), usize::from(begun || !cancelled))] {
            let beat = Heartbeat { count: 2, running: 0, resident_kib: 1, unconfirmed: vec![waits] };
            kit.says(&agent.peer, FromAgent::Heartbeat(beat)).await;
            assert_eq!(withdrawn(&mut agent.peer), (offers, usize::from(cancelled && !begun)));
        }
    }
}

/// A word about one statement is not sent with a later attempt, where another statement may be open.
#[tokio::test(start_paused = true)]
async fn a_word_about_a_statement_is_for_one_attempt() {
    let (kit, mut agent) = applied(&script()).await;
    agent.work(&kit, "1.1@is-1", Ending::Indeterminate, Vec::new()).await;
    kit.order("ben", None, None, word(Resolution::Done)).await.expect("is taken");
    kit.settle().await;
    let second = agent.work(&kit, "1.1@is-1", Ending::Failed, Vec::new()).await;
    assert_eq!(second.decision.as_deref(), Some("done"));
    kit.order("ben", None, None, Verb::Retry { step: key("1.1@is-1"), why: "again".to_owned() }).await.expect("is taken");
    kit.settle().await;
    assert_eq!(agent.peer.offers()[0].decision, None);
}

/// A refused statement is left out by a word; that a whole script counts as done wants evidence and a second person.
#[tokio::test(start_paused = true)]
async fn a_script_that_failed_goes_on_behind_its_statement_or_is_replaced_by_evidence() {
    let (kit, mut agent) = applied(&script()).await;
    agent.work(&kit, "1.1@is-1", Ending::Failed, Vec::new()).await;
    kit.order("anna", None, None, word(Resolution::Done)).await.expect("is taken");
    kit.settle().await;
    assert_eq!(agent.work(&kit, "1.1@is-1", Ending::Failed, Vec::new()).await.decision.as_deref(), Some("done"));
    kit.order("anna", None, None, word(Resolution::Done)).await.expect("is taken");
    kit.settle().await;
    agent.work(&kit, "1.1@is-1", Ending::Succeeded, Vec::new()).await;
    assert!(kit.run().is_closed());
}

/// 10, rule 17: a proof is replaced by evidence of the same fact and a second person, whatever is known of it.
#[tokio::test(start_paused = true)]
async fn a_proof_is_replaced_by_evidence_and_a_second_person_alone() {
    let down = json!({ "server": { "op": "down", "home": "/opt/old", "script": "bin/x", "within": "1min" } });
    for ending in [Ending::Failed, Ending::Indeterminate] {
        let (kit, mut agent) = applied(&hashed(plan("emea", vec![stage(1, &["is-1"], &down, json!({}))], json!({})))).await;
        agent.work(&kit, "1.1@is-1", ending, Vec::new()).await;
        let with = |evidence| Verb::Resolve {
            step: key("1.1@is-1"),
            resolution: Resolution::Done,
            evidence,
            why: "a photograph".to_owned(),
        };
        for (who, evidence, code) in
            [("ben", false, Some(codes::run::NOT_SKIPPED)), ("anna", true, Some(codes::run::SECOND_PERSON)), ("ben", true, None)]
        {
            let answer = kit.order(who, None, None, with(evidence)).await;
            assert_eq!(answer.err().map(|fault| fault.code), code, "{ending:?} {who} {evidence}");
        }
    }
}

/// The licence names the attempt that holds the effect, which need not be the last one.
#[tokio::test(start_paused = true)]
async fn a_licence_names_who_began_the_effect() {
    let (kit, mut agent) = applied(&script()).await;
    let first = agent.work(&kit, "1.1@is-1", Ending::Failed, Vec::new()).await;
    let retry = || Verb::Retry { step: key("1.1@is-1"), why: "again".to_owned() };
    kit.order("ben", None, None, retry()).await.expect("is taken");
    kit.settle().await;
    // The second ends before its INTENT: a secret was not there.
    let second = agent.peer.offers().remove(0);
    assert_eq!(second.approved.map(|a| a.replaces), Some(first.attempt.clone()));
    let outcome = outcome(&kit, Ending::Failed, false);
    agent.tell(&kit, Report::Ended { attempt: second.attempt, outcome }).await;
    kit.order("ben", None, None, retry()).await.expect("is taken");
    kit.settle().await;
    let third = agent.peer.offers().remove(0);
    assert_eq!(third.approved.map(|a| a.replaces), Some(first.attempt));
}

/// Rule 1 holds over runs: the journal knows what began, whatever became of the agent's ledger.
#[tokio::test(start_paused = true)]
async fn an_effect_of_an_earlier_run_waits_for_a_persons_word() {
    let (mut kit, mut agent) = applied(&script()).await;
    let offer = agent.peer.offers().remove(0);
    agent.tell(&kit, Report::Accepted { attempt: offer.attempt.clone() }).await;
    agent.tell(&kit, Report::Began { attempt: offer.attempt.clone() }).await;
    // The host comes back with a new ledger: nobody knows what was under way.
    kit.sessions += 1;
    let (session, (to, from_controller)) = (SessionId(kit.sessions), mpsc::channel(64));
    let hello = Hello { incarnation: Incarnation("cd".repeat(16)), ..hello("is-1.host", kit.clock.now()) };
    let up = Input::SessionUp { host: agent.peer.host.clone(), session, hello: Box::new(hello), to };
    kit.inputs.send(up).await.expect("takes");
    let mut agent = Worker { peer: Peer { host: agent.peer.host, session, from_controller }, seq: 0 };
    kit.beat(&agent.peer).await;
    assert_eq!(kit.run().step(&key("1.1@is-1")).map(|s| s.phase), Some(Phase::Indeterminate));
    kit.order("ben", None, None, Verb::Cancel { why: "anew".to_owned() }).await.expect("is taken");
    kit.settle().await;
    // Another plan of the same recipe, another run.
    let mut again = script().plan;
    again.made_by = "ben".to_owned();
    let run = kit.apply(&hashed(again), Scope::default(), none()).await.run;
    kit.settle().await;
    assert_eq!(agent.peer.offers(), []);
    let wait = kit.wait_of("1.1@is-1");
    assert!(wait.person && wait.why.contains(&offer.attempt.to_string()), "{wait:?}");
    kit.order("ben", Some(run.as_str()), None, word(Resolution::NotDone)).await.expect("is taken");
    kit.settle().await;
    let licensed = agent.peer.offers().remove(0);
    assert_eq!(licensed.approved.map(|a| a.replaces), Some(offer.attempt));
}

/// An attempt that was proved not begun leaves no restore to wait for.
#[tokio::test(start_paused = true)]
async fn what_was_given_back_did_not_begin() {
    let mut kit = Kit::new().await;
    kit.apply(&night("4h"), Scope::default(), none()).await;
    let mut agent = Worker { peer: kit.connect("is-1.host").await, seq: 0 };
    for (step, database) in [("1.1@is-1", "am_db"), ("2.1@is-1", "shared_db")] {
        let born = Evidence::holds(format!("{INCARNATION_OF}{database}"), "born");
        agent.work(&kit, step, Ending::Succeeded, vec![born]).await;
    }
    let offer = agent.peer.offers().remove(0);
    agent.tell(&kit, Report::Accepted { attempt: offer.attempt.clone() }).await;
    agent.tell(&kit, Report::Began { attempt: offer.attempt.clone() }).await;
    agent.tell(&kit, Report::Abandoned { attempt: offer.attempt, why: "no permit: is-1 is not up".to_owned() }).await;
    tokio::time::sleep(GIVEN_BACK_PAUSE * 2).await;
    assert_eq!(agent.peer.offers().len(), 1, "{:?}", kit.waits());
}

/// Agents are hostile input: one does not speak for another's servers.
#[tokio::test(start_paused = true)]
async fn a_look_is_answered_by_the_host_that_was_asked() {
    let start = json!({ "server": { "op": "start", "home": "/opt/new", "script": "bin/x", "within": "1min" } });
    let mut needing = stage(1, &["is-1"], &start, json!({}));
    needing["steps"][0]["needs"] = json!([{ "ready": { "nodes": ["is-2"], "via": [] } }]);
    let mut kit = Kit::new().await;
    kit.apply(&hashed(plan("emea", vec![needing], json!({}))), Scope::default(), none()).await;
    let (mut rogue, mut asked) = (kit.connect("is-1.host").await, kit.connect("is-2.host").await);
    kit.settle().await;
    let mut probes = Vec::new();
    while let Ok(message) = asked.from_controller.try_recv() {
        if let ToAgent::Probe { id, node, .. } = message {
            probes.push((id, node));
        }
    }
    let (id, node) = probes.pop().expect("was asked");
    let seen = cavalcade_common::message::Seen {
        ready: true,
        process: "1@1".to_owned(),
        old_down: true,
        evidence: Vec::new(),
        observed: Vec::new(),
        age_millis: 0,
    };
    let said = |peer: &Peer| Input::Message {
        host: peer.host.clone(),
        session: peer.session,
        message: FromAgent::Probed { id, node: node.clone(), seen: seen.clone() },
    };
    kit.inputs.send(said(&rogue)).await.expect("takes");
    kit.settle().await;
    assert!(kit.view.borrow().state.servers.is_empty() && rogue.offers().is_empty());
    kit.inputs.send(said(&asked)).await.expect("takes");
    kit.settle().await;
    assert_eq!(rogue.offers().len(), 1, "{:?}", kit.waits());
}
