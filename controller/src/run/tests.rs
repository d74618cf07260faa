//! The loop with a journal in memory, agents that the tests play, and a clock that they set.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::Incarnation;
use cavalcade_common::message::{FromAgent, Heartbeat, Hello, LINK_VERSION};
use cavalcade_common::plan::{HashedPlan, Plan};
use cavalcade_common::secret::{SecretRef, SecretValue, marker};
use cavalcade_common::{codes, duration};
use serde_json::{Value, json};

use super::input::{Order, Verb, WindowWord};
use super::*;
use crate::event::Scope;
use crate::journal::MemoryJournal;
use crate::schedule::wait::{Wait, WaitKind};
use crate::state::RunState;
use crate::state::step::Phase;

struct SetClock(Mutex<Timestamp>);

impl WallClock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A controller under test; `restart` puts another process on the same journal and vault file.
struct Kit {
    journal: Arc<MemoryJournal>,
    state_dir: tempfile::TempDir,
    clock: Arc<SetClock>,
    inputs: mpsc::Sender<Input>,
    view: watch::Receiver<Arc<View>>,
    vault: Arc<Vault>,
    sessions: u64,
}

/// One agent's end of a session.
struct Peer {
    host: HostId,
    session: SessionId,
    from_controller: mpsc::Receiver<ToAgent>,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

impl Kit {
    async fn new() -> Self {
        let state_dir = tempfile::tempdir().expect("a folder");
        let journal = Arc::new(MemoryJournal::new(crate::journal::abort_process()));
        let clock = Arc::new(SetClock(Mutex::new(at("2026-11-23T01:00:00Z"))));
        let (inputs, view, vault) = Self::begin(&journal, &clock, &state_dir).await;
        Self { journal, state_dir, clock, inputs, view, vault, sessions: 0 }
    }

    async fn begin(
        journal: &Arc<MemoryJournal>,
        clock: &Arc<SetClock>,
        state_dir: &tempfile::TempDir,
    ) -> (mpsc::Sender<Input>, watch::Receiver<Arc<View>>, Arc<Vault>) {
        let (inputs, taken) = mpsc::channel(INPUT_ROOM);
        let (publish, view) = watch::channel(Arc::new(View::default()));
        let vault = Arc::new(Vault::open(state_dir.path()).expect("opens"));
        let run_loop = RunLoop::open(journal.clone(), clock.clone(), taken, publish).await.expect("replays");
        tokio::spawn(run_loop.with_vault(vault.clone()).run());
        (inputs, view, vault)
    }

    async fn restart(&mut self) {
        (self.inputs, self.view, self.vault) = Self::begin(&self.journal, &self.clock, &self.state_dir).await;
    }

    async fn order(&self, who: &str, run: Option<&str>, at: Option<u64>, verb: Verb) -> Result<Done, Fault> {
        let (reply, answer) = oneshot::channel();
        let order = Box::new(Order { run: run.map(str::to_owned), at, verb });
        self.inputs.send(Input::Verb { who: Who(who.to_owned()), order, reply }).await.expect("takes");
        answer.await.expect("answers")
    }

    async fn apply(&self, plan: &HashedPlan, scope: Scope, given: GivenSecrets) -> Done {
        self.vault.make(&plan.plan.fleet, &plan.plan.secrets).expect("is made");
        let verb = Verb::Apply { plan: Box::new(plan.clone()), scope, waived: Vec::new(), supersedes: None, given };
        self.order("anna", None, None, verb).await.expect("is open")
    }

    async fn connect(&mut self, host: &str) -> Peer {
        self.sessions += 1;
        let (session, host) = (SessionId(self.sessions), HostId::new(host).expect("a name"));
        let (to, from_controller) = mpsc::channel(64);
        let hello = hello(host.as_str(), self.clock.now());
        let up = Input::SessionUp { host: host.clone(), session, hello: Box::new(hello), to };
        self.inputs.send(up).await.expect("takes");
        let peer = Peer { host, session, from_controller };
        self.beat(&peer).await;
        peer
    }

    async fn beat(&self, peer: &Peer) {
        self.says(peer, FromAgent::Heartbeat(Heartbeat { count: 1, running: 0, resident_kib: 1, unconfirmed: Vec::new() })).await;
    }

    async fn says(&self, peer: &Peer, message: FromAgent) {
        let input = Input::Message { host: peer.host.clone(), session: peer.session, message };
        self.inputs.send(input).await.expect("takes");
        self.settle().await;
    }

    /// Until everything that was sent is worked on, and a tick more.
    async fn settle(&self) {
        tokio::time::sleep(TICK * 2).await;
    }

    fn run(&self) -> RunState {
        self.view.borrow().state.runs.values().next().expect("a run").clone()
    }

    fn waits(&self) -> Vec<Wait> {
        self.view.borrow().schedules.values().flat_map(|s| s.waits.clone()).collect()
    }

    fn wait_of(&self, step: &str) -> Wait {
        let key: StepKey = step.parse().expect("a step");
        self.waits().into_iter().find(|w| w.step.as_ref() == Some(&key)).unwrap_or_else(|| panic!("{step}: {:?}", self.waits()))
    }

    /// Everything that the journal holds, as text.
    async fn journaled(&self) -> String {
        let entries = self.journal.read(1, 10_000).await.expect("is read");
        entries.iter().map(|e| e.body.to_string()).collect()
    }

    /// 04, promise 10: what does not move names what it waits for, or stands behind a step of its node that does.
    fn everything_is_named(&self) {
        let (run, waits) = (self.run(), self.waits());
        for stage in &run.plan.plan.stages {
            let stage_waits = waits.iter().any(|w| w.step.is_none() && (w.stage == stage.number || w.stage == 0));
            for node in &stage.nodes {
                let first = stage.steps.iter().filter(|s| &s.key.node == node).find(|s| !run.finished(s));
                let Some(first) = first else { continue };
                let moves = run.step(&first.key).is_some_and(|s| s.phase.is_under_way());
                let named = waits.iter().any(|w| w.step.as_ref() == Some(&first.key));
                assert!(moves || named || stage_waits, "{} names nothing: {waits:?}", first.key);
            }
        }
    }
}

fn hello(host: &str, now: Timestamp) -> Hello {
    Hello {
        version: LINK_VERSION,
        host: HostId::new(host).expect("a name"),
        incarnation: Incarnation("ab".repeat(16)),
        program: "test".to_owned(),
        highest_epoch: Epoch(0),
        last_seq: 0,
        acked: 0,
        marks: BTreeMap::new(),
        open: Vec::new(),
        utc_offset_seconds: 0,
        zone: String::new(),
        now,
    }
}

impl Peer {
    /// What came since the last call.
    fn offers(&mut self) -> Vec<Offer> {
        let mut offers = Vec::new();
        while let Ok(message) = self.from_controller.try_recv() {
            if let ToAgent::Offer(offer) = message {
                offers.push(*offer);
            }
        }
        offers
    }
}

fn step(key: &str, action: Value) -> Value {
    let node = key.split_once('@').expect("a step").1;
    json!({ "key": key, "host": format!("{node}.host"), "name": "work", "action": action, "timeout": "10min" })
}

fn edit(value: &str) -> Value {
    json!({ "toml": { "file": "/opt/x.toml", "set": { "a": value } } })
}

fn job() -> Value {
    json!({ "job": {
        "effect": "migration", "home": "/opt/new", "command": ["bin/x"], "databases": ["am_db"], "ends": ["done"],
        "evidence": { "require": ["done"] }, "alarm_after": "4h",
    } })
}

fn stage(number: u32, nodes: &[&str], action: &Value, rest: Value) -> Value {
    let mut stage = json!({
        "number": number, "id": format!("s{number}"), "title": "a stage", "nodes": nodes,
        "after": (1..number).collect::<Vec<_>>(), "undo": "files", "batch": { "size": 1, "canary": 0, "failure_budget": 0 },
        "steps": nodes.iter().map(|n| step(&format!("{number}.1@{n}"), action.clone())).collect::<Vec<_>>(),
    });
    if let (Some(stage), Value::Object(rest)) = (stage.as_object_mut(), rest) {
        stage.extend(rest);
    }
    stage
}

fn plan(fleet: &str, stages: Vec<Value>, secrets: Value) -> Plan {
    let node = |id: &str| {
        json!({ "id": id, "host": format!("{id}.host"), "role": "identity-server",
            "new": { "home": format!("/opt/{fleet}") } })
    };
    serde_json::from_value(json!({
        "schema": "cavalcade.plan/1", "id": "x", "fleet": fleet, "recipe": { "name": "r", "sha256": "ab".repeat(32) },
        "made_at": "2026-11-23T01:00:00Z", "made_by": "anna", "made_with": "0.1.0", "facts_at": "2026-11-23T00:59:00Z",
        "nodes": [node("is-1"), node("is-2")], "databases": {}, "stages": stages, "omitted": [], "decided_by": [],
        "secrets": secrets, "artifacts": [], "hide": [], "remarks": [],
    }))
    .expect("a plan")
}

fn hashed(plan: Plan) -> HashedPlan {
    HashedPlan::new(plan).expect("has a digest")
}

fn with_secret(place: Value) -> HashedPlan {
    hashed(plan("emea", vec![stage(1, &["is-1"], &edit(&marker("key")), json!({}))], json!({ "key": place })))
}

fn none() -> GivenSecrets {
    GivenSecrets::default()
}

fn give(text: &str) -> Verb {
    Verb::Give { name: "key".to_owned(), value: SecretValue::new(text.to_owned()), repin: None }
}

fn repin(text: &str) -> Verb {
    Verb::Give { name: "key".to_owned(), value: SecretValue::new(text.to_owned()), repin: Some("mistyped".to_owned()) }
}

const VALUE: &str = "canary-value-of-a-person";

#[tokio::test(start_paused = true)]
async fn a_step_waits_for_a_secret_and_goes_on_when_it_is_given() {
    let mut kit = Kit::new().await;
    kit.apply(&with_secret(json!({ "prompt": "the DBA" })), Scope::default(), none()).await;
    let mut agent = kit.connect("is-1.host").await;
    assert_eq!(agent.offers(), []);
    let wait = kit.wait_of("1.1@is-1");
    assert_eq!((wait.kind, wait.person), (WaitKind::Secret, true));
    assert!(wait.why.contains("cavalcade secret give key"), "{}", wait.why);
    let other = Verb::Give { name: "nobody".to_owned(), value: SecretValue::new(VALUE.to_owned()), repin: None };
    assert_eq!(kit.order("ben", None, None, other).await.expect_err("is refused").code, codes::run::NO_SECRET);
    kit.order("ben", None, None, give(VALUE)).await.expect("is taken");
    kit.settle().await;
    let offers = agent.offers();
    assert_eq!(offers[0].given.get("key").map(SecretValue::expose), Some(VALUE));
    assert_eq!(offers[0].secrets["key"], SecretRef::Prompt("the DBA".to_owned()));
    let again = kit.order("ben", None, None, give("another-value")).await.expect_err("is refused");
    assert_eq!(again.code, codes::run::OTHER_SECRET);
    assert!(again.message.contains("`key`") && !again.message.contains("another-value"), "{again}");
    kit.order("ben", None, None, give(VALUE)).await.expect("the same again");
    assert!(!kit.journaled().await.contains("canary-value"), "the journal holds the value");
    assert!(!format!("{:?}", kit.view.borrow()).contains("canary-value"), "the view holds the value");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_it_is_asked_again_and_only_the_same_value_counts() {
    let mut kit = Kit::new().await;
    let given = [("key".to_owned(), SecretValue::new(VALUE.to_owned()))].into_iter().collect();
    kit.apply(&with_secret(json!({ "prompt": "the DBA" })), Scope::default(), given).await;
    let mut agent = kit.connect("is-1.host").await;
    assert_eq!(agent.offers().len(), 1, "given with apply");
    kit.restart().await;
    let mut agent = kit.connect("is-1.host").await;
    assert_eq!(agent.offers(), [], "no offer without the value");
    assert_eq!(kit.wait_of("1.1@is-1").kind, WaitKind::Secret);
    let other = kit.order("ben", None, None, give("another-value")).await.expect_err("is refused");
    assert_eq!(other.code, codes::run::OTHER_SECRET);
    kit.order("ben", None, None, give(VALUE)).await.expect("is taken");
    kit.settle().await;
    assert_eq!(agent.offers()[0].given.get("key").map(SecretValue::expose), Some(VALUE));
    assert_eq!(kit.waits(), []);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_value_is_replaced_until_something_that_stays_was_done_with_it() {
    let mut kit = Kit::new().await;
    let wrong = [("key".to_owned(), SecretValue::new("mistyped-value".to_owned()))].into_iter().collect();
    kit.apply(&with_secret(json!({ "prompt": "the DBA" })), Scope::default(), wrong).await;
    assert_eq!(kit.order("ben", None, None, give(VALUE)).await.expect_err("is refused").code, codes::run::OTHER_SECRET);
    let done = kit.order("ben", None, None, repin(VALUE)).await.expect("is taken");
    assert!(done.says.contains("Nothing used the first one"), "{}", done.says);
    assert_eq!(kit.order("ben", None, None, give("mistyped-value")).await.expect_err("is old").code, codes::run::OTHER_SECRET);
    let note = kit.run().decisions.last().cloned().expect("is noted");
    assert_eq!((note.verb, note.on.as_str(), note.why.as_str()), ("repin", "secret key", "mistyped"));
    let mut agent = kit.connect("is-1.host").await;
    assert_eq!(agent.offers()[0].given.get("key").map(SecretValue::expose), Some(VALUE));
    // The edit that writes it is with the agent: from here on the value stays what it is.
    let used = kit.order("ben", None, None, repin("a-third-value")).await.expect_err("is refused");
    assert_eq!(used.code, codes::run::SECRET_USED);
    assert!(used.message.contains("1.1@is-1"), "{used}");
    assert!(!kit.journaled().await.contains("a-third-value"));
}

#[tokio::test(start_paused = true)]
async fn a_value_for_logins_alone_is_replaced_at_any_time_and_what_used_the_old_one_is_told() {
    let mut kit = Kit::new().await;
    let login = json!({ "tcp": { "address": marker("key"), "within": "1min" } });
    let secrets = json!({ "key": { "prompt": "the DBA" } });
    let plan = hashed(plan("emea", vec![stage(1, &["is-1"], &login, json!({}))], secrets));
    let wrong = [("key".to_owned(), SecretValue::new("mistyped-value".to_owned()))].into_iter().collect();
    kit.apply(&plan, Scope::default(), wrong).await;
    let mut agent = kit.connect("is-1.host").await;
    assert_eq!(agent.offers().len(), 1);
    let done = kit.order("ben", None, None, repin(VALUE)).await.expect("is taken");
    assert!(done.says.contains("1.1@is-1") && done.says.contains("used the first one"), "{}", done.says);
}

#[tokio::test(start_paused = true)]
async fn a_generated_secret_is_the_same_for_every_run_of_the_fleet_and_its_loss_is_named() {
    let mut kit = Kit::new().await;
    let generated = with_secret(json!({ "generate": { "bytes": 32 } }));
    kit.apply(&generated, Scope::default(), none()).await;
    let value = |peer: &mut Peer| peer.offers()[0].given.get("key").map(|v| v.expose().to_owned());
    let first = value(&mut kit.connect("is-1.host").await).expect("is brought");
    kit.restart().await;
    assert_eq!(value(&mut kit.connect("is-1.host").await), Some(first.clone()));
    assert!(!kit.journaled().await.contains(&first), "the journal holds the value");
    // The file is lost: what was encrypted with the first value cannot be read with a second one.
    std::fs::remove_file(kit.state_dir.path().join("secrets.json")).expect("was there");
    kit.restart().await;
    kit.vault.make("emea", &generated.plan.secrets).expect("another one is made");
    kit.settle().await;
    let mut agent = kit.connect("is-1.host").await;
    assert_eq!(agent.offers(), []);
    let wait = kit.wait_of("1.1@is-1");
    assert!(wait.kind == WaitKind::Secret && wait.why.contains("another value"), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn of_two_open_runs_a_verb_names_one() {
    let kit = Kit::new().await;
    let of = |fleet: &str| hashed(plan(fleet, vec![stage(1, &["is-1"], &edit("x"), json!({}))], json!({})));
    let emea = of("emea");
    // What is seen of a server is known by its node's name: two open runs have none in common.
    let order =
        Verb::Apply { plan: Box::new(of("apac")), scope: Scope::default(), waived: Vec::new(), supersedes: None, given: none() };
    let others = serde_json::to_string(&of("apac").plan).expect("JSON").replace("is-", "ap-");
    let apac = hashed(serde_json::from_str(&others).expect("a plan"));
    kit.apply(&emea, Scope::default(), none()).await;
    assert_eq!(kit.order("anna", None, None, order).await.expect_err("is-1 is taken").code, codes::run::RUN_OPEN);
    let second = kit.apply(&apac, Scope::default(), none()).await.run;
    let fault = kit.order("ben", None, None, Verb::Pause).await.expect_err("which one");
    assert_eq!(fault.code, codes::run::NO_RUN);
    assert!(fault.message.contains("fleet emea") && fault.help.is_some_and(|h| h.contains("--run")), "{}", fault.message);
    let done = kit.order("ben", Some(&apac.sha256.as_str()[..10]), None, Verb::Pause).await.expect("is named");
    assert_eq!(done.run, second);
    assert!(kit.order("ben", Some("run-nobody"), None, Verb::Pause).await.is_err());
    kit.order("ben", Some(second.as_str()), None, Verb::Resume { window: None, why: String::new() }).await.expect("is named");
}

#[tokio::test(start_paused = true)]
async fn what_a_person_changed_since_refuses_a_verb_on_the_run() {
    let kit = Kit::new().await;
    let opened = kit.apply(&with_secret(json!({ "prompt": "x" })), Scope::default(), none()).await.position;
    let paused = kit.order("ben", None, Some(opened), Verb::Pause).await.expect("nobody acted").position;
    let cancel = || Verb::Cancel { why: "late".to_owned() };
    let fault = kit.order("anna", None, Some(opened), cancel()).await.expect_err("ben acted");
    assert_eq!(fault.code, codes::run::STEP_CHANGED);
    assert!(fault.message.contains("pause run by ben"), "{}", fault.message);
    kit.order("anna", None, Some(paused), cancel()).await.expect("she saw it");
}

#[tokio::test(start_paused = true)]
async fn a_second_person_approves_where_the_recipe_says_so() {
    for (second_person, who, taken) in [(true, "anna", false), (true, "ben", true), (false, "anna", true)] {
        let kit = Kit::new().await;
        let approval = json!({ "approval": { "by": "dba", "says": "the proof", "second_person": second_person } });
        let plan = hashed(plan("emea", vec![stage(1, &["is-1"], &edit("x"), approval)], json!({})));
        kit.apply(&plan, Scope::default(), none()).await;
        let answer = kit.order(who, None, None, Verb::Approve { stage: 1, says: "seen".to_owned() }).await;
        match answer {
            Ok(_) => assert!(taken, "{who} opened the run"),
            Err(fault) => assert!(!taken && fault.code == codes::run::SECOND_PERSON, "{fault}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_outside_the_scope_name_it_and_everything_else_names_something() {
    let mut kit = Kit::new().await;
    let both = ["is-1", "is-2"];
    let stages = vec![stage(1, &both, &edit("x"), json!({})), stage(2, &both, &edit("y"), json!({}))];
    let plan = hashed(plan("emea", stages, json!({})));
    let only = Scope { until: None, nodes: Some(vec!["is-2".parse().expect("a name")]) };
    kit.apply(&plan, only, none()).await;
    kit.settle().await;
    kit.everything_is_named();
    assert_eq!(kit.wait_of("1.1@is-1").kind, WaitKind::Scope);
    assert_eq!(kit.wait_of("1.1@is-2").kind, WaitKind::Link);
    let _agent = kit.connect("is-2.host").await;
    kit.everything_is_named();
    assert_eq!(kit.run().step(&"1.1@is-2".parse().expect("a step")).map(|s| s.phase), Some(Phase::Offered));
    kit.apply(&plan, Scope::default(), none()).await;
    kit.settle().await;
    kit.everything_is_named();
    assert_eq!(kit.wait_of("1.1@is-1").kind, WaitKind::Batch, "one node at a time");
}

fn in_window(end: &str, expected: &[(&str, &str)]) -> HashedPlan {
    let database = json!({
        "name": "am_db", "engine": "mysql", "host": "db", "port": 3306, "database": "am", "user": "u", "password": "",
        "scratch": "proof",
    });
    let backup = json!({ "backup": { "database": database, "to": "/backup" } });
    let mut plan = plan(
        "emea",
        vec![
            stage(1, &["is-2"], &edit("x"), json!({})),
            stage(2, &["is-1"], &job(), json!({ "after": [] })),
            stage(3, &["is-2"], &backup, json!({})),
        ],
        json!({}),
    );
    plan.window = Some(cavalcade_common::plan::Window { end: at(end) });
    let takes = |text: &str| cavalcade_common::plan::Takes(duration::parse(text).expect("a duration"));
    plan.expected = expected.iter().map(|(name, text)| ((*name).to_owned(), takes(text))).collect::<BTreeMap<_, _>>();
    hashed(plan)
}

#[tokio::test(start_paused = true)]
async fn what_is_never_interrupted_starts_only_where_it_and_its_way_back_end_in_the_window() {
    // It is 01:00; the job takes 2 h, to restore what it changes half an hour.
    for (end, starts) in [("03:30:00", true), ("03:29:59", false), ("02:00:00", false), ("00:30:00", false)] {
        let mut kit = Kit::new().await;
        let plan = in_window(&format!("2026-11-23T{end}Z"), &[("migration", "2h"), ("s3.work", "30min")]);
        kit.apply(&plan, Scope::default(), none()).await;
        let mut agent = kit.connect("is-1.host").await;
        assert_eq!(!agent.offers().is_empty(), starts, "until {end}");
        kit.everything_is_named();
        if starts {
            continue;
        }
        let wait = kit.wait_of("2.1@is-1");
        assert_eq!((wait.kind, wait.person), (WaitKind::Window, true));
        assert!(wait.why.contains("work takes 2h and its way back 30min") && wait.why.contains("--past-window"), "{}", wait.why);
        let mut other = kit.connect("is-2.host").await;
        assert_eq!(other.offers().len(), 1, "an edit starts at any time");
        let past = Verb::Resume { window: Some(WindowWord::Past), why: "the board agreed".to_owned() };
        kit.order("ben", None, None, past).await.expect("is taken");
        kit.settle().await;
        assert_eq!(agent.offers().len(), 1);
        assert!(kit.run().decisions.iter().any(|d| d.why == "the board agreed"));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_known_duration_only_the_end_of_the_window_counts() {
    for (end, starts) in [("01:00:01", true), ("01:00:00", false)] {
        let mut kit = Kit::new().await;
        kit.apply(&in_window(&format!("2026-11-23T{end}Z"), &[]), Scope::default(), none()).await;
        assert_eq!(!kit.connect("is-1.host").await.offers().is_empty(), starts, "until {end}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_obeyed_a_later_controller_is_refused_by_name() {
    let mut kit = Kit::new().await;
    kit.apply(&hashed(plan("emea", vec![stage(1, &["is-1"], &edit("x"), json!({}))], json!({}))), Scope::default(), none()).await;
    let (to, mut from_controller) = mpsc::channel(8);
    kit.sessions += 1;
    let hello = Hello { highest_epoch: Epoch(9), ..hello("is-1.host", kit.clock.now()) };
    let up = Input::SessionUp { host: hello.host.clone(), session: SessionId(kit.sessions), hello: Box::new(hello), to };
    kit.inputs.send(up).await.expect("takes");
    kit.settle().await;
    assert!(matches!(from_controller.try_recv(), Ok(ToAgent::Refuse { .. })));
    let wait = kit.wait_of("1.1@is-1");
    assert!(wait.kind == WaitKind::Link && wait.why.contains("its journal is behind"), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stage_without_steps_opens_nothing_before_its_turn() {
    let mut empty = stage(2, &[], &edit("1"), json!({}));
    let mut behind = stage(3, &["is-2"], &edit("2"), json!({}));
    // As recipes give it: each stage names the one above it.
    (empty["after"], behind["after"]) = (json!([1]), json!([2]));
    let mut kit = Kit::new().await;
    kit.apply(
        &hashed(plan("emea", vec![stage(1, &["is-1"], &edit("0"), json!({})), empty, behind], json!({}))),
        Scope::default(),
        none(),
    )
    .await;
    let mut second = kit.connect("is-2.host").await;
    let mut first = kit.connect("is-1.host").await;
    assert_eq!((first.offers().len(), second.offers().len()), (1, 0));
    let view = kit.view.borrow().clone();
    let run = view.state.open_runs().next().expect("is open");
    assert_eq!(run.stages_finished(), std::collections::BTreeSet::new());
}

#[cfg(test)]
#[path = "ways_out_tests.rs"]
mod ways_out;

#[cfg(test)]
#[path = "alone_tests.rs"]
mod alone;

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod secrets;
#[cfg(test)]
#[path = "set_back_tests.rs"]
mod set_back;
