use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgAction, Command, value_parser};

use super::*;
use crate::error::Fault;

const FORM: Form = Form { schema: "cavalcade.test/1", name: "test.yaml", without: &["explain"] };

/// Cargo sets this variable for every test; no test sets any.
const SET: &str = "CARGO_PKG_NAME";

fn program() -> Command {
    let config = Arg::new(OPTION).long("config").global(true).env("CAVALCADE_TEST_CONFIG").value_parser(value_parser!(OsString));
    let state = Arg::new("state").long("state").global(true).env("CAVALCADE_TEST_STATE").default_value("/var/lib/x");
    let state = state.value_parser(value_parser!(PathBuf));
    let form = Arg::new("form").long("form").env("CAVALCADE_TEST_FORM").value_parser(["table", "json"]).default_value("table");
    let port = Arg::new("port").long("port").env("CAVALCADE_TEST_PORT").value_parser(value_parser!(u16)).required(true);
    let names = Arg::new("name").long("name").env("CAVALCADE_TEST_NAME").action(ArgAction::Append).value_delimiter(',');
    let set = Arg::new("set").long("set").env(SET);
    let serve = Command::new("serve").args([port, names, set, form.clone()]);
    let node = Command::new("node").subcommand(Command::new("list").arg(form));
    Command::new("program").args([config, state]).subcommands([serve, node, Command::new("explain")])
}

struct Given {
    folder: tempfile::TempDir,
}

impl Given {
    fn text(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("test.yaml"), text).expect("is written");
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("test.yaml")
    }

    fn parse(&self, words: &[&str]) -> Result<Parsed, Refused> {
        let mut arguments: Vec<OsString> = ["program", "--config"].map(OsString::from).into();
        arguments.push(self.file().into());
        arguments.extend(words.iter().map(OsString::from));
        parse(&program(), &FORM, &arguments)
    }

    fn faults(&self) -> Vec<Fault> {
        match self.parse(&["node", "list"]) {
            Err(Refused::File { faults, .. }) => faults.0,
            other => panic!("{other:?}"),
        }
    }
}

fn value<'m, T: Clone + Send + Sync + 'static>(matches: &'m ArgMatches, id: &str) -> Option<&'m T> {
    matches.get_one::<T>(id)
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let given = Given::text(
        "schema: cavalcade.test/1\ntest_state: /srv/x\ntest_form: json\ntest_port: '7'\ncargo_pkg_name: of the file\n",
    );
    let parsed = given.parse(&["serve"]).expect("is read");
    let (_, serve) = parsed.matches.subcommand().expect("a command");
    assert_eq!(value::<PathBuf>(serve, "state").map(PathBuf::as_path), Some(Path::new("/srv/x")), "file over default");
    assert_eq!(value::<u16>(serve, "port"), Some(&7), "what must be given may stand in the file");
    assert_eq!(value::<String>(serve, "set").map(String::as_str), Some(env!("CARGO_PKG_NAME")), "environment over file");
    let parsed = given.parse(&["serve", "--set", "flag", "--form", "table", "--state", "/x"]).expect("is read");
    let (_, serve) = parsed.matches.subcommand().expect("a command");
    let texts = ["set", "form"].map(|id| value::<String>(serve, id).map(String::as_str));
    assert_eq!(texts, [Some("flag"), Some("table")], "flag over both");
    assert_eq!(value::<PathBuf>(&parsed.matches, "state").map(PathBuf::as_path), Some(Path::new("/x")));

    let shown = shown(&program(), &parsed.matches, parsed.file.as_ref());
    let from = shown.iter().map(|o| (o.key.as_str(), o.value.as_str(), o.from.clone()));
    let wanted = [
        ("cargo_pkg_name", env!("CARGO_PKG_NAME"), From::Environment),
        ("test_form", "json", From::File(3)),
        ("test_name", "", From::Nowhere),
        ("test_port", "7", From::File(4)),
        ("test_state", "/x", From::Flag),
    ];
    assert!(from.eq(wanted), "{shown:?}");
    assert_eq!(shown[1].commands, ["node list", "serve"]);
}

#[test]
fn an_option_that_may_be_given_again_takes_a_list() {
    let given = Given::text("schema: cavalcade.test/1\ntest_port: '7'\ntest_name: [a.example, b.example]\n");
    let parsed = given.parse(&["serve"]).expect("is read");
    let (_, serve) = parsed.matches.subcommand().expect("a command");
    let names: Vec<&String> = serve.get_many("name").expect("names").collect();
    assert_eq!(names, ["a.example", "b.example"]);
}

#[test]
fn every_fault_of_the_file_is_told_with_its_place() {
    let given = Given::text(
        "schema: cavalcade.test/2\ntest_sate: /x\ntest_state: a/b\ntest_form: jsn\ntest_port: 7\ntest_name: {a: b}\nother: 1\n",
    );
    let faults = given.faults();
    let seen: Vec<_> = faults.iter().map(|f| (f.code.0, f.place.as_ref().map(|p| (p.line, p.column)))).collect();
    let wanted = [(1117, 1, 9), (1106, 2, 1), (1110, 3, 13), (1110, 4, 12), (1109, 5, 12), (1109, 6, 12), (1106, 7, 1)];
    assert_eq!(seen, wanted.map(|(code, line, column)| (code, Some((line, column)))));
    let helps: Vec<_> = [1, 3].map(|i: usize| faults[i].help.as_deref()).into();
    assert_eq!(helps, [Some("`test_state` exists"), Some("`json` exists")]);
    let all = "it has: cargo_pkg_name, test_form, test_name, test_port, test_state";
    assert_eq!(faults[6].help.as_deref(), Some(all), "the file's own place is no key of it");
    assert_eq!(given.file().display().to_string(), faults[1].place.as_ref().expect("a place").file);
}

#[test]
fn a_value_is_judged_by_the_parser_of_its_option() {
    let faults = Given::text("schema: cavalcade.test/1\ntest_port: '70000'\n").faults();
    assert_eq!(faults[0].message, "`test_port` cannot be \"70000\": 70000 is not in 0..=65535");
}

#[test]
fn a_secret_is_refused_and_never_shown() {
    for text in ["db_password: hunter2", "Token: hunter2", "database: { admin: { passphrase: hunter2 } }"] {
        let given = Given::text(&format!("schema: cavalcade.test/1\n{text}\n"));
        let Err(Refused::File { faults, sources, .. }) = given.parse(&["serve"]) else { panic!("{text}") };
        let told = crate::render::faults(&faults, &sources, "Nothing was changed.", false);
        assert!(told.contains("CVL-1119") && told.contains(":2") && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let given = Given::text("");
    std::fs::remove_file(given.file()).expect("is removed");
    assert_eq!(given.faults()[0].code.0, 1120);
    std::fs::create_dir(given.file()).expect("a folder");
    assert_eq!(given.faults()[0].code.0, 1120, "a folder is no file");
}

#[test]
fn help_and_what_explains_errors_work_whatever_the_file_is_like() {
    let given = Given::text("}{");
    assert_eq!(given.faults()[0].code.0, 1101);
    assert!(given.parse(&["explain"]).expect("is read").file.is_none());
    let Err(Refused::Line(help)) = given.parse(&["serve", "--help"]) else { panic!("no help") };
    assert_eq!(help.kind(), ErrorKind::DisplayHelp);
    let Err(Refused::Line(wrong)) = given.parse(&["explain", "--bogus"]) else { panic!("no error") };
    assert_eq!(wrong.kind(), ErrorKind::UnknownArgument);
}

#[test]
fn an_empty_file_gives_nothing() {
    for text in ["", "# nothing yet\n"] {
        let given = Given::text(text);
        let parsed = given.parse(&["node", "list"]).expect("is read");
        assert_eq!(value::<PathBuf>(&parsed.matches, "state").map(PathBuf::as_path), Some(Path::new("/var/lib/x")), "{text:?}");
    }
}

#[test]
fn the_users_own_file_is_read_before_that_of_the_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |below: &str| {
        let file = folder.path().join(below).join("cavalcade/none-such.yaml");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("is made");
        std::fs::write(&file, "").expect("is written");
        file
    };
    let usual = |variables: &[(&str, &Path)]| {
        let of = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_os_str().to_owned());
        place::usual("none-such.yaml", of)
    };
    let (home, xdg) = (folder.path().join("home"), folder.path().join("xdg"));
    assert_eq!(usual(&[("HOME", &home)]), None);
    let at_home = at("home/.config");
    assert_eq!(usual(&[("HOME", &home)]), Some(at_home));
    assert_eq!(usual(&[("HOME", &home), ("XDG_CONFIG_HOME", &xdg)]), None, "the variable replaces the folder");
    let at_xdg = at("xdg");
    assert_eq!(usual(&[("HOME", &home), ("XDG_CONFIG_HOME", &xdg)]), Some(at_xdg));
    assert_eq!(usual(&[("HOME", Path::new("relative"))]), None);
}
