//! Ways out of a night that went wrong: restores, another plan, a person's word.

use cavalcade_common::id::{AttemptId, Generation};
use cavalcade_common::report::{Ending, Evidence, INCARNATION_OF, Outcome, Report};

use super::*;
use crate::event::Resolution;
use crate::run::input::Superseding;

/// A backup of both databases, then a job that changes both.
fn night(alarm: &str) -> HashedPlan {
    let database = |name: &str| {
        json!({ "name": name, "engine": "mysql", "host": "db", "port": 3306, "database": name, "user": "u", "password": "",
            "scratch": "proof" })
    };
    let backup = |name: &str| json!({ "backup": { "database": database(name), "to": "/backup" } });
    let mut migrate = job();
    migrate["job"]["databases"] = json!(["am_db", "shared_db"]);
    migrate["job"]["alarm_after"] = json!(alarm);
    let mut last = stage(3, &["is-1"], &migrate, json!({}));
    last["steps"][0]["effect"] = json!("migration|db:am");
    let stages =
        vec![stage(1, &["is-1"], &backup("am_db"), json!({})), stage(2, &["is-1"], &backup("shared_db"), json!({})), last];
    hashed(plan("emea", stages, json!({})))
}

/// An agent that answers offers.
struct Worker {
    peer: Peer,
    seq: u64,
}

impl Worker {
    async fn tell(&mut self, kit: &Kit, report: Report) {
        self.seq += 1;
        let message = FromAgent::Report { seq: self.seq, mark: None, report };
        let input = Input::Message { host: self.peer.host.clone(), session: self.peer.session, message };
        kit.inputs.send(input).await.expect("takes");
        kit.settle().await;
    }

    /// Takes the next offer and ends it.
    async fn work(&mut self, kit: &Kit, step: &str, ending: Ending, evidence: Vec<Evidence>) -> Offer {
        let offers = self.peer.offers();
        let offer = offers.into_iter().find(|o| o.attempt.step.to_string() == step);
        let offer = offer.unwrap_or_else(|| panic!("no offer of {step}: {:?}", kit.waits()));
        let attempt: AttemptId = offer.attempt.clone();
        self.tell(kit, Report::Accepted { attempt: attempt.clone() }).await;
        self.tell(kit, Report::Began { attempt: attempt.clone() }).await;
        let now = kit.clock.now();
        let outcome = Outcome { evidence, ..Outcome::bare(ending, true, now, now) };
        self.tell(kit, Report::Ended { attempt, outcome: Box::new(outcome) }).await;
        offer
    }

    /// The backups of a night, then its job, which fails.
    async fn fail_the_job(&mut self, kit: &Kit) -> Offer {
        for (step, database) in [("1.1@is-1", "am_db"), ("2.1@is-1", "shared_db")] {
            let born = Evidence::holds(format!("{INCARNATION_OF}{database}"), format!("born-{database}"));
            self.work(kit, step, Ending::Succeeded, vec![born]).await;
        }
        self.work(kit, "3.1@is-1", Ending::Failed, Vec::new()).await
    }
}

async fn begun() -> (Kit, Worker) {
    let mut kit = Kit::new().await;
    kit.apply(&night("4h"), Scope::default(), none()).await;
    let peer = kit.connect("is-1.host").await;
    (kit, Worker { peer, seq: 0 })
}

fn restore(database: &str) -> Verb {
    Verb::Restore { databases: vec![database.to_owned()], why: "again".to_owned() }
}

fn job_key() -> StepKey {
    "3.1@is-1".parse().expect("a step")
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_again_only_when_each_of_its_databases_was_restored() {
    let (kit, mut agent) = begun().await;
    agent.fail_the_job(&kit).await;
    let retry = Verb::Retry { step: job_key(), why: "again".to_owned() };
    assert_eq!(kit.order("ben", None, None, retry).await.expect_err("is refused").code, codes::run::RESTORE_FIRST);
    // A person's word opens the step; it still waits for both databases.
    let not_done =
        Verb::Resolve { step: job_key(), resolution: Resolution::NotDone, evidence: false, why: "it did not".to_owned() };
    kit.order("ben", None, None, not_done).await.expect("is taken");
    kit.settle().await;
    for database in ["am_db", "shared_db"] {
        assert_eq!(agent.peer.offers(), [], "{database} is as the failed job left it");
        let wait = kit.wait_of("3.1@is-1");
        assert!(wait.person && wait.why.contains(&format!("cavalcade restore {database}")), "{wait:?}");
        kit.order("ben", None, None, restore(database)).await.expect("is taken");
        kit.settle().await;
        let number = if database == "am_db" { 1 } else { 2 };
        agent.work(&kit, &format!("0.{number}@is-1"), Ending::Succeeded, Vec::new()).await;
    }
    assert_eq!(agent.peer.offers().len(), 1, "{:?}", kit.waits());
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_failed_is_retried() {
    let (kit, mut agent) = begun().await;
    agent.fail_the_job(&kit).await;
    kit.order("ben", None, None, restore("am_db")).await.expect("is taken");
    kit.settle().await;
    let first = agent.work(&kit, "0.1@is-1", Ending::Failed, Vec::new()).await;
    let retry = Verb::Retry { step: first.attempt.step.clone(), why: "the disk was full".to_owned() };
    kit.order("ben", None, None, retry).await.expect("is taken");
    kit.settle().await;
    let again = agent.work(&kit, "0.1@is-1", Ending::Succeeded, Vec::new()).await;
    let licence = again.approved.expect("may start its effect again");
    assert_eq!(licence.replaces, first.attempt);
}

#[tokio::test(start_paused = true)]
async fn a_superseding_plan_knows_what_the_first_one_did_and_later_runs_are_not_of_the_past() {
    let (kit, mut agent) = begun().await;
    agent.fail_the_job(&kit).await;
    let old = kit.run().id;
    let verb = |plan: HashedPlan, supersedes: Option<RunId>| Verb::Apply {
        plan: Box::new(plan),
        scope: Scope::default(),
        waived: Vec::new(),
        supersedes: supersedes.map(|run| Superseding { run, keep: Vec::new(), undo: Vec::new(), why: String::new() }),
        given: none(),
    };
    let new = kit.order("ben", None, None, verb(night("8h"), Some(old.clone()))).await.expect("is open").run;
    kit.settle().await;
    assert_eq!(agent.peer.offers(), [], "the job of the first run left its databases half done");
    assert!(kit.wait_of("3.1@is-1").why.contains("cavalcade restore am_db"), "{:?}", kit.waits());
    // The backup of the first run is the way back of the second, and its incarnations are known.
    kit.order("ben", Some(new.as_str()), None, restore("am_db")).await.expect("is taken");
    kit.settle().await;
    let restored = agent.work(&kit, "0.1@is-1", Ending::Succeeded, Vec::new()).await;
    assert_eq!((restored.incarnations["am_db"].as_str(), restored.generation), ("born-am_db", Generation(1)));
    let text = serde_json::to_string(&restored.step.action).expect("JSON");
    assert!(text.contains(&format!("\"/backup/{old}/am_db\"")), "{text}");
    let cancel = Verb::Cancel { why: "another night".to_owned() };
    kit.order("ben", Some(new.as_str()), None, cancel).await.expect("is taken");
    kit.settle().await;
    kit.order("ben", None, None, verb(night("9h"), None)).await.expect("is open");
    kit.settle().await;
    assert_eq!(agent.peer.offers()[0].generation, Generation(1), "agents refuse a lower one");
}

#[tokio::test(start_paused = true)]
async fn a_downtime_begins_only_where_its_work_ends_in_the_window() {
    // It is 01:00; backups and the job take two and a half hours together.
    for (end, begins) in [("03:30:00", true), ("03:29:59", false), ("01:00:00", false)] {
        let mut night = night("4h").plan;
        let stop = json!({ "server": { "op": "stop", "home": "/opt/old", "script": "bin/x", "within": "1min" } });
        let down = stage(4, &["is-1"], &stop, json!({ "undo": "start-again", "after": [] }));
        night.stages.push(serde_json::from_value(down).expect("a stage"));
        night.window = Some(cavalcade_common::plan::Window { end: at(&format!("2026-11-23T{end}Z")) });
        let takes = |text: &str| cavalcade_common::plan::Takes(duration::parse(text).expect("a duration"));
        let known = [("s1.work", "15min"), ("s2.work", "15min"), ("migration", "2h")];
        night.expected = known.iter().map(|(name, text)| ((*name).to_owned(), takes(text))).collect();
        let mut kit = Kit::new().await;
        kit.apply(&hashed(night), Scope::default(), none()).await;
        let mut agent = kit.connect("is-1.host").await;
        let offered = agent.offers().iter().any(|o| o.attempt.step.to_string() == "4.1@is-1");
        assert_eq!(offered, begins, "until {end}: {:?}", kit.waits());
        if !begins {
            assert_eq!(kit.wait_of("4.1@is-1").kind, WaitKind::Window);
        }
    }
}

#[cfg(test)]
#[path = "begun_once_tests.rs"]
mod begun_once;
#[cfg(test)]
#[path = "inherited_tests.rs"]
mod inherited;
#[cfg(test)]
#[path = "services_tests.rs"]
mod services;
#[cfg(test)]
#[path = "supersede_tests.rs"]
mod supersede;

#[tokio::test(start_paused = true)]
async fn without_room_for_the_journal_steps_say_so_and_go_on_when_it_is_there_again() {
    let mut kit = Kit::new().await;
    kit.journal.set_in_reserve(true);
    let mut peer = kit.connect("is-1.host").await;
    kit.apply(&hashed(plan("emea", vec![stage(1, &["is-1"], &edit("1"), json!({}))], json!({}))), Scope::default(), none()).await;
    kit.settle().await;
    assert!(peer.offers().is_empty(), "the reserve is for the outcomes of what runs");
    assert_eq!(kit.wait_of("1.1@is-1").kind, WaitKind::Room);
    kit.everything_is_named();
    kit.journal.set_in_reserve(false);
    kit.settle().await;
    assert_eq!(peer.offers().len(), 1, "nobody has to do anything more");
}
