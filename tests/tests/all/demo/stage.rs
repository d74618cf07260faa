//! The demo as it ran, and ways to look at what it left.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cavalcade_controller::view::document::{Status, StepStatus};
use cavalcade_tests::{
    standin::{
        packs,
        peer::Address,
        witness::{self, Line},
    },
    upgrade::extent::Extent,
};
use serde_json::Value;
use tempfile::TempDir;
use toml_edit::{DocumentMut, Item};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
pub(super) const IDENTITY_SERVERS: [&str; 2] = ["is-1", "is-2"];
pub(super) const API_MANAGERS: [&str; 4] = ["am-1", "tm-1", "gw-1", "gw-2"];

/// The script on the programs of this build.
pub(super) fn command(arguments: &[&str]) -> Command {
    let programs = Path::new(env!("CARGO_BIN_EXE_standin-java")).parent().unwrap();
    let mut command = Command::new(Path::new(REPOSITORY).join("deploy/demo"));
    command.args(arguments).env("CAVALCADE_PROGRAMS", programs).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs it.
pub(super) fn script(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Ends what a demo left running.
struct Left(PathBuf);

impl Drop for Left {
    fn drop(&mut self) {
        let _stopped = script(&["--stop", "--dir", &self.0.display().to_string()]);
    }
}

/// What an earlier demo left: its files, one that was fetched, and an agent that goes on.
struct EarlierRun {
    folder: PathBuf,
    agent: Child,
}

impl EarlierRun {
    fn leave(folder: &Path) -> Self {
        for name in ["hosts/is-1/wso2is-5.11.0/x", "controller/journal.db", "mariadb/x", "fetched/x", ".cavalcade-demo"] {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "of an earlier run").unwrap();
        }
        let mut agent = Command::new("sleep");
        let agent = agent.arg0(folder.join("bin/cavalcade-agent")).arg("3600").stdout(Stdio::null()).spawn().unwrap();
        Self { folder: folder.to_owned(), agent }
    }

    fn check_gone(mut self) {
        assert!(self.agent.try_wait().unwrap().is_some(), "the earlier run's agent was ended");
        assert!(!self.folder.join("hosts/is-1/wso2is-5.11.0/x").exists() && !self.folder.join("mariadb/x").exists());
        assert_eq!(fs::read_to_string(self.folder.join("fetched/x")).unwrap(), "of an earlier run", "what was fetched stays");
    }
}

impl Drop for EarlierRun {
    fn drop(&mut self) {
        let _ended = self.agent.kill();
        let _reaped = self.agent.wait();
    }
}

/// Packs as a person has them: by their published names, in a folder of their own, with the databases' content beside them.
pub(super) struct OwnPacks {
    folder: PathBuf,
    extent: Extent,
    _parent: TempDir,
}

impl OwnPacks {
    pub(super) fn new(extent: Extent) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().canonicalize().unwrap().join("wso2");
        Self { folder, extent, _parent: parent }
    }

    /// The JDK's servers tell the witness of this demo.
    fn lay_out(&self, demo: &Path) {
        packs::write_all(&self.folder).unwrap();
        for (name, _) in self.extent.databases() {
            fs::write(self.folder.join(format!("{name}-3.1.0.sql")), self.extent.data(name)).unwrap();
        }
        let java = Path::new(env!("CARGO_BIN_EXE_standin-java"));
        let settings = serde_json::json!({ "start": 1.0, "migration": { "per_order": 0.3 } });
        packs::jdk::install(&self.folder.join("jdk"), java, Some(&demo.join("witness.jsonl")), &settings).unwrap();
    }
}

/// One line of the demo's list of nodes.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) offset: u16,
}

impl Host {
    /// The URL of one of its servers.
    pub(super) fn url(&self, base: u16) -> String {
        format!("https://{}:{}", self.address, base + self.offset)
    }
}

/// A demo that ran with `--keep`.
pub(super) struct Demo {
    pub(super) folder: PathBuf,
    pub(super) said: String,
    pub(super) report: Value,
    pub(super) hosts: Vec<Host>,
    /// Whether the old fleet used everything.
    pub(super) full: bool,
    _left: Left,
    _parent: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// Two demos at once take their ports from the same range: one after the other.
static TURN: Mutex<()> = Mutex::new(());

impl Demo {
    /// A second run in a folder where an earlier one was left as it stood; with packs of one's own where there are some.
    pub(super) fn run(options: &[&str], own: Option<&OwnPacks>) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().canonicalize().unwrap().join("demo");
        let left = Left(folder.clone());
        let earlier = EarlierRun::leave(&folder);
        let elsewhere = ["home", "tmp", "work"].map(|name| parent.path().join(name));
        elsewhere.iter().for_each(|place| fs::create_dir(place).unwrap());
        let arguments = [options, &["--keep", "--dir", folder.to_str().unwrap()]].concat();
        let mut command = command(&arguments);
        command.env("HOME", &elsewhere[0]).env("TMPDIR", &elsewhere[1]).current_dir(&elsewhere[2]);
        if let Some(own) = own {
            own.lay_out(&folder);
            command.arg("--packs").arg(&own.folder).env("JAVA_HOME", own.folder.join("jdk"));
        }
        let ended = command.output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        assert!(ended.status.success(), "{}\n{said}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr));
        earlier.check_gone();
        for place in &elsewhere {
            assert_eq!(fs::read_dir(place).unwrap().count(), 0, "nothing stays behind in {}", place.display());
        }
        let hosts = fs::read_to_string(folder.join("nodes")).unwrap().lines().map(host).collect();
        let full = options.contains(&"--full");
        let mut demo = Self { folder, said, report: Value::Null, hosts, full, _left: left, _parent: parent, _turn: turn };
        demo.report = serde_json::from_str(&demo.cavalcade(&["report", "upgrade.plan", "--output", "json"])).unwrap();
        demo
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn operator(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.path("bin/cavalcade"));
        command.arg("--state").arg(self.path("controller")).args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// An operator's command that succeeds.
    pub(super) fn cavalcade(&self, arguments: &[&str]) -> String {
        let ended = self.operator(arguments);
        assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    }

    /// An operator's command that does not; what it prints.
    pub(super) fn refused(&self, arguments: &[&str]) -> String {
        let ended = self.operator(arguments);
        let said = String::from_utf8(ended.stdout).unwrap();
        assert!(!ended.status.success(), "{arguments:?}: {said}");
        said
    }

    /// What an operator's command prints, whatever its end.
    pub(super) fn told(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.operator(arguments).stdout).unwrap()
    }

    pub(super) fn status(&self) -> Status {
        serde_json::from_str(&self.cavalcade(&["status", "--output", "json"])).unwrap()
    }

    /// Every step of the run.
    pub(super) fn steps(&self) -> Vec<StepStatus> {
        self.status().runs.remove(0).stages.into_iter().flat_map(|stage| stage.steps).collect()
    }

    /// The steps of one row of the guide; they succeeded.
    pub(super) fn row(&self, row: &str) -> Vec<StepStatus> {
        let mut steps = self.steps();
        steps.retain(|step| step.row.as_deref() == Some(row));
        assert!(!steps.is_empty(), "no step of row {row}");
        for step in &steps {
            assert_eq!(step.state, "succeeded", "row {row}, {} {}", step.step, step.name);
        }
        steps
    }

    /// Whether the run has a step of this row and name.
    pub(super) fn has_step(&self, row: &str, name: &str) -> bool {
        self.steps().iter().any(|step| step.row.as_deref() == Some(row) && step.name == name)
    }

    /// The nodes of a row's steps of one name, in the plan's order.
    pub(super) fn nodes_of(&self, row: &str, name: &str) -> Vec<String> {
        self.row(row).into_iter().filter(|step| step.name == name).map(|step| step.node).collect()
    }

    /// The outcome of a step.
    pub(super) fn outcome(&self, step: &StepStatus) -> &Value {
        &self.report["outcomes"][&step.step]
    }

    pub(super) fn host(&self, node: &str) -> &Host {
        self.hosts.iter().find(|host| host.name == node).unwrap()
    }

    pub(super) fn new_home(&self, node: &str) -> PathBuf {
        let product = if IDENTITY_SERVERS.contains(&node) { "wso2is-5.11.0" } else { "wso2am-4.0.0" };
        self.path("hosts").join(node).join(product)
    }

    pub(super) fn old_home(&self, node: &str) -> PathBuf {
        let product = if IDENTITY_SERVERS.contains(&node) { "wso2is-km-5.10.0" } else { "wso2am-3.1.0" };
        self.path("hosts").join(node).join(product)
    }

    /// The new deployment.toml of a node.
    pub(super) fn toml(&self, node: &str) -> DocumentMut {
        self.toml_text(node).parse().unwrap()
    }

    /// The old one.
    pub(super) fn old_toml(&self, node: &str) -> DocumentMut {
        fs::read_to_string(self.old_home(node).join("repository/conf/deployment.toml")).unwrap().parse().unwrap()
    }

    pub(super) fn toml_text(&self, node: &str) -> String {
        fs::read_to_string(self.new_home(node).join("repository/conf/deployment.toml")).unwrap()
    }

    /// Names in a folder of a new home that start and end like this.
    pub(super) fn found(&self, node: &str, folder: &str, start: &str, end: &str) -> Vec<String> {
        let entries = fs::read_dir(self.new_home(node).join(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.starts_with(start) && name.ends_with(end));
        names.sort();
        names
    }

    /// What was witnessed of one kind, in order.
    pub(super) fn lines(&self, what: &str) -> Vec<Line> {
        let mut lines = witness::read(&self.path("witness.jsonl")).unwrap();
        lines.retain(|line| line.what == what);
        lines
    }

    /// The same, of one home.
    pub(super) fn lines_of(&self, what: &str, home: &Path) -> Vec<Line> {
        let mut lines = self.lines(what);
        lines.retain(|line| Path::new(&line.home) == home);
        lines
    }

    /// The answer of the demo's database.
    pub(super) fn sql(&self, database: &str, query: &str) -> String {
        let mut client = Command::new(self.path("mariadb-bin/mariadb"));
        client.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--execute", query, database]);
        let ended = client.arg(format!("--socket={}", self.path("mariadb.sock").display())).output().unwrap();
        assert!(ended.status.success(), "{query}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap().trim().to_owned()
    }

    /// Status and body of a GET.
    pub(super) async fn get(&self, node: &str, base: u16, path: &str) -> (u16, String) {
        let address = Address::of_url(&self.host(node).url(base)).unwrap();
        let (status, body) = address.ask("GET", path, &[], "").await.unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

fn host(line: &str) -> Host {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, address, offset, _] = words.as_slice() else { panic!("{line}") };
    Host { name: (*name).to_owned(), address: (*address).to_owned(), offset: offset.parse().unwrap() }
}

/// A text in a toml by its dotted path.
pub(super) fn text<'a>(toml: &'a DocumentMut, path: &str) -> Option<&'a str> {
    item(toml, path)?.as_str()
}

/// An item in a toml by its dotted path.
pub(super) fn item<'a>(toml: &'a DocumentMut, path: &str) -> Option<&'a Item> {
    path.split('.').try_fold(toml.as_item(), |item, key| item.get(key))
}
