//! Files: previews that change nothing, edits that are made once, input that is refused.

use std::fs;

use nix::fcntl::{Flock, FlockArg};
use serde_json::json;

use super::machine::Machine;

const TOML: &str = "# ours\n[server]\nhostname = \"old\"   # note\noffset = 0\n\n[super_admin]\npassword = \"very-secret\"\n";

/// A machine with a home, and steps that edit it.
fn machine() -> (Machine, String) {
    let machine = Machine::new();
    let file = machine.write("home/repository/conf/deployment.toml", TOML);
    let steps = format!(
        "- step: host\n  row: C1\n  toml: {{ file: {0}, set: {{ server.hostname: new, super_admin.password: 'also-secret' }} }}\n\
         - {{ step: never, when: \"facts.type == 'ldap'\", remove: [{0}] }}\n\
         - {{ step: marker, text: {{ file: {1}, content: \"made\\n\" }} }}\n",
        file.display(),
        machine.path("home/marker.txt").display(),
    );
    let steps = machine.write("steps.yaml", steps).display().to_string();
    machine.write("facts.yaml", "type: jdbc\n");
    (machine, steps)
}

#[test]
fn a_preview_shows_true_diffs_and_changes_nothing() {
    let (machine, steps) = machine();
    let facts = machine.path("facts.yaml").display().to_string();
    let before = machine.tree();
    let seen = machine.run(&[&steps, "--facts", &facts, "--preview"]).ended(0);
    assert_eq!(seen.outcomes(), [("never", "left-out"), ("host", "would-change"), ("marker", "would-change")]);
    let diff = seen.step("host")["changes"][0]["diff"].as_str().unwrap();
    assert!(diff.contains("-hostname = \"old\"") && diff.contains("+hostname = \"new\""), "{diff}");
    assert!(!seen.out.contains("very-secret") && !seen.out.contains("also-secret"), "{}", seen.out);
    assert_eq!(machine.tree(), before, "no ledger, no lock, no folder");
    assert!(!machine.path("state").exists());
}

#[test]
fn the_second_run_changes_nothing() {
    let (machine, steps) = machine();
    let facts = machine.path("facts.yaml").display().to_string();
    let first = machine.run(&[&steps, "--facts", &facts]).ended(0);
    assert_eq!(first.outcomes(), [("never", "left-out"), ("host", "changed"), ("marker", "changed")]);
    let line = first.step("host");
    assert_eq!((&line["schema"], &line["row"], &line["number"]), (&json!("cavalcade.step-run/1"), &json!("C1"), &json!(1)));
    assert!(line["changes"][0]["diff"].as_str().unwrap().contains("+hostname = \"new\""), "{line}");
    assert!(line["evidence"].as_array().unwrap().iter().all(|e| e["holds"] == true), "{line}");
    assert!(!first.out.contains("very-secret") && !first.err.contains("secret"), "{first:#?}");
    let text = fs::read_to_string(machine.path("home/repository/conf/deployment.toml")).unwrap();
    assert_eq!(text, TOML.replace("\"old\"", "\"new\"").replace("very-secret", "also-secret"));

    let home = super::machine::tree(&machine.path("home"));
    let second = machine.run(&[&steps, "--facts", &facts]).ended(0);
    assert_eq!(second.outcomes(), [("never", "left-out"), ("host", "unchanged"), ("marker", "unchanged")]);
    assert_eq!(super::machine::tree(&machine.path("home")), home);
    assert_ne!(first.step("host")["attempt"], second.step("host")["attempt"], "each invocation is a run of its own");
}

#[test]
fn input_that_is_not_sound_is_shown_with_its_place_and_changes_nothing() {
    let (machine, _) = machine();
    let before = machine.tree();
    let cases = [
        ("- { step: a, when: facts.typ == 'x', remove: [/tmp/x] }\n", "error[CVL-1107]"),
        ("- { stage: a, steps: [] }\n", "error[CVL-1116]"),
        ("- { step: a, toml: { file: /a, sett: {} } }\n", "error[CVL-1106]"),
        ("- { step: a, unpack: { artifact: pack, to: /a } }\n", "error[CVL-1118]"),
        ("- { step: a, remove: [/a] }\n- { step: a, remove: [/a] }\n", "error[CVL-1110]"),
        ("- { step: a, remove: [/a\n", "error[CVL-1101]"),
    ];
    for (text, code) in cases {
        let steps = machine.write("bad.yaml", text).display().to_string();
        let facts = machine.path("facts.yaml").display().to_string();
        let seen = machine.run(&[&steps, "--facts", &facts]).ended(2);
        assert!(seen.err.contains(code) && seen.err.contains("bad.yaml:"), "{}", seen.err);
        assert!(seen.err.contains("Nothing was changed.") && seen.err.contains("1 | "), "{}", seen.err);
        assert_eq!(seen.lines[0]["changed"], "Nothing was changed.");
        fs::remove_file(steps).unwrap();
    }
    let seen = machine.run(&["/nowhere/steps.yaml"]).ended(2);
    assert!(seen.err.contains("error[CVL-1120]"), "{}", seen.err);
    let mut after = machine.tree();
    // Its time changed: `bad.yaml` came and went.
    after.remove(&machine.path("")).zip(before.get(&machine.path(""))).unwrap();
    assert!(after.iter().all(|(path, entry)| before.get(path) == Some(entry)), "{after:#?}");
}

#[test]
fn a_failed_step_ends_the_run() {
    let (machine, _) = machine();
    let file = machine.path("home/repository/conf/deployment.toml");
    let steps = format!(
        "- {{ step: first, text: {{ file: {0}, content: \"x\\n\" }} }}\n\
         - {{ step: fails, retry: {{ times: 1, wait: 10ms }}, text: {{ file: {1}, replace: [{{ find: absent, with: b }}] }} }}\n\
         - {{ step: after, remove: [{0}] }}\n",
        machine.path("home/first.txt").display(),
        file.display(),
    );
    let steps = machine.write("steps.yaml", steps).display().to_string();
    let seen = machine.run(&[&steps]).ended(1);
    assert_eq!(seen.outcomes(), [("first", "changed"), ("fails", "failed"), ("after", "not-run")]);
    assert!(seen.step("fails")["attempt"].as_str().unwrap().ends_with("#2"), "its own retry was used: {seen:#?}");
    assert!(seen.step("fails")["fault"]["code"].is_number());
    assert!(seen.err.contains("1 of 3 steps changed something: first."), "{}", seen.err);
    assert!(machine.path("home/first.txt").exists());
    assert_eq!(fs::read_to_string(file).unwrap(), TOML);
}

#[test]
fn a_home_that_somebody_works_on_is_left_alone() {
    let (machine, _) = machine();
    let home = machine.path("home");
    let steps = format!("- {{ step: a, text: {{ file: {}, content: x }} }}\n", home.join("a").display());
    let steps = machine.write("steps.yaml", steps).display().to_string();
    let values = json!({ "name": "n-1", "node": { "id": "n-1", "new": { "home": home } } });
    let names = json!({ "node": "n-1", "host": "host-1", "values": values });
    let names = machine.write("names.json", names.to_string()).display().to_string();
    let lock = fs::File::create(machine.path(".home.cavalcade-lock")).unwrap();
    let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).unwrap();
    // Whatever --state says.
    for state in ["state-1", "state-2"] {
        let state = machine.path(state).display().to_string();
        let seen = machine.run(&[&steps, "--node", &names, "--state", &state]).ended(9);
        let holder = format!("process {}", std::process::id());
        assert!(seen.err.contains("CVL-3015") && seen.err.replace("\n    ", " ").contains(&holder), "{}", seen.err);
    }
    drop(lock);
    machine.run(&[&steps, "--node", &names]).ended(0);
    assert!(home.join("a").exists());
}

#[test]
fn a_person_reads_a_table() {
    let (machine, steps) = machine();
    let facts = machine.path("facts.yaml").display().to_string();
    let seen = machine.run(&[&steps, "--facts", &facts, "--output", "table"]);
    assert_eq!(seen.code, Some(2), "the option stands twice: {seen:#?}");
    let output = machine.command(&[&steps, "--facts", &facts]);
    let arguments: Vec<_> = output.get_args().map(ToOwned::to_owned).filter(|a| a != "--output" && a != "json").collect();
    let mut command = std::process::Command::new(output.get_program());
    command.args(arguments).envs(output.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("~ host (C1)") && text.contains("changed") && text.contains("+hostname = \"new\""), "{text}");
    assert!(text.contains("- never") && text.contains("facts.type = jdbc"), "{text}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("3 steps: 2 changed, 1 left out. 2 of 2 steps changed something: host, marker."), "{said}");
}
