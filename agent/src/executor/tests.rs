//! An executor with a real ledger, real children and real locks, whose process dies and comes back.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use cavalcade_common::action::{Action, CommandLine, Evidence, Job, RemoveFiles, Runtime, ServerOp};
use cavalcade_common::codes;
use cavalcade_common::error::Code;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{EffectKey, Generation};
use cavalcade_common::message::ApprovedRepeat;
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::{Ending, Report, Sight};
use cavalcade_common::secret::marker;
use serde_json::json;

use super::*;
use crate::action::Act;
use crate::action::real_kit::{Machine, NORMAL, NoArtifacts, kill_both, until};
use crate::host::secrets::HostSecrets;
use crate::host::{HeldSpec, HeldState};
use crate::ledger::tests::{on_a_full_disk, outcome};

struct Deaf;

impl LineSink for Deaf {
    fn line(&self, _: &LineOrigin, _: &str, _: &str) {}
}

/// An agent on a machine with one home.
struct Agent {
    machine: Machine,
    executor: Arc<Executor>,
}

impl Agent {
    fn new() -> Self {
        let machine = Machine::new(NORMAL);
        let ledger = Ledger::create(&*machine.host, &machine.at("state/ledger")).unwrap();
        Self::with(machine, ledger)
    }

    fn with(machine: Machine, ledger: Ledger) -> Self {
        let executor = Executor::new(Parts {
            host: machine.host.clone(),
            state_dir: machine.at("state"),
            ledger,
            artifacts: Arc::new(NoArtifacts),
            lines: Arc::new(Deaf),
            secrets: Arc::new(HostSecrets),
            bugs: Bugs::default(),
        });
        Self { machine, executor }
    }

    /// The process ends where it stands, and another one starts.
    async fn again(self) -> Self {
        let Self { machine, executor } = self;
        executor.abort();
        while Arc::strong_count(&executor) > 1 {
            tokio::task::yield_now().await;
        }
        drop(executor);
        let ledger = Ledger::open(&*machine.host, &machine.at("state/ledger")).unwrap();
        Self::with(machine, ledger)
    }

    /// Attempt `number` of the only step.
    fn offer(&self, number: u32, action: &Action) -> Offer {
        let step = json!({ "key": "1.1@is-1", "host": "h-1", "name": "s", "action": action, "timeout": "60s" });
        let step: PlanStep = serde_json::from_value(step).unwrap();
        Offer {
            attempt: AttemptId { run: RunId::new("r1").unwrap(), step: step.key.clone(), number },
            epoch: Epoch(1),
            generation: Generation(0),
            step,
            home: Some(self.machine.home()),
            incarnations: BTreeMap::new(),
            secrets: BTreeMap::new(),
            also_hide: BTreeMap::new(),
            given: GivenSecrets::default(),
            hide: Vec::new(),
            approved: None,
            decision: None,
        }
    }

    /// A command that tells each of its runs.
    fn command(&self, and_then: &str, repeatable: bool) -> CommandLine {
        CommandLine {
            effect: None,
            command: ["/bin/sh".to_owned(), "-c".to_owned(), format!("echo run >> runs; {and_then}")].to_vec(),
            cwd: self.machine.home(),
            runtime: self.machine.runtime(),
            exit: vec![0],
            repeatable,
            present: Vec::new(),
            absent: Vec::new(),
            forbid: Vec::new(),
            within: Duration::from_secs(60),
        }
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.machine.at("home/runs")).unwrap_or_default().lines().count()
    }

    /// What the records of an earlier process say of an attempt that it began.
    fn begun(&self, offer: &Offer) {
        let mut ledger = self.executor.ledger();
        ledger.accept(offer.clone()).unwrap();
        ledger.intend(&offer.attempt).unwrap();
    }

    /// A child in the attempt's folder that stays until the machine is gone; it has ended where the script is empty.
    async fn hold(&self, attempt: &AttemptId, stays: bool) {
        let script = if stays { "while [ ! -e stop-now ] && [ -e ../home ]; do sleep 0.03; done" } else { "exit 0" };
        let dir = self.executor.attempt_dir(attempt);
        let spec = HeldSpec {
            dir: dir.clone(),
            command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            cwd: self.machine.at("home"),
            runtime: Runtime::default(),
            one_launch: false,
            outlives_agent: false,
        };
        self.machine.host.hold(&spec).unwrap();
        until("the child", || match self.machine.host.held(&dir, false).unwrap() {
            Some(HeldState::Alive { .. }) => stays.then_some(()),
            Some(HeldState::Ended { .. }) => Some(()),
            Some(HeldState::NeverBegan | HeldState::Vanished) | None => None,
        })
        .await;
    }

    fn phase(&self, attempt: &AttemptId) -> Phase {
        self.executor.ledger().state().attempts[attempt].phase
    }

    /// Waits for the executor's next word until `look` finds something.
    async fn heard<T>(&self, what: &str, mut look: impl FnMut(&Executor) -> Option<T>) -> T {
        let heard = async {
            loop {
                match look(&self.executor) {
                    Some(found) => return found,
                    None => self.executor.news.notified().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), heard).await.unwrap_or_else(|_| panic!("never came: {what}"))
    }

    /// How an attempt ended: with its fault's code, if it has one; `None`: abandoned.
    async fn end(&self, attempt: &AttemptId) -> Option<(Ending, Option<Code>)> {
        self.heard("the end", |executor| {
            let ledger = executor.ledger();
            ledger.state().unacked.values().find_map(|report| match report {
                Report::Ended { attempt: of, outcome } if of == attempt => {
                    Some(Some((outcome.ending, outcome.fault.as_ref().map(|f| f.code))))
                }
                Report::Abandoned { attempt: of, .. } if of == attempt => Some(None),
                Report::Accepted { .. } | Report::Began { .. } | Report::WorkEnded { .. } => None,
                Report::Ended { .. } | Report::Abandoned { .. } => None,
            })
        })
        .await
    }
}

const SUCCEEDED: Option<(Ending, Option<Code>)> = Some((Ending::Succeeded, None));

fn failed(code: Code) -> Option<(Ending, Option<Code>)> {
    Some((Ending::Failed, Some(code)))
}

#[tokio::test]
async fn an_attempt_withdrawn_before_it_came_never_begins() {
    let agent = Agent::new();
    let offer = agent.offer(1, &Action::Command(agent.command("true", false)));
    agent.executor.ledger().fence(Epoch(1), Generation(0)).unwrap();
    agent.executor.withdraw(&offer.attempt, Epoch(0)).unwrap();
    assert!(agent.executor.ledger().state().attempts.is_empty(), "a controller of an older term withdraws nothing");
    agent.executor.withdraw(&offer.attempt, Epoch(1)).unwrap();
    assert_eq!(agent.end(&offer.attempt).await, None);

    let agent = agent.again().await;
    assert_eq!(agent.executor.offer(offer.clone()).unwrap(), Admitted::Known);
    assert!(!agent.executor.is_running(&offer.attempt));
    assert_eq!(agent.end(&offer.attempt).await, None, "the late offer is answered with what the ledger says");
    assert_eq!(agent.phase(&offer.attempt), Phase::Abandoned);
    assert_eq!(agent.runs(), 0);
}

#[tokio::test]
async fn a_start_by_hand_and_one_of_a_run_are_one_effect() {
    let agent = Agent::new();
    let action = Action::Command(agent.command("true", false));
    let start = |run: &str, key: &str| {
        let mut offer = agent.offer(1, &action);
        offer.attempt.run = RunId::new(run).unwrap();
        offer.step.effect = Some(EffectKey(key.to_owned()));
        offer
    };
    let by_hand = start("step-1", "once");
    agent.executor.offer(by_hand.clone()).unwrap();
    assert_eq!(agent.end(&by_hand.attempt).await, SUCCEEDED);

    let of_run = start("r1", "once am_db@1");
    agent.executor.offer(of_run.clone()).unwrap();
    assert_eq!(agent.end(&of_run.attempt).await, failed(codes::agent::EFFECT_EXISTS));
    assert_eq!(agent.runs(), 1);

    // A person's word names the start that it replaces, by either form of the key.
    let mut decided = start("r2", "once am_db@1");
    let approval = |key: &str, replaces: &Offer| {
        Some(ApprovedRepeat { effect: EffectKey(key.to_owned()), replaces: replaces.attempt.clone(), says: String::new() })
    };
    decided.approved = approval("once am_db@1", &by_hand);
    agent.executor.offer(decided.clone()).unwrap();
    assert_eq!(agent.end(&decided.attempt).await, SUCCEEDED);
    let mut again = start("step-2", "once");
    again.approved = approval("once", &by_hand);
    agent.executor.offer(again.clone()).unwrap();
    assert_eq!(agent.end(&again.attempt).await, failed(codes::agent::EFFECT_EXISTS), "one decision, one start");
    let mut again = start("step-3", "once");
    again.approved = approval("once am_db@1", &decided);
    agent.executor.offer(again.clone()).unwrap();
    assert_eq!(agent.end(&again.attempt).await, SUCCEEDED);
    assert_eq!(agent.runs(), 3);
}

#[tokio::test]
async fn what_began_waits_for_a_busy_home_and_is_never_given_back() {
    let agent = Agent::new();
    let action = Action::Command(agent.command("true", true));
    let home = agent.machine.at("home");
    let busy = agent.machine.host.lock_home(&home).unwrap().unwrap();
    let new = agent.offer(1, &action);
    agent.executor.offer(new.clone()).unwrap();
    assert_eq!(agent.end(&new.attempt).await, None, "nothing of it had begun");

    let began = agent.offer(2, &action);
    agent.begun(&began);
    let agent = agent.again().await;
    assert_eq!(agent.executor.offer(began.clone()).unwrap(), Admitted::Confirmed);
    let label = agent
        .heard("a word about the lock", |executor| {
            let ended = matches!(executor.ledger().state().attempts[&began.attempt].phase, Phase::Abandoned | Phase::Ended(_));
            assert!(!ended, "a busy lock says nothing of what began");
            executor.take_progress().remove(&began.attempt).map(|progress| progress.label)
        })
        .await;
    assert!(label.starts_with("waits: another program holds the lock of"), "{label}");
    assert_eq!((agent.phase(&began.attempt), agent.runs()), (Phase::Intended, 0));
    drop(busy);
    assert_eq!(agent.end(&began.attempt).await, SUCCEEDED);
    assert_eq!(agent.runs(), 1);
}

#[tokio::test]
async fn a_restart_repeats_nothing_before_it_is_confirmed() {
    let agent = Agent::new();
    let wait = "while [ ! -e go ]; do sleep 0.03; done";
    let offer = agent.offer(1, &Action::Command(agent.command(wait, true)));
    agent.executor.offer(offer.clone()).unwrap();
    until("the run", || (agent.runs() == 1).then_some(())).await;
    let dir = agent.executor.attempt_dir(&offer.attempt);
    let agent = agent.again().await;
    kill_both(&dir);
    let vanished = || (agent.machine.host.held(&dir, false).unwrap() == Some(HeldState::Vanished)).then_some(());
    until("the end of both", vanished).await;
    agent.executor.adopt();
    assert!(!agent.executor.is_running(&offer.attempt), "a repeatable command would run again");
    assert_eq!(
        agent.executor.unconfirmed(),
        std::slice::from_ref(&offer.attempt),
        "until it is confirmed, every heartbeat asks for it"
    );

    fs::write(agent.machine.at("home/go"), "").unwrap();
    assert_eq!(agent.executor.offer(offer.clone()).unwrap(), Admitted::Confirmed);
    assert!(agent.executor.unconfirmed().is_empty());
    assert_eq!(agent.end(&offer.attempt).await, SUCCEEDED);
    assert_eq!(agent.runs(), 2);
}

#[tokio::test]
async fn a_restart_signals_no_server_before_it_is_confirmed() {
    let agent = Agent::new();
    let machine = &agent.machine;
    machine.server(ServerOp::Start).apply(&machine.context(1, false)).await.unwrap();
    let stop = agent.offer(1, &Action::Server(machine.server(ServerOp::Stop)));
    agent.begun(&stop);
    agent.hold(&stop.attempt, false).await;
    let agent = agent.again().await;
    agent.executor.adopt();
    assert!(!agent.executor.is_running(&stop.attempt), "a stop whose script has ended would send TERM");
    assert_eq!(agent.machine.processes().len(), 1);
    assert_eq!(agent.executor.offer(stop.clone()).unwrap(), Admitted::Confirmed);
    assert_eq!(agent.end(&stop.attempt).await, SUCCEEDED);
    assert!(agent.machine.processes().is_empty());
}

#[tokio::test]
async fn a_restart_watches_what_lives() {
    let agent = Agent::new();
    let offer = agent.offer(1, &Action::Command(agent.command("while [ ! -e go ]; do sleep 0.03; done", false)));
    agent.executor.offer(offer.clone()).unwrap();
    until("the run", || (agent.runs() == 1).then_some(())).await;
    let agent = agent.again().await;
    agent.executor.adopt();
    assert!(agent.executor.is_running(&offer.attempt));
    fs::write(agent.machine.at("home/go"), "").unwrap();
    assert_eq!(agent.end(&offer.attempt).await, SUCCEEDED);
    assert_eq!(agent.runs(), 1);
}

#[tokio::test]
async fn a_ledger_that_was_set_back_starts_nothing_twice() {
    let agent = Agent::new();
    let path = agent.machine.at("state/ledger");
    let before = fs::read(&path).unwrap();
    let offer = agent.offer(1, &Action::Command(agent.command("true", false)));
    agent.executor.offer(offer.clone()).unwrap();
    assert_eq!(agent.end(&offer.attempt).await, SUCCEEDED);
    fs::write(&path, before).unwrap();
    let agent = agent.again().await;
    assert_eq!(agent.executor.offer(offer.clone()).unwrap(), Admitted::Started, "the ledger does not know it");
    assert_eq!(agent.end(&offer.attempt).await, SUCCEEDED);
    assert_eq!(agent.runs(), 1, "its folder does");
}

#[tokio::test]
async fn a_retry_is_refused_while_an_earlier_attempt_lives_though_it_ended() {
    let agent = Agent::new();
    let action = Action::Command(agent.command("true", false));
    let first = agent.offer(1, &action);
    agent.begun(&first);
    agent.hold(&first.attempt, true).await;
    // Killing it did not help: it was given up.
    agent.executor.ledger().end(&first.attempt, outcome(Ending::Failed)).unwrap();
    let second = agent.offer(2, &action);
    agent.executor.offer(second.clone()).unwrap();
    assert_eq!(agent.end(&second.attempt).await, failed(codes::agent::ATTEMPT_LIVES));
    assert_eq!(agent.runs(), 0);

    fs::write(agent.machine.at("home/stop-now"), "").unwrap();
    let dir = agent.executor.attempt_dir(&first.attempt);
    until("its end", || (!matches!(agent.machine.host.held(&dir, false).unwrap(), Some(HeldState::Alive { .. }))).then_some(()))
        .await;
    let third = agent.offer(3, &action);
    agent.executor.offer(third.clone()).unwrap();
    assert_eq!(agent.end(&third.attempt).await, SUCCEEDED);
}

#[tokio::test]
async fn a_stop_leaves_a_job_alone_whose_work_has_not_ended() {
    let agent = Agent::new();
    let machine = &agent.machine;
    let migration = Job {
        effect: "is-migration".to_owned(),
        home: machine.home(),
        command: vec!["bin/wso2server.sh".to_owned(), "-Dmigrate".to_owned()],
        runtime: machine.runtime(),
        databases: Vec::new(),
        log: None,
        ends: vec!["WSO2 Carbon started in".to_owned()],
        evidence: Evidence { require: Vec::new(), forbid: Vec::new(), sequence: None },
        progress: None,
        alarm_after: Duration::from_secs(3600),
    };
    machine.server(ServerOp::Start).apply(&machine.context(1, false)).await.unwrap();
    let job = agent.offer(1, &Action::Job(migration));
    agent.begun(&job);
    agent.hold(&job.attempt, true).await;
    // Nobody could tell, and a person called it done without a look at its process.
    agent.executor.ledger().end(&job.attempt, outcome(Ending::Indeterminate)).unwrap();

    let stop = |number| {
        let mut offer = agent.offer(number, &Action::Server(machine.server(ServerOp::Stop)));
        offer.attempt.step = "1.2@is-1".parse().unwrap();
        offer.step.key = offer.attempt.step.clone();
        offer
    };
    let refused = stop(1);
    agent.executor.offer(refused.clone()).unwrap();
    assert_eq!(agent.end(&refused.attempt).await, failed(codes::server::JOB_LIVES));
    assert_eq!(machine.processes().len(), 1, "its server was signalled");

    agent.executor.ledger().work_ended(&job.attempt, "WSO2 Carbon started in 9 sec").unwrap();
    let allowed = stop(2);
    agent.executor.offer(allowed.clone()).unwrap();
    assert_eq!(agent.end(&allowed.attempt).await, SUCCEEDED);
    assert!(machine.processes().is_empty());
}

#[tokio::test]
async fn an_offer_that_no_record_takes_is_answered_and_the_agent_goes_on() {
    let agent = Agent::new();
    let paths = (0..30_000).map(|n| format!("/opt/wso2/a/folder/of/many/files/{n}")).collect();
    let large = agent.offer(1, &Action::Remove(RemoveFiles { paths }));
    assert_eq!(agent.executor.offer(large.clone()).unwrap(), Admitted::TooLarge);
    assert_eq!(agent.end(&large.attempt).await, failed(codes::agent::RECORD_SIZE));
    let agent = agent.again().await;
    assert_eq!(agent.executor.offer(large.clone()).unwrap(), Admitted::Known, "the same offer once more");
    assert_eq!(agent.end(&large.attempt).await, failed(codes::agent::RECORD_SIZE));
    let next = agent.offer(2, &Action::Command(agent.command("true", false)));
    agent.executor.offer(next.clone()).unwrap();
    assert_eq!(agent.end(&next.attempt).await, SUCCEEDED);
}

#[tokio::test]
async fn a_secret_among_arguments_is_refused_by_the_agent_too() {
    let agent = Agent::new();
    let mut command = agent.command("true", false);
    command.command.push(marker("am"));
    let mut offer = agent.offer(1, &Action::Command(command));
    offer.secrets.insert("am".to_owned(), SecretRef::Exec(vec!["/bin/echo".to_owned(), "value".to_owned()]));
    agent.executor.offer(offer.clone()).unwrap();
    assert_eq!(agent.end(&offer.attempt).await, failed(codes::written::SECRET_ARGUMENT));
    assert_eq!(agent.runs(), 0);
}

#[tokio::test]
async fn without_room_a_step_is_refused_and_the_agent_goes_on() {
    let machine = Machine::new(NORMAL);
    let ledger = on_a_full_disk(&machine.at("state/ledger"));
    let agent = Agent::with(machine, ledger);
    for number in 1..=2 {
        let offer = agent.offer(number, &Action::Command(agent.command("true", false)));
        agent.executor.offer(offer.clone()).unwrap();
        assert_eq!(agent.end(&offer.attempt).await, failed(codes::agent::LEDGER_ROOM));
    }
    assert_eq!(agent.runs(), 0);
    assert!(agent.executor.take_failure().is_none());
}

/// 10, rule 14.
#[test]
fn only_root_that_a_person_named_starts_anything_as_root() {
    let machine = Machine::new(NORMAL);
    let mut server = machine.server(ServerOp::Start);
    let starts = |server: &cavalcade_common::action::Server| Action::Server(server.clone());
    server.runtime.run_as = Some("root".to_owned());
    assert_eq!(forbidden::root_unsaid(&starts(&server), true), None);
    server.runtime.run_as = None;
    assert_eq!(forbidden::root_unsaid(&starts(&server), false), None);
    let fault = forbidden::root_unsaid(&starts(&server), true).expect("nobody said so");
    assert_eq!(fault.code, codes::agent::ROOT_UNSAID);
    server.op = ServerOp::Down;
    assert_eq!(forbidden::root_unsaid(&starts(&server), true), None, "a look starts nothing");
}

#[tokio::test]
async fn an_agent_that_is_root_refuses_before_intent() {
    let agent = Agent::new();
    let mut command = agent.command("true", true);
    command.runtime.run_as = None;
    let offer = agent.offer(1, &Action::Command(command));
    agent.executor.offer(offer.clone()).unwrap();
    let end = agent.end(&offer.attempt).await;
    let began = |report: &Report| matches!(report, Report::Began { .. });
    let began = agent.executor.ledger().state().unacked.values().any(began);
    if crate::host::owner::is_root() {
        assert_eq!((end, began, agent.runs()), (failed(codes::agent::ROOT_UNSAID), false, 0));
    } else {
        assert_eq!((end, began, agent.runs()), (SUCCEEDED, true, 1));
    }
}

#[tokio::test]
async fn what_a_look_saw_of_a_server_travels_with_the_end() {
    let agent = Agent::new();
    let offer = agent.offer(1, &Action::Server(agent.machine.server(ServerOp::Down)));
    let before = agent.machine.host.now();
    agent.executor.offer(offer.clone()).unwrap();
    assert_eq!(agent.end(&offer.attempt).await, SUCCEEDED);
    let ledger = agent.executor.ledger();
    let observed = ledger.state().unacked.values().find_map(|report| match report {
        Report::Ended { outcome, .. } => Some(outcome.observed.clone()),
        _ => None,
    });
    let observed = observed.unwrap();
    assert_eq!(observed.len(), 1, "the second look saw nothing new");
    assert_eq!((observed[0].home.clone(), observed[0].sight), (agent.machine.home(), Sight::Down));
    assert!(observed[0].at >= before, "the moment of the look");
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod secrets;
