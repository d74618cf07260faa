//! The file with options: who wins, and what is said of a file that is wrong.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::documents::{empty, person, plan, run};
use super::fake::{Said, Session, cavalcade};

/// A folder with a file in it.
struct Config(tempfile::TempDir);

impl Config {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config.yaml"), text).expect("is written");
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("config.yaml")
    }

    /// Runs a command behind it with this environment.
    fn run(&self, environment: &[(&str, &str)], args: &[&str]) -> Said {
        let mut command = cavalcade(args);
        command.current_dir(self.0.path()).env("CAVALCADE_CONFIG", "config.yaml").envs(environment.iter().copied());
        Said::of(command.output().expect("runs"))
    }

    /// Value and origin of a key, as `config show` has them.
    fn shown(&self, environment: &[(&str, &str)], args: &[&str], key: &str) -> [Value; 2] {
        let said = self.run(environment, &[args, &["config", "show", "-o", "json"]].concat()).ends(0);
        let document: Value = serde_json::from_str(&said.out).expect("JSON");
        assert_eq!(document["schema"], "cavalcade.options/1");
        let options = document["options"].as_array().expect("a list");
        let option = options.iter().find(|option| option["key"] == key).expect("is there");
        [option["value"].clone(), option["from"].clone()]
    }
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let config = Config::new("schema: cavalcade.config/1\nstate: /of/the/file\nlog_format: json\nname: [a.example, b.example]\n");
    let environment = [("CAVALCADE_STATE", "/of/the/environment"), ("CAVALCADE_NAME", "c.example")];
    let flag = ["--state", "/of/the/flag"];
    assert_eq!(config.shown(&environment, &flag, "state"), ["/of/the/flag", "flag"]);
    assert_eq!(config.shown(&environment, &[], "state"), ["/of/the/environment", "environment"]);
    assert_eq!(config.shown(&[], &[], "state"), ["/of/the/file", "file"]);
    assert_eq!(config.shown(&[("CAVALCADE_CONFIG", "/dev/null")], &[], "state"), ["/var/lib/cavalcade", "default"]);
    assert_eq!(config.shown(&environment, &[], "name"), ["c.example", "environment"]);
    assert_eq!(config.shown(&[], &[], "name"), ["a.example,b.example", "file"]);
    assert_eq!(config.shown(&[], &[], "operators"), [Value::Null, "nowhere".into()]);
    // What is shown is what commands do.
    config.run(&environment, &["--state", "/of/the/flag", "status"]).ends(8).err_has(&["/of/the/flag/operator.sock"]);
    config.run(&environment, &["status"]).ends(8).err_has(&["/of/the/environment/operator.sock"]);
    config.run(&[], &["status"]).ends(8).err_has(&["/of/the/file/operator.sock"]);
    config.run(&[], &["--config", "/dev/null", "status"]).ends(8).err_has(&["/var/lib/cavalcade/operator.sock"]);
}

#[test]
fn it_is_shown_like_this() {
    let config = Config::new("schema: cavalcade.config/1\n\nstate: /srv/cavalcade\ncolor: never\n");
    let said = config.run(&[("CAVALCADE_OPERATORS", "wheel")], &["config", "show"]).ends(0);
    insta::assert_snapshot!(said.out);
}

#[test]
fn the_form_of_a_result_may_stand_in_the_file() {
    let session = Session::new(empty());
    let config = Config::new("schema: cavalcade.config/1\noutput: json\n");
    let status = |args: &[&str]| Said::of(session.command(args).env("CAVALCADE_CONFIG", config.path()).output().expect("runs"));
    status(&["status"]).ends(0).out_has(&["\"schema\": \"cavalcade.status/1\""]);
    status(&["status", "-o", "table"]).ends(0).out_has(&["No run is open"]);
}

#[test]
fn commands_that_are_printed_reach_the_same_controller() {
    let plan = plan(false);
    let waits = json!([person(Some("1.1@is-1"), 1, "a person: it failed")]);
    let session = Session::new(run(&plan, "going", ["failed", "succeeded", "pending", "pending"], waits));
    let state = session.folder.path().join("state");
    let config = Config::new(&format!("schema: cavalcade.config/1\nstate: {}\n", state.display()));
    config.run(&[], &["status"]).ends(0).out_has(&["  cavalcade retry 1.1@is-1"]);
    let path = config.path().display().to_string();
    let said = Said::of(cavalcade(["--config", &path, "status"]).output().expect("runs"));
    said.ends(0).out_has(&[&format!("  cavalcade --config {path} retry 1.1@is-1")]);
}

#[test]
fn a_wrong_file_ends_every_command_but_those_that_explain_it() {
    let config = Config::new("schema: cavalcade.config/1\nstaet: /srv/cavalcade\nagents: here\ncolor: sometimes\noperators: 7\n");
    let said = config.run(&[], &["status"]).ends(2);
    assert_eq!(said.out, "");
    insta::assert_snapshot!(said.err);
    config.run(&[], &["serve"]).ends(2).err_has(&["CVL-1106"]);
    config.run(&[], &["config", "show"]).ends(2).err_has(&["CVL-1106"]);
    config.run(&[], &["explain", "CVL-1106"]).ends(0).out_has(&["docs/cli.md"]);
    config.run(&[], &["completions", "bash"]).ends(0);
    config.run(&[], &["status", "--help"]).ends(0).out_has(&["CAVALCADE_CONFIG"]);
}

#[test]
fn a_secret_has_no_place_in_it_and_is_not_shown() {
    let config = Config::new("schema: cavalcade.config/1\ntoken: cvl1-hunter2\n");
    let said =
        config.run(&[], &["status"]).ends(2).err_has(&["CVL-1119", "config.yaml:2", "--token-file", "Nothing was changed."]);
    assert!(!said.err.contains("hunter2"), "{}", said.err);
}

#[test]
fn a_file_that_is_named_and_cannot_be_read_is_an_error() {
    let config = Config::new("");
    for path in ["nowhere.yaml", "."] {
        config.run(&[("CAVALCADE_CONFIG", path)], &["status"]).ends(2).err_has(&["CVL-1120", path, "Nothing was changed."]);
    }
}

#[test]
fn the_usual_places_are_looked_at_when_nobody_names_a_file() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join(".config/cavalcade");
    std::fs::create_dir_all(&folder).expect("is made");
    std::fs::write(folder.join("config.yaml"), "schema: cavalcade.config/1\nstate: /of/the/home\n").expect("is written");
    let mut command = cavalcade(["status"]);
    let said = command.env_remove("CAVALCADE_CONFIG").env("HOME", home.path()).output().expect("runs");
    Said::of(said).ends(8).err_has(&["/of/the/home/operator.sock"]);
    // A variable that is set to nothing names nothing.
    let said = cavalcade(["status"]).env("CAVALCADE_CONFIG", "").env("HOME", home.path()).output().expect("runs");
    Said::of(said).ends(8).err_has(&["/of/the/home/operator.sock"]);
}

#[test]
fn a_wrong_command_line_says_that_nothing_was_changed() {
    for args in [&["status", "--bogus"][..], &["skip"], &["bogus"], &["status", "-o", "xml"]] {
        let said = Said::of(cavalcade(args).output().expect("runs")).ends(2);
        assert!(said.err.ends_with("\nNothing was changed.   More: cavalcade explain CVL-1001\n"), "{}", said.err);
    }
    let said = Said::of(cavalcade(["--help"]).output().expect("runs")).ends(0);
    assert_eq!(said.err, "");
}

#[test]
fn the_manual_pages_name_the_variables() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = Said::of(cavalcade(["man", "--out", folder.path().to_str().expect("UTF-8")]).output().expect("runs"));
    said.ends(0);
    let page = std::fs::read_to_string(folder.path().join("cavalcade-serve.1")).expect("a page");
    for variable in ["CAVALCADE_AGENTS", "CAVALCADE_STATE", "CAVALCADE_CONFIG"] {
        assert!(page.contains(variable), "{variable} is missing in {page}");
    }
    assert!(folder.path().join("cavalcade-config-show.1").is_file());
}
