//! An old fleet of stand-ins: one home for each node, configured for its databases, started through its own script.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item, Table, value};

use super::{packs, variant::Variant};

/// What `standin-packs old-fleet` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldFleet {
    /// The folder of the packs (see [`packs::write_all`]).
    pub packs: PathBuf,
    /// The stand-in JDK.
    pub jdk: PathBuf,
    /// Where the homes go: `<into>/<node>/wso2am-3.1.0` ...
    pub into: PathBuf,
    /// The nodes, in the order in which they are started.
    pub nodes: Vec<OldNode>,
    /// How long one server may take to start.
    #[serde(default = "five_minutes")]
    pub start_within_seconds: u64,
}

/// One server of the old fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldNode {
    /// The node's name, which is its folder's name.
    pub name: String,
    /// What runs on it.
    pub role: Role,
    /// The profile of 3.1.0; `default` without `-Dprofile`.
    #[serde(default = "default_profile")]
    pub profile: String,
    /// The port offset.
    #[serde(default)]
    pub offset: u16,
    /// `[server] hostname`.
    #[serde(default = "localhost")]
    pub hostname: String,
    /// `[user_store] type`. The packs come with `database_unique_id`.
    #[serde(default = "database")]
    pub user_store: String,
    /// `[apim.key_manager] service_url` of an API Manager.
    #[serde(default)]
    pub key_manager: Option<String>,
    /// Databases by the name of their table (`apim_db`, `shared_db`).
    #[serde(default)]
    pub databases: BTreeMap<String, Account>,
    /// What it has beyond its pack.
    #[serde(default)]
    pub variant: Variant,
    /// Whether [`OldFleet::lay_out`] starts it.
    #[serde(default)]
    pub start: bool,
}

/// How a server reaches a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The JDBC URL, as it goes into deployment.toml.
    pub url: String,
    /// The account.
    pub username: String,
    /// Its password.
    pub password: String,
}

/// What runs on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Identity Server as Key Manager 5.10.0.
    Is,
    /// API Manager 3.1.0.
    Am,
}

fn five_minutes() -> u64 {
    300
}

fn default_profile() -> String {
    "default".to_owned()
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn database() -> String {
    "database".to_owned()
}

impl OldNode {
    /// The home of this node in a fleet's folder.
    #[must_use]
    pub fn home(&self, into: &Path) -> PathBuf {
        let name = match self.role {
            Role::Is => "wso2is-km-5.10.0",
            Role::Am => "wso2am-3.1.0",
        };
        into.join(&self.name).join(name)
    }

    fn pack(&self) -> &'static str {
        match self.role {
            Role::Is => packs::OLD_IS_PACK,
            Role::Am => packs::OLD_AM_PACK,
        }
    }

    /// Writes this node's settings into its pack's deployment.toml.
    fn configure(&self, home: &Path) -> anyhow::Result<()> {
        let mut settings = vec![
            ("server.hostname".to_owned(), value(&self.hostname)),
            ("server.offset".to_owned(), value(i64::from(self.offset))),
            ("user_store.type".to_owned(), value(&self.user_store)),
        ];
        for (name, account) in &self.databases {
            settings.extend(account.settings(name));
        }
        if let Some(url) = &self.key_manager {
            settings.push(("apim.key_manager.service_url".to_owned(), value(url)));
        }
        edit_toml(home, settings)?;
        self.variant.apply(home, self.role)
    }
}

impl Account {
    /// The keys of `[database.<name>]`, for [`edit_toml`].
    #[must_use]
    pub fn settings(&self, name: &str) -> Vec<(String, Item)> {
        [
            ("type", "mysql"),
            ("url", &self.url),
            ("username", &self.username),
            ("password", &self.password),
            ("driver", "com.mysql.cj.jdbc.Driver"),
        ]
        .into_iter()
        .map(|(key, text)| (format!("database.{name}.{key}"), value(text)))
        .collect()
    }
}

impl OldFleet {
    /// Makes every node's home and starts the nodes that are to be started, one after the other; `started` is told of each.
    ///
    /// # Errors
    ///
    /// When a home is there already, a file cannot be written, or a server does not start in time.
    pub fn lay_out(&self, started: impl Fn(&OldNode)) -> anyhow::Result<()> {
        let driver = packs::find(&self.packs, packs::DRIVERS)?;
        let driver_name = driver.file_name().context("the driver has no name")?;
        for node in &self.nodes {
            let home = node.home(&self.into);
            ensure!(!home.exists(), "{} is there already", home.display());
            packs::unpack(&self.packs.join(node.pack()), &self.into.join(&node.name))?;
            node.configure(&home)?;
            let to = home.join("repository/components/lib").join(driver_name);
            fs::copy(&driver, &to).with_context(|| format!("{} cannot be written", to.display()))?;
        }
        for node in self.nodes.iter().filter(|node| node.start) {
            let profile = format!("-Dprofile={}", node.profile);
            let options: &[&str] = if node.profile == "default" { &[] } else { &[&profile] };
            start_within(&node.home(&self.into), &self.jdk, options, Duration::from_secs(self.start_within_seconds))?;
            started(node);
        }
        Ok(())
    }

    /// Stops every server of the fleet and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When one does not end within 300 s.
    pub fn stop(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            stop(&node.home(&self.into))?;
        }
        Ok(())
    }
}

/// Sets values in a home's deployment.toml, by their dotted path.
///
/// # Errors
///
/// When the file is not TOML, cannot be written, or a path leads through something that is no table.
pub fn edit_toml(home: &Path, settings: impl IntoIterator<Item = (String, Item)>) -> anyhow::Result<()> {
    let file = home.join("repository/conf/deployment.toml");
    let mut document: DocumentMut = fs::read_to_string(&file)?.parse()?;
    for (path, item) in settings {
        set(&mut document, &path, item)?;
    }
    fs::write(&file, document.to_string()).with_context(|| format!("{} cannot be written", file.display()))
}

fn set(document: &mut DocumentMut, path: &str, item: Item) -> anyhow::Result<()> {
    let keys: Vec<&str> = path.split('.').collect();
    let Some((key, parents)) = keys.split_last() else { bail!("no key") };
    let mut table = document.as_table_mut();
    for parent in parents {
        let made = || {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        };
        table = table.entry(parent).or_insert_with(made).as_table_mut().with_context(|| format!("{path}: no table"))?;
    }
    table.set_implicit(false);
    table.insert(key, item);
    Ok(())
}

/// The start script of a home.
#[must_use]
pub fn script(home: &Path) -> PathBuf {
    let api_manager = home.join("bin/api-manager.sh");
    if api_manager.exists() { api_manager } else { home.join("bin/wso2server.sh") }
}

/// Runs a script of a home's `bin` in a clean environment, as a careful caller does, and waits for it.
///
/// # Errors
///
/// When it cannot be run.
pub fn run_script<S: AsRef<OsStr>>(script: &Path, jdk: &Path, arguments: &[S]) -> anyhow::Result<std::process::Output> {
    let mut command = Command::new("sh");
    command.arg(script).args(arguments).env_clear().env("JAVA_HOME", jdk).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.current_dir(script.parent().context("no folder")?).stdin(Stdio::null());
    command.output().with_context(|| format!("{} cannot be run", script.display()))
}

/// Starts a server through its script and waits until its log says that it started.
///
/// # Errors
///
/// When it did not within 300 s.
pub fn start(home: &Path, jdk: &Path, options: &[&str]) -> anyhow::Result<()> {
    start_within(home, jdk, options, Duration::from_secs(five_minutes()))
}

fn start_within(home: &Path, jdk: &Path, options: &[&str], time: Duration) -> anyhow::Result<()> {
    let log = home.join("repository/logs/wso2carbon.log");
    let before = fs::metadata(&log).map_or(0, |log| log.len());
    let mut arguments = vec!["start"];
    arguments.extend(options);
    run_script(&script(home), jdk, &arguments)?;
    wait_until(time, &format!("{} started", home.display()), || {
        let text = fs::read(&log).unwrap_or_default();
        let new = text.get(usize::try_from(before).unwrap_or(0)..).unwrap_or_default();
        String::from_utf8_lossy(new).contains("WSO2 Carbon started in")
    })
}

/// Sends TERM to the server whose PID the home names, if it runs from this home, and waits until it is gone.
///
/// # Errors
///
/// When it is still there after 300 s.
pub fn stop(home: &Path) -> anyhow::Result<()> {
    let Some(pid) = running(home) else { return Ok(()) };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
    wait_until(Duration::from_secs(300), &format!("{} is down", home.display()), || running(home) != Some(pid))
}

/// The PID of the server of a home: the PID file's, if that process was launched with this `carbon.home`.
#[must_use]
pub fn running(home: &Path) -> Option<i32> {
    let content = fs::read(home.join("wso2carbon.pid")).ok()?;
    let text: String = content.iter().take_while(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect();
    let pid: i32 = text.parse().ok()?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let wanted = format!("-Dcarbon.home={}", home.display());
    arguments.split(|byte| *byte == 0).any(|argument| argument == wanted.as_bytes()).then_some(pid)
}

/// Looks every 20 ms whether something holds.
///
/// # Errors
///
/// When it did not within the time.
pub fn wait_until(time: Duration, what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let end = Instant::now() + time;
    while !holds() {
        ensure!(Instant::now() < end, "not within {time:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
