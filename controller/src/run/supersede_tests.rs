//! Rule 5: a plan that takes over a run; keep, undo, a host that is gone.

use cavalcade_common::action::{Action, Undo};

use super::*;
use crate::run::input::WindowWord;

/// Two edits on is-1 and a look; the second edit as it is given.
fn edits(second: &str) -> HashedPlan {
    let look = json!({ "tcp": { "address": format!("db:{}", if second == "b" { 3306 } else { 3307 }), "within": "1min" } });
    let stages = vec![
        stage(1, &["is-1"], &edit("a"), json!({})),
        stage(2, &["is-1"], &edit(second), json!({})),
        stage(3, &["is-1"], &edit("c"), json!({})),
        stage(4, &["is-1"], &look, json!({})),
        stage(5, &["is-2"], &edit("d"), json!({})),
    ];
    hashed(plan("emea", stages, json!({})))
}

async fn done_but_the_last() -> (Kit, Worker, RunId) {
    let mut kit = Kit::new().await;
    kit.apply(&edits("b"), Scope::default(), none()).await;
    let mut agent = Worker { peer: kit.connect("is-1.host").await, seq: 0 };
    for step in ["1.1@is-1", "2.1@is-1", "3.1@is-1", "4.1@is-1"] {
        agent.work(&kit, step, Ending::Succeeded, Vec::new()).await;
    }
    let run = kit.run().id;
    (kit, agent, run)
}

fn taking_over(plan: HashedPlan, run: &RunId, keep: &[&str], undo: &[&str]) -> Verb {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    let supersedes = Superseding { run: run.clone(), keep: words(keep), undo: words(undo), why: "corrected".to_owned() };
    Verb::Apply { plan: Box::new(plan), scope: Scope::default(), waived: Vec::new(), supersedes: Some(supersedes), given: none() }
}

fn phases(kit: &Kit, run: &RunId) -> Vec<(String, Phase)> {
    let view = kit.view.borrow().clone();
    let run = &view.state.runs[run];
    run.steps.iter().map(|(key, state)| (key.to_string(), state.phase)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_finished_step_that_differs_is_kept_or_undone_and_never_silently_done_again() {
    let (kit, _agent, run) = done_but_the_last().await;
    let fault = kit.order("ben", None, None, taking_over(edits("z"), &run, &[], &[])).await.expect_err("asks");
    assert_eq!(fault.code, codes::run::DIFFERS);
    assert!(fault.message.contains("s2.work@is-1") && !fault.message.contains("s1.work"), "{fault}");
    assert!(!fault.message.contains("s4.work"), "what only looks is looked at again: {fault}");
    assert!(!kit.run().is_closed(), "nothing was changed");
    let unknown = kit.order("ben", None, None, taking_over(edits("z"), &run, &["s1.work"], &[])).await.expect_err("is equal");
    assert_eq!(unknown.code, codes::operator::USAGE);

    let new = kit.order("ben", None, None, taking_over(edits("z"), &run, &["s2.work@is-1"], &[])).await.expect("is open").run;
    kit.settle().await;
    let of = |key: &str| phases(&kit, &new).into_iter().find(|(k, _)| k == key).map(|(_, phase)| phase);
    assert_eq!(["1.1@is-1", "2.1@is-1", "3.1@is-1"].map(of), [Some(Phase::Skipped); 3]);
    assert_eq!(of("4.1@is-1"), Some(Phase::Offered), "looked at again");
    let view = kit.view.borrow().clone();
    assert!(view.state.runs[&new].decisions.iter().any(|d| d.verb == "keep" && d.on == "2.1@is-1" && d.why == "corrected"));
}

#[tokio::test(start_paused = true)]
async fn what_is_undone_takes_the_later_edits_of_its_node_with_it() {
    let (kit, mut agent, run) = done_but_the_last().await;
    let new = kit.order("ben", None, None, taking_over(edits("z"), &run, &[], &["all"])).await.expect("is open").run;
    kit.settle().await;
    let offer = agent.work(&kit, "0.1@is-1", Ending::Succeeded, Vec::new()).await;
    let steps = ["2.1@is-1", "3.1@is-1"].map(|k| k.parse().expect("a step")).to_vec();
    assert_eq!(offer.step.action, Action::Undo(Undo { run, steps, hides: Vec::new() }));
    let of = |key: &str| phases(&kit, &new).into_iter().find(|(k, _)| k == key).map(|(_, phase)| phase);
    assert_eq!(of("1.1@is-1"), Some(Phase::Skipped));
    for step in ["2.1@is-1", "3.1@is-1", "4.1@is-1"] {
        agent.work(&kit, step, Ending::Succeeded, Vec::new()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_something_ran_with_is_not_undone() {
    let command = json!({ "command": { "command": ["x"], "cwd": "/", "within": "1min", "repeatable": true } });
    let of = |value: &str| {
        let stages = vec![
            stage(1, &["is-1"], &edit(value), json!({})),
            stage(2, &["is-1"], &command, json!({})),
            stage(3, &["is-2"], &edit("d"), json!({})),
        ];
        hashed(plan("emea", stages, json!({})))
    };
    let mut kit = Kit::new().await;
    kit.apply(&of("a"), Scope::default(), none()).await;
    let mut agent = Worker { peer: kit.connect("is-1.host").await, seq: 0 };
    for step in ["1.1@is-1", "2.1@is-1"] {
        agent.work(&kit, step, Ending::Succeeded, Vec::new()).await;
    }
    let run = kit.run().id;
    let fault = kit.order("ben", None, None, taking_over(of("z"), &run, &[], &["all"])).await.expect_err("it ran");
    assert_eq!(fault.code, codes::run::NOT_UNDONE);
    assert!(fault.message.contains("2.1@is-1") && !kit.run().is_closed(), "{fault}");
}

/// A host that is gone for good holds up no superseding plan, and its old ledger counts no more.
#[tokio::test(start_paused = true)]
async fn a_lost_host_is_declared_lost_and_replaced() {
    let mut kit = Kit::new().await;
    kit.apply(&edits("b"), Scope::default(), none()).await;
    let mut agent = Worker { peer: kit.connect("is-1.host").await, seq: 0 };
    agent.work(&kit, "1.1@is-1", Ending::Succeeded, Vec::new()).await;
    let run = kit.run().id;
    let lost = || Verb::HostLost { host: HostId::new("is-1.host").expect("a name"), why: "the disk burnt".to_owned() };
    assert_eq!(kit.order("ben", None, None, lost()).await.expect_err("is connected").code, codes::run::REFUSED);
    let down = Input::SessionDown { host: agent.peer.host.clone(), session: agent.peer.session };
    kit.inputs.send(down).await.expect("takes");
    let draining = kit.order("ben", None, None, taking_over(edits("z"), &run, &[], &[])).await.expect_err("is under way");
    assert_eq!(draining.code, codes::run::STILL_DRAINING);
    kit.order("ben", None, None, lost()).await.expect("is taken");
    assert_eq!(kit.run().step(&"2.1@is-1".parse().expect("a step")).map(|s| s.phase), Some(Phase::Indeterminate));
    // The old ledger is refused, a new one is not.
    for (incarnation, refused) in [("ab", true), ("cd", false)] {
        kit.sessions += 1;
        let (to, mut from_controller) = mpsc::channel(8);
        let hello =
            Hello { incarnation: Incarnation(incarnation.repeat(16)), last_seq: 9, ..hello("is-1.host", kit.clock.now()) };
        let session = SessionId(kit.sessions);
        let up = Input::SessionUp { host: hello.host.clone(), session, hello: Box::new(hello), to };
        kit.inputs.send(up).await.expect("takes");
        kit.settle().await;
        assert_eq!(matches!(from_controller.try_recv(), Ok(ToAgent::Refuse { .. })), refused, "{incarnation}");
    }
    // The new plan does without the node: nobody is asked about what is gone with it.
    let without = hashed(plan("emea", vec![stage(1, &["is-2"], &edit("d"), json!({}))], json!({})));
    kit.order("ben", None, None, taking_over(without, &run, &[], &[])).await.expect("is open");
}

/// A migration that failed in the first run wants each of its databases restored in the second.
#[tokio::test(start_paused = true)]
async fn one_restore_is_not_enough_after_a_superseding_plan_either() {
    let (kit, mut agent) = begun().await;
    agent.fail_the_job(&kit).await;
    let old = kit.run().id;
    let new = kit.order("ben", None, None, taking_over(night("8h"), &old, &[], &[])).await.expect("is open").run;
    kit.settle().await;
    kit.order("ben", Some(new.as_str()), None, restore("am_db")).await.expect("is taken");
    kit.settle().await;
    let reborn = Evidence::holds(format!("{INCARNATION_OF}am_db"), "reborn");
    agent.work(&kit, "0.1@is-1", Ending::Succeeded, vec![reborn]).await;
    assert_eq!(agent.peer.offers(), [], "shared_db is as the failed job left it");
    assert!(kit.wait_of("3.1@is-1").why.contains("restore shared_db"), "{:?}", kit.waits());
}

/// Rule 23: the way back after a superseding plan is the backup from before the migration, where it was made, whatever the
/// new plan says of its own.
#[tokio::test(start_paused = true)]
async fn a_restore_after_a_superseding_plan_takes_the_backup_from_before_the_job() {
    let moved = serde_json::to_string(&night("4h").plan).expect("JSON").replace("/backup", "/elsewhere");
    let moved = hashed(serde_json::from_str(&moved).expect("a plan"));
    for kept in [true, false] {
        let (kit, mut agent) = begun().await;
        agent.fail_the_job(&kit).await;
        let old = kit.run().id;
        let all = ["all"];
        let (keep, undo): (&[&str], &[&str]) = if kept { (&all, &[]) } else { (&[], &all) };
        let new = kit.order("ben", None, None, taking_over(moved.clone(), &old, keep, undo)).await.expect("is open").run;
        kit.settle().await;
        if !kept {
            // What the new run saves holds what the failed job left.
            for step in ["0.1@is-1", "1.1@is-1", "2.1@is-1"] {
                agent.work(&kit, step, Ending::Succeeded, Vec::new()).await;
            }
        }
        kit.order("ben", Some(new.as_str()), None, restore("am_db")).await.expect("is taken");
        kit.settle().await;
        let step = if kept { "0.1@is-1" } else { "0.2@is-1" };
        let offer = agent.work(&kit, step, Ending::Succeeded, Vec::new()).await;
        let Action::Restore(ordered) = offer.step.action else { panic!("no restore") };
        assert_eq!(ordered.from, format!("/backup/{old}/am_db"), "kept: {kept}");
    }
}

/// 11, decision on windows: the run waits at the border of the stage; a restore is the way back and waits for no window.
#[tokio::test(start_paused = true)]
async fn a_stage_waits_at_its_border_and_the_window_can_be_moved() {
    let mut night = night("4h").plan;
    let last = night.stages.pop().expect("a stage");
    let mut text = serde_json::to_value(&last).expect("JSON");
    let before = step("3.0@is-1", edit("prepared"));
    text["steps"].as_array_mut().expect("steps").insert(0, before);
    night.stages.push(serde_json::from_value(text).expect("a stage"));
    night.window = Some(cavalcade_common::plan::Window { end: at("2026-11-23T02:30:00Z") });
    let takes = |text: &str| cavalcade_common::plan::Takes(duration::parse(text).expect("a duration"));
    let known = [("s1.work", "15min"), ("s2.work", "15min"), ("migration", "2h")];
    night.expected = known.iter().map(|(name, text)| ((*name).to_owned(), takes(text))).collect();
    let mut kit = Kit::new().await;
    kit.apply(&hashed(night), Scope::default(), none()).await;
    let mut agent = Worker { peer: kit.connect("is-1.host").await, seq: 0 };
    for step in ["1.1@is-1", "2.1@is-1"] {
        agent.work(&kit, step, Ending::Succeeded, Vec::new()).await;
    }
    assert_eq!(agent.peer.offers(), [], "the edit before the job waits too");
    assert_eq!(kit.wait_of("3.0@is-1").kind, WaitKind::Window);
    kit.order("ben", None, None, restore("am_db")).await.expect("is taken");
    kit.settle().await;
    agent.work(&kit, "0.1@is-1", Ending::Succeeded, Vec::new()).await;
    let moved = Verb::Resume { window: Some(WindowWord::Ends(at("2026-11-23T06:00:00Z"))), why: "agreed".to_owned() };
    kit.order("ben", None, None, moved).await.expect("is taken");
    kit.settle().await;
    agent.work(&kit, "3.0@is-1", Ending::Succeeded, Vec::new()).await;
    assert_eq!(agent.peer.offers().len(), 1, "{:?}", kit.waits());
}
