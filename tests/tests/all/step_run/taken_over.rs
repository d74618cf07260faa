//! Beside an agent: its ledger is the one that counts, and it reports what was done by hand.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{collections::BTreeMap, fs, path::Path};

use cavalcade_agent::host::machine::own_user;
use cavalcade_agent::{
    host::{real::RealHost, spool::Spool},
    ledger::Ledger,
};
use cavalcade_common::{
    action::{Action, TextEdit},
    id::{AttemptId, EffectKey, Epoch, Generation, RunId, StepKey},
    message::Offer,
    plan::{PlanStep, Retry},
    report::{Ending, Outcome, Report},
};
use serde_json::json;

use super::machine::Machine;

/// An offer of a controller's run on node `n-1`.
fn offer(home: &Path, effect: Option<&str>) -> Offer {
    let key: StepKey = "3.1@n-1".parse().unwrap();
    let action = Action::Text(TextEdit { file: home.join("x").display().to_string(), ..TextEdit::default() });
    let step = PlanStep {
        key: key.clone(),
        host: "host-1".parse().unwrap(),
        name: "by-the-controller".parse().unwrap(),
        row: None,
        note: None,
        action,
        needs: Vec::new(),
        effect: effect.map(|e| EffectKey(e.to_owned())),
        retry: Retry::default(),
        timeout: std::time::Duration::from_secs(60),
    };
    Offer {
        attempt: AttemptId { run: RunId::new("run-7").unwrap(), step: key, number: 1 },
        epoch: Epoch(4),
        generation: Generation(2),
        step,
        home: Some(home.display().to_string()),
        incarnations: BTreeMap::new(),
        secrets: BTreeMap::new(),
        also_hide: BTreeMap::new(),
        given: cavalcade_common::given::GivenSecrets::default(),
        hide: Vec::new(),
        approved: None,
        decision: None,
    }
}

/// A machine with a home, one step for it, and the ledger of an agent.
fn machine() -> (Machine, Vec<String>, Ledger) {
    let machine = Machine::new();
    let home = machine.path("home");
    fs::create_dir(&home).unwrap();
    fs::create_dir(machine.path("agent")).unwrap();
    let ledger = Ledger::create(&RealHost::default(), &machine.path("agent/ledger")).unwrap();
    let values = json!({ "name": "n-1", "node": { "id": "n-1", "new": { "home": home } } });
    let names = json!({ "node": "n-1", "host": "host-1", "values": values });
    machine.write("names.json", names.to_string());
    machine.write("steps.yaml", format!("- {{ step: by-hand, text: {{ file: {}, content: x }} }}\n", home.join("a").display()));
    let path = |name: &str| machine.path(name).display().to_string();
    let arguments = vec![path("steps.yaml"), "--node".to_owned(), path("names.json")];
    (machine, arguments, ledger)
}

fn run(machine: &Machine, arguments: &[String], more: &[&str]) -> super::machine::Ran {
    let all: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    machine.run(&all)
}

#[test]
fn while_a_run_is_open_the_agents_ledger_is_used_and_reports_it() {
    let (machine, arguments, mut ledger) = machine();
    let home = machine.path("home");
    // No attempt is open: the person's own ledger will do.
    run(&machine, &arguments, &[]).ended(0);
    fs::remove_file(home.join("a")).unwrap();

    ledger.fence(Epoch(4), Generation(2)).unwrap();
    ledger.accept(offer(&home, None)).unwrap();
    let refused = run(&machine, &arguments, &[]).ended(9);
    assert!(refused.err.contains("CVL-3052") && refused.err.contains("run-7/3.1@n-1#1"), "{}", refused.err);
    let over = ["--take-over", "--why", "controller is down, CHG12"];
    // `--state` of the command's own environment names another folder.
    let agent = machine.path("agent").display().to_string();
    let over = [&over[..], &["--state", &agent]].concat();
    let refused = run(&machine, &arguments, &over).ended(9);
    assert!(refused.err.contains("CVL-3053") && refused.err.contains("stop it first"), "{}", refused.err);
    assert!(!home.join("a").exists());
    assert_eq!(run(&machine, &arguments, &["--take-over"]).code, Some(2), "not without a reason");

    drop(ledger);
    let done = run(&machine, &arguments, &over).ended(0);
    assert_eq!(done.outcomes(), [("by-hand", "changed")]);
    assert!(done.err.contains("open in this ledger: by-the-controller"), "{}", done.err);
    let ledger = Ledger::open(&RealHost::default(), &machine.path("agent/ledger")).unwrap();
    let by_hand: Vec<&Report> =
        ledger.state().unacked.values().filter(|r| r.attempt().run.as_str().starts_with("step-")).collect();
    assert!(matches!(by_hand[..], [Report::Accepted { .. }, Report::Began { .. }, Report::Ended { .. }]), "{by_hand:?}");
    assert_eq!(ledger.state().epoch, Epoch(4), "the controller's term still stands");
    let lines = Spool::open(&machine.path("agent/spool")).unwrap().next(100).unwrap();
    let told = |what: &str| lines.iter().any(|l| l.text.contains(what) && l.node.as_str() == "n-1");
    assert!(told("controller is down, CHG12") && told("text by-hand: done"), "{lines:?}");
}

#[test]
fn an_effect_belongs_into_the_agents_ledger() {
    let (machine, mut arguments, mut ledger) = machine();
    let home = machine.path("home");
    let command = format!("command: [/usr/bin/touch, {0}/touched], cwd: {0}, run_as: {1}", home.display(), own_user());
    let steps = format!("- {{ step: once, command: {{ effect: touch-it, {command} }} }}\n");
    arguments[0] = machine.write("once.yaml", steps).display().to_string();
    let agent = machine.path("agent").display().to_string();
    let over = ["--take-over", "--why", "by hand", "--state", &agent];

    let refused = run(&machine, &arguments, &[]).ended(9);
    assert!(refused.err.contains("CVL-3052"), "{}", refused.err);

    // The controller's run started it, and it failed.
    let earlier = offer(&home, Some(&format!("touch-it|home:host-1:{}", home.display())));
    ledger.accept(earlier.clone()).unwrap();
    ledger.intend(&earlier.attempt).unwrap();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let outcome = Outcome::bare(Ending::Failed, true, now, now);
    ledger.end(&earlier.attempt, outcome).unwrap();
    drop(ledger);
    let refused = run(&machine, &arguments, &over).ended(9);
    assert_eq!(refused.step("once")["fault"]["code"], 3057, "{refused:#?}");
    assert!(!home.join("touched").exists());

    let decided = [&over[..], &["--again", "once"]].concat();
    assert_eq!(run(&machine, &arguments, &decided).ended(0).outcomes(), [("once", "changed")]);
    assert!(home.join("touched").exists());
    assert_eq!(run(&machine, &arguments, &over).ended(0).outcomes(), [("once", "unchanged")]);
    let ledger = Ledger::open(&RealHost::default(), &machine.path("agent/ledger")).unwrap();
    let effect = ledger.state().effects.earlier(&EffectKey(format!("touch-it|home:host-1:{}", home.display()))).unwrap().1;
    assert_eq!(effect.ending, Some(Ending::Succeeded));
    assert!(effect.attempt.run.as_str().starts_with("step-"), "{effect:?}");
}
