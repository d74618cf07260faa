//! A site for a test: database server, old fleet, controller, agents. What still runs at its end is killed.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use cavalcade_agent::ledger::record::{self, Record};
use cavalcade_common::{id::AttemptId, report::Report};
use cavalcade_controller::plan_file;
use cavalcade_controller::view::document::{RunStatus, Status, StepStatus};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    extent::Extent,
    layout::{self, DatabasePlace, Layout},
    process::{self, Running},
};
use crate::{
    database_server::MariaDb,
    ports,
    standin::{
        fleet::{OldFleet, Role},
        offsets::{HELD, OffsetLease},
        packs,
        witness::{self, Line},
    },
};

/// How long a site waits for what has to come.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// Where the controller listens.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 10, 1);

/// Keeps the folder of a site whose test failed, to be looked at.
const KEEP: &str = "CAVALCADE_KEEP_FAILED";

/// The programs under test.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `cavalcade`.
    pub controller: PathBuf,
    /// `cavalcade-agent`.
    pub agent: PathBuf,
    /// `standin-java`.
    pub java: PathBuf,
}

impl Programs {
    /// Those beside a program of the same build, such as `CARGO_BIN_EXE_standin-java`.
    ///
    /// # Errors
    ///
    /// When they are not built.
    pub fn beside(java: &Path) -> anyhow::Result<Self> {
        let found = |name: &str| {
            let path = java.with_file_name(name);
            ensure!(path.is_file(), "{} is missing: cargo build --workspace --bins", path.display());
            Ok(path)
        };
        Ok(Self { controller: found("cavalcade")?, agent: found("cavalcade-agent")?, java: java.to_owned() })
    }
}

/// What a site is made with.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name, role and profile of its nodes.
    pub nodes: Vec<(&'static str, Role, &'static str)>,
    /// What the old fleet uses.
    pub extent: Extent,
    /// The name of the folder of the hosts' homes.
    pub hosts: &'static str,
    /// Settings of the stand-ins' JDK.
    pub standins: Value,
    /// Options of the recipe.
    pub options: Value,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            nodes: vec![("is-1", Role::Is, "default"), ("is-2", Role::Is, "default"), ("am-1", Role::Am, "default")],
            extent: Extent::default(),
            hosts: "hosts",
            standins: json!({ "start": 0.8, "migration": { "per_order": 0.05 } }),
            // The recipe's own 30 s prove the same.
            options: json!({ "apart": "1s" }),
        }
    }
}

/// The site.
pub struct Site {
    /// The fleet.
    pub layout: Layout,
    /// The programs under test.
    pub programs: Programs,
    /// Its database server.
    pub database: MariaDb,
    controller: Option<Running>,
    agents: BTreeMap<String, Running>,
    ports: (u16, u16),
    _leases: Vec<OffsetLease>,
    folder: Option<TempDir>,
}

impl Site {
    /// Lays out and starts the old fleet, the controller and one enrolled agent for each host.
    ///
    /// # Errors
    ///
    /// What cannot be made or started.
    pub fn new(programs: Programs, wanted: &Wanted) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let root = folder.path().canonicalize()?;
        let database = MariaDb::start(&root.join("mariadb"))?;
        database.sql("mysql", &layout::accounts_sql(wanted.extent))?;
        for (name, _) in wanted.extent.databases() {
            database.sql(name, &wanted.extent.data(name))?;
        }
        let packs_folder = root.join("packs");
        packs::write_all(&packs_folder)?;
        let jdk = packs::jdk::install(&root.join("jdk"), &programs.java, Some(&root.join("witness.jsonl")), &wanted.standins)?;
        let (nodes, leases) = layout::place(&wanted.nodes, &HELD)?;
        let options = serde_json::from_value(wanted.options.clone()).context("options are a mapping")?;
        let place = DatabasePlace { port: database.port, client_bin: database.client_bin.clone() };
        let layout = Layout {
            folder: root,
            packs: packs_folder,
            java_home: jdk,
            nodes,
            database: place,
            hosts: wanted.hosts,
            extent: wanted.extent,
            options,
            balancer: None,
        };
        layout.write()?;
        let ports = ports::free(ADDRESS)?;
        let (controller, agents) = (None, BTreeMap::new());
        let mut site = Self { layout, programs, database, controller, agents, ports, _leases: leases, folder: Some(folder) };
        site.old_fleet()?.lay_out(|_| {})?;
        fs::create_dir(site.path("agents"))?;
        site.start_controller()?;
        for host in site.hosts() {
            site.enrol(&host)?;
            site.start_agent(&host)?;
        }
        site.wait("all agents are connected", |status| {
            status.hosts.iter().filter(|h| h.connected).count() == wanted.nodes.len()
        })?;
        Ok(site)
    }

    /// A path in the site's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.layout.folder.join(name)
    }

    /// The old fleet.
    ///
    /// # Errors
    ///
    /// As [`Layout::old_fleet`].
    pub fn old_fleet(&self) -> anyhow::Result<OldFleet> {
        self.layout.old_fleet()
    }

    /// The hosts, in the order of the nodes.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        self.layout.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// The new home of a node.
    ///
    /// # Errors
    ///
    /// When there is no such node.
    pub fn home(&self, node: &str) -> anyhow::Result<PathBuf> {
        Ok(self.layout.new_home(self.layout.node(node)?))
    }

    /// Starts the controller and waits until operators reach it.
    ///
    /// # Errors
    ///
    /// When it ends or does not answer in time.
    pub fn start_controller(&mut self) -> anyhow::Result<()> {
        let (agents, enrol) = (format!("{ADDRESS}:{}", self.ports.0), format!("{ADDRESS}:{}", self.ports.1));
        let state = self.path("controller").display().to_string();
        fs::create_dir_all(&state)?;
        let arguments = ["--state", &state, "serve", "--agents", &agents, "--enrol", &enrol, "--name", &ADDRESS.to_string()];
        self.controller = Some(Running::start(&self.programs.controller, &arguments, &self.path("controller.log"))?);
        let end = Instant::now() + PATIENCE;
        while self.status().is_err() {
            let running = self.controller.as_mut().context("no controller")?;
            ensure!(running.runs()?, "the controller ended:\n{}", tail(&running.log));
            ensure!(Instant::now() < end, "the controller does not answer:\n{}", tail(&running.log));
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Kills the controller with SIGKILL.
    ///
    /// # Errors
    ///
    /// When it did not run.
    pub fn kill_controller(&mut self) -> anyhow::Result<()> {
        self.controller.take().context("no controller")?.kill()
    }

    /// Enrols a host.
    ///
    /// # Errors
    ///
    /// What either side says.
    pub fn enrol(&self, host: &str) -> anyhow::Result<()> {
        let answer: Value = serde_json::from_str(&self.cavalcade_ok(&["token", "create", "--host", host, "--output", "json"])?)?;
        let file = self.path("agents").join(format!("{host}.token"));
        fs::write(&file, answer["token"].as_str().context("no token")?)?;
        let state = self.agent_state(host);
        let mut command = Command::new(&self.programs.agent);
        command.arg("enroll").arg("--token-file").arg(&file).args(["--controller", &format!("{ADDRESS}:{}", self.ports.1)]);
        command.env("CAVALCADE_AGENT_CONFIG", "/dev/null");
        let ended = command.arg("--state").arg(&state).stdin(Stdio::null()).output()?;
        ensure!(ended.status.success(), "enrolling {host}: {}", String::from_utf8_lossy(&ended.stderr));
        Ok(())
    }

    fn agent_state(&self, host: &str) -> PathBuf {
        self.path("agents").join(host)
    }

    /// Starts a host's agent.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start_agent(&mut self, host: &str) -> anyhow::Result<()> {
        let program = self.programs.agent.clone();
        self.start_agent_as(host, &program)
    }

    /// Starts a host's agent with a variable in its environment, which is empty but for the PATH.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start_agent_with(&mut self, host: &str, name: &str, value: &Path) -> anyhow::Result<()> {
        // `env` becomes the agent: the process is the same.
        let program = self.programs.agent.clone();
        let mut arguments = vec![format!("{name}={}", value.display()), program.display().to_string()];
        arguments.extend(self.agent_arguments(host));
        let log = self.path("agents").join(format!("{host}.log"));
        let running = Running::start(Path::new("/usr/bin/env"), &arguments, &log)?;
        self.agents.insert(host.to_owned(), running);
        Ok(())
    }

    fn agent_arguments(&self, host: &str) -> Vec<String> {
        let state = self.agent_state(host).display().to_string();
        let controller = format!("{ADDRESS}:{}", self.ports.0);
        ["run", "--controller", &controller, "--state", &state].map(str::to_owned).to_vec()
    }

    /// Starts a host's agent from this program.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start_agent_as(&mut self, host: &str, program: &Path) -> anyhow::Result<()> {
        let log = self.path("agents").join(format!("{host}.log"));
        let running = Running::start(program, &self.agent_arguments(host), &log)?;
        self.agents.insert(host.to_owned(), running);
        Ok(())
    }

    /// The process of a host's agent.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn agent(&self, host: &str) -> anyhow::Result<u32> {
        Ok(self.agents.get(host).with_context(|| format!("no agent on {host}"))?.pid())
    }

    /// Kills a host's agent with SIGKILL.
    ///
    /// # Errors
    ///
    /// When it did not run.
    pub fn kill_agent(&mut self, host: &str) -> anyhow::Result<()> {
        self.agents.remove(host).with_context(|| format!("no agent on {host}"))?.kill()
    }

    /// Ends a host's agent with SIGTERM and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it did not run or does not end.
    pub fn stop_agent(&mut self, host: &str) -> anyhow::Result<()> {
        self.agents.remove(host).with_context(|| format!("no agent on {host}"))?.stop()
    }

    /// The operator's command, ready to run.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.programs.controller);
        command.arg("--state").arg(self.path("controller")).args(arguments).current_dir(&self.layout.folder);
        command.env("NO_COLOR", "1").env("CAVALCADE_CONFIG", "/dev/null").env_remove("CAVALCADE_STATE").stdin(Stdio::null());
        command
    }

    /// Runs an operator's command to its end.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub fn cavalcade(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        Ok(self.command(arguments).output()?)
    }

    /// The same; what it printed, when it succeeded.
    ///
    /// # Errors
    ///
    /// When it exits with anything but 0; all that it said is in the error.
    pub fn cavalcade_ok(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let ended = self.cavalcade(arguments)?;
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        if !ended.status.success() {
            let errors = String::from_utf8_lossy(&ended.stderr);
            bail!("cavalcade {}: {}\n{said}\n{errors}", arguments.join(" "), ended.status);
        }
        Ok(said)
    }

    /// Makes the plan and gives its digest.
    ///
    /// # Errors
    ///
    /// When there is no plan.
    pub fn plan(&self) -> anyhow::Result<String> {
        let said = self.cavalcade_ok(&["plan", "fleet.yaml", "--out", "upgrade.plan", "--output", "json"])?;
        let made: Value = serde_json::from_str(&said)?;
        Ok(made["sha256"].as_str().context("no digest")?.to_owned())
    }

    /// The key of a planned step: `1.1@is-1`.
    ///
    /// # Errors
    ///
    /// When the plan has no such step.
    pub fn key(&self, stage: &str, step: &str, node: &str) -> anyhow::Result<String> {
        let plan = plan_file::read(&self.path("upgrade.plan")).map_err(|faults| anyhow::anyhow!("{faults}"))?;
        let mut steps = plan.plan.steps().filter(|(group, _)| group.id.as_str() == stage).map(|(_, planned)| planned);
        let found = steps.find(|planned| planned.name.as_str() == step && planned.key.node.as_str() == node);
        Ok(found.with_context(|| format!("no step {step} of {stage} on {node}"))?.key.to_string())
    }

    /// Opens the plan's run, or goes on with it; does not wait.
    ///
    /// # Errors
    ///
    /// When the controller refuses.
    pub fn apply(&self, digest: &str, more: &[&str]) -> anyhow::Result<()> {
        let mut arguments = vec!["apply", "upgrade.plan", "--confirm", digest, "--detach"];
        arguments.extend(more);
        self.cavalcade_ok(&arguments).map(|_| ())
    }

    /// Where all runs stand.
    ///
    /// # Errors
    ///
    /// When the controller does not answer.
    pub fn status(&self) -> anyhow::Result<Status> {
        Ok(serde_json::from_str(&self.cavalcade_ok(&["status", "--output", "json"])?)?)
    }

    /// The one run.
    ///
    /// # Errors
    ///
    /// When there is none, or the controller does not answer.
    pub fn run(&self) -> anyhow::Result<RunStatus> {
        self.status()?.runs.into_iter().next().context("no run")
    }

    /// One step of the run by its name: `migrate` of `migrate-is`, on a node.
    ///
    /// # Errors
    ///
    /// When there is no such step.
    pub fn step(&self, stage: &str, step: &str, node: &str) -> anyhow::Result<StepStatus> {
        let run = self.run()?;
        let stage = run.stages.into_iter().find(|s| s.id == stage).with_context(|| format!("no stage {stage}"))?;
        let found = stage.steps.into_iter().find(|s| s.name == step && s.node == node);
        found.with_context(|| format!("no step {step} on {node}"))
    }

    /// Waits until the controller's status is as wanted.
    ///
    /// # Errors
    ///
    /// When it is not within [`PATIENCE`]; where things stand is in the error.
    pub fn wait(&self, what: &str, holds: impl Fn(&Status) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            if self.status().is_ok_and(|status| holds(&status)) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("not within {PATIENCE:?}: {what}\n{}", self.standing());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the run waits for its approval, and gives it.
    ///
    /// # Errors
    ///
    /// When it never waits, or a step fails before.
    pub fn approve(&self) -> anyhow::Result<()> {
        self.wait("the run waits for its approval", |status| status.runs.first().is_some_and(waits_for_a_person))?;
        self.cavalcade_ok(&["approve", "upgrade-am-db", "--yes", "--why", "the backups are proved"])?;
        Ok(())
    }

    /// Waits until the run has ended well.
    ///
    /// # Errors
    ///
    /// When a step fails, or the run does not end in time.
    pub fn finish(&self) -> anyhow::Result<()> {
        self.wait("the run has ended", |status| status.runs.first().is_some_and(|run| run.closed_at.is_some()))?;
        let run = self.run()?;
        ensure!(run.mode == "done", "the run is {}\n{}", run.mode, self.standing());
        Ok(())
    }

    /// Where the run stands, in words, for the error of a test.
    #[must_use]
    pub fn standing(&self) -> String {
        let Ok(output) = self.cavalcade(&["status"]) else { return "no status".to_owned() };
        let mut text = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        for step in self.run().into_iter().flat_map(|run| run.stages).flat_map(|stage| stage.steps) {
            if let Some(fault) = &step.fault {
                text.push_str(&format!("{} {} {}: {fault}\n", step.step, step.name, step.state));
            }
        }
        text
    }

    /// Waits until so many lines of the witness file are as wanted, and gives them.
    ///
    /// # Errors
    ///
    /// When there are fewer within [`PATIENCE`]; where things stand is in the error.
    pub fn witnessed(&self, what: &str, count: usize, wanted: impl Fn(&Line) -> bool) -> anyhow::Result<Vec<Line>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut found = self.witness(what)?;
            found.retain(&wanted);
            if found.len() >= count {
                return Ok(found);
            }
            if Instant::now() > end {
                bail!("not within {PATIENCE:?}: {count} times {what}\n{}", self.standing());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills a host's agent as soon as its ledger holds INTENT of one of these steps and no end of it. Gives the step, and
    /// starts no agent again. Where a step was quicker, the next one is waited for with a new agent.
    ///
    /// # Errors
    ///
    /// When none of them was met in time.
    pub fn kill_agent_within(&mut self, host: &str, steps: &[String]) -> anyhow::Result<String> {
        let end = Instant::now() + PATIENCE;
        let mut missed: Vec<String> = Vec::new();
        while Instant::now() < end {
            let Some(step) = self.intended(host)?.into_iter().find(|step| steps.contains(step) && !missed.contains(step)) else {
                // Short, so that no step is missed, and a sleep: the agent needs the processor too.
                std::thread::sleep(Duration::from_micros(500));
                continue;
            };
            self.kill_agent(host)?;
            if self.intended(host)?.contains(&step) {
                return Ok(step);
            }
            missed.push(step);
            self.start_agent(host)?;
        }
        bail!("the agent of {host} was never met within {steps:?}, too late in {missed:?}\n{}", self.standing())
    }

    /// The steps that a host's ledger holds INTENT of and no end. A look from outside: a record that is being written is cut
    /// short and not there yet.
    fn intended(&self, host: &str) -> anyhow::Result<Vec<String>> {
        let bytes = fs::read(self.agent_state(host).join("ledger"))?;
        let mut open: Vec<AttemptId> = Vec::new();
        for (record, _) in record::decode(&bytes)?.records {
            match record {
                Record::IntentBegins { attempt } => open.push(attempt),
                Record::Report { report: Report::Ended { attempt, .. } | Report::Abandoned { attempt, .. }, .. } => {
                    open.retain(|o| *o != attempt);
                }
                _ => {}
            }
        }
        Ok(open.into_iter().map(|attempt| attempt.step.to_string()).collect())
    }

    /// What was witnessed of one kind, in order.
    ///
    /// # Errors
    ///
    /// When the file holds something else.
    pub fn witness(&self, what: &str) -> anyhow::Result<Vec<Line>> {
        Ok(witness::read(&self.path("witness.jsonl"))?.into_iter().filter(|line| line.what == what).collect())
    }
}

/// Whether something of the run moves only when a person acts.
fn waits_for_a_person(run: &RunStatus) -> bool {
    run.waits.iter().any(|wait| wait.person)
}

impl Drop for Site {
    fn drop(&mut self) {
        self.agents.clear();
        self.controller = None;
        // Servers, shims: whatever names the site's folder.
        for (pid, _) in process::naming(&self.layout.folder).unwrap_or_default() {
            let _sent = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if std::thread::panicking()
            && std::env::var_os(KEEP).is_some()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("kept: {}", folder.keep().display());
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
