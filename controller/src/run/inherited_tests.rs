//! Rules 1, 6, 23 over several runs: what a job began is known to the next run, whatever became of the first one, and so is
//! the way back from there.

use super::*;

fn born(name: &str) -> Vec<Evidence> {
    vec![Evidence::holds(format!("{INCARNATION_OF}{name}"), format!("born-{name}"))]
}

async fn afresh(kit: &Kit, plan: &HashedPlan) -> Done {
    let done = kit.apply(plan, Scope::default(), none()).await;
    kit.settle().await;
    done
}

fn run_of(kit: &Kit, run: &RunId) -> RunState {
    kit.view.borrow().state.runs[run].clone()
}

/// A night whose job failed and that was cancelled then.
async fn cancelled() -> (Kit, Worker, RunId) {
    let (kit, mut agent) = begun().await;
    agent.fail_the_job(&kit).await;
    let old = kit.run().id;
    kit.order("ben", None, None, Verb::Cancel { why: "another night".to_owned() }).await.expect("is taken");
    kit.settle().await;
    assert!(kit.run().is_closed());
    (kit, agent, old)
}

#[tokio::test(start_paused = true)]
async fn a_plan_made_afresh_after_a_cancelled_run_restores_each_database_from_before_the_job() {
    let (kit, mut agent, old) = cancelled().await;
    let done = afresh(&kit, &night("8h")).await;
    assert!(done.says.contains(old.as_str()), "{}", done.says);
    // Its own backups hold what the failed job left: they are no way back.
    for (step, name) in [("1.1@is-1", "am_db"), ("2.1@is-1", "shared_db")] {
        agent.work(&kit, step, Ending::Succeeded, born(name)).await;
    }
    for (number, name) in [(1, "am_db"), (2, "shared_db")] {
        assert_eq!(agent.peer.offers(), [], "{name} is as the failed job left it");
        let wait = kit.wait_of("3.1@is-1");
        assert!(wait.person && wait.why.contains(&format!("cavalcade restore {name}")), "{wait:?}");
        kit.order("ben", Some(done.run.as_str()), None, restore(name)).await.expect("is taken");
        kit.settle().await;
        let reborn = vec![Evidence::holds(format!("{INCARNATION_OF}{name}"), format!("reborn-{name}"))];
        let restored = agent.work(&kit, &format!("0.{number}@is-1"), Ending::Succeeded, reborn).await;
        let text = serde_json::to_string(&restored.step.action).expect("JSON");
        assert!(text.contains(&format!("\"/backup/{old}/{name}\"")), "{text}");
    }
    assert_eq!(agent.peer.offers().len(), 1, "{:?}", kit.waits());
}

#[tokio::test(start_paused = true)]
async fn a_database_that_was_made_anew_since_is_not_restored_once_more() {
    let (kit, mut agent, _) = cancelled().await;
    afresh(&kit, &night("8h")).await;
    for (step, name) in [("1.1@is-1", "am_db"), ("2.1@is-1", "shared_db")] {
        let other = vec![Evidence::holds(format!("{INCARNATION_OF}{name}"), format!("made-anew-{name}"))];
        agent.work(&kit, step, Ending::Succeeded, other).await;
    }
    assert_eq!(agent.peer.offers().len(), 1, "{:?}", kit.waits());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_came_to_its_end_in_a_run_before_is_said_to_be_done() {
    let (kit, mut agent) = begun().await;
    for (step, name) in [("1.1@is-1", "am_db"), ("2.1@is-1", "shared_db")] {
        agent.work(&kit, step, Ending::Succeeded, born(name)).await;
    }
    let first = agent.work(&kit, "3.1@is-1", Ending::Succeeded, Vec::new()).await.attempt;
    let run = afresh(&kit, &night("8h")).await.run;
    for (step, name) in [("1.1@is-1", "am_db"), ("2.1@is-1", "shared_db")] {
        agent.work(&kit, step, Ending::Succeeded, born(name)).await;
    }
    let wait = kit.wait_of("3.1@is-1");
    let ways = [first.to_string(), "resolve 3.1@is-1 --done".to_owned(), "cavalcade restore am_db".to_owned()];
    assert!(ways.iter().all(|way| wait.why.contains(way)), "{wait:?}");
    assert_eq!(agent.peer.offers(), []);
    let said = Verb::Resolve { step: job_key(), resolution: Resolution::Done, evidence: false, why: "seen".to_owned() };
    kit.order("ben", Some(run.as_str()), None, said).await.expect("is taken");
    kit.settle().await;
    assert!(run_of(&kit, &run).is_closed());
}

/// A node is replaced by another one: the databases are the same.
#[tokio::test(start_paused = true)]
async fn what_a_job_did_to_databases_from_another_home_is_known() {
    let keyed = |alarm: &str, node: &str| {
        let mut plan = night(alarm).plan;
        let last = plan.stages.last_mut().expect("a stage");
        for step in &mut last.steps {
            step.key.node = node.parse().expect("a name");
            step.host = format!("{node}.host").parse().expect("a name");
            let home = (&step.host.clone(), "/opt/new");
            step.effect = Some(cavalcade_common::id::EffectKey::new("migration", &["db:am".to_owned()], Some(home)));
        }
        last.nodes = vec![node.parse().expect("a name")];
        hashed(plan)
    };
    let mut kit = Kit::new().await;
    kit.apply(&keyed("4h", "is-1"), Scope::default(), none()).await;
    let mut agent = Worker { peer: kit.connect("is-1.host").await, seq: 0 };
    agent.fail_the_job(&kit).await;
    let mut other = kit.connect("is-2.host").await;
    let old = kit.run().id;
    let words = Superseding { run: old, keep: Vec::new(), undo: Vec::new(), why: "is-1 burned".to_owned() };
    let plan = Box::new(keyed("8h", "is-2"));
    let verb = Verb::Apply { plan, scope: Scope::default(), waived: Vec::new(), supersedes: Some(words), given: none() };
    kit.order("ben", None, None, verb).await.expect("is open");
    kit.settle().await;
    assert_eq!(other.offers(), []);
    assert!(kit.wait_of("3.1@is-2").why.contains("cavalcade restore am_db"), "{:?}", kit.waits());
}

/// Rule 18: what was done on a node by hand is known to the run that is open there.
#[tokio::test(start_paused = true)]
async fn a_restore_by_hand_is_one_of_the_open_run() {
    let (kit, mut agent) = begun().await;
    agent.fail_the_job(&kit).await;
    for (number, name) in [(1, "am_db"), (2, "shared_db")] {
        assert!(kit.run().restored.len() < number, "nobody restored {name}");
        let attempt: AttemptId = AttemptId {
            run: format!("hand-{number}").parse().expect("a name"),
            step: "1.1@is-1".parse().expect("a step"),
            number: 1,
        };
        agent.tell(&kit, Report::Accepted { attempt: attempt.clone() }).await;
        let now = kit.clock.now();
        let evidence = vec![Evidence::holds(format!("{INCARNATION_OF}{name}"), "by-hand")];
        let outcome = Outcome { evidence, ..Outcome::bare(Ending::Succeeded, true, now, now) };
        agent.tell(&kit, Report::Ended { attempt, outcome: Box::new(outcome) }).await;
    }
    let run = kit.run();
    assert_eq!(run.incarnations["am_db"], "by-hand");
    assert_eq!(run.decisions.iter().filter(|d| d.verb == "step run" && d.by.0 == "by hand on is-1.host").count(), 2);
    assert_eq!(agent.peer.offers().len(), 1, "both were restored, and the job is open again: {:?}", kit.waits());
}
