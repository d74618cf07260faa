//! How a stand-in behaves: defaults, overridden by `standin.json` beside the stand-in JDK, then by that file's entry for the
//! home, then by `standin.json` in the home. A home that a run has yet to unpack is named in the JDK's file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The name of the settings file, in the JDK's folder and in a home.
pub const FILE: &str = "standin.json";

/// How one launch behaves. Times are seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The witness file; without one nothing is witnessed.
    pub witness: Option<PathBuf>,
    /// What `java -version` says.
    pub java_version: String,
    /// From the launch to the PID file.
    pub pid_file_after: f64,
    /// From the launch to `WSO2 Carbon started`, without migrations and waiting.
    pub start: f64,
    /// From TERM to the end of the process.
    pub stop: f64,
    /// How long TERM is left lying before the end begins.
    pub ignore_term: f64,
    /// From `WSO2 Carbon started` to the first deployed API.
    pub deploy_after: f64,
    /// From `WSO2 Carbon started` until a portal indexes what it finds. The product's own delay is half a minute.
    pub index_after: f64,
    /// What goes wrong in every start.
    pub fault: Option<Fault>,
    /// What a migration client does.
    pub migration: Migration,
    /// Whether the gateway has the health check that only an updated 4.0.0 has.
    pub gateway_healthcheck: bool,
    /// Whether a gateway without throttling endpoints waits for ever, as the product does.
    pub strict: bool,
    /// How often a start says what it waits for. The kernel's own interval is 60 s.
    pub waiting_interval: f64,
}

/// What goes wrong in a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The process ends before it wrote its PID file.
    CrashEarly,
    /// The process ends after the PID file, with the fatal line in its log.
    Crash,
    /// `Waiting for required OSGi services`, for ever.
    Hang,
    /// Exit 121 once for each run of the start script, which launches the JVM again.
    #[serde(rename = "exit-121")]
    Exit121,
}

/// What a migration client does.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Migration {
    /// How the run goes.
    pub mode: Mode,
    /// The order (IS) or step (API-M) at which it goes wrong.
    pub order: u32,
    /// How long each order or step takes.
    pub per_order: f64,
}

/// How a migration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// To its end, without error.
    Ok,
    /// One order logs an error, does nothing and is bypassed; the success line comes all the same.
    Error,
    /// An exception ends the work. API-M says so and is "successfully activated"; IS says `Migration process was stopped.`
    Exception,
    /// As `exception`, by an OutOfMemoryError.
    Throwable,
    /// The order never ends.
    Hang,
    /// The process is killed (SIGKILL) within the order.
    Kill,
    /// The process ends with 121 within the order, once; the start script launches it again, migration and all.
    #[serde(rename = "exit-121")]
    Exit121,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            witness: None,
            java_version: "11.0.21".to_owned(),
            pid_file_after: 0.4,
            start: 1.5,
            stop: 0.2,
            ignore_term: 0.0,
            deploy_after: 0.2,
            index_after: 2.0,
            fault: None,
            migration: Migration::default(),
            gateway_healthcheck: false,
            strict: true,
            waiting_interval: 1.0,
        }
    }
}

impl Default for Migration {
    fn default() -> Self {
        Self { mode: Mode::Ok, order: 4, per_order: 0.1 }
    }
}

/// Reads the settings for a home (or for none: `java -version`).
///
/// # Errors
///
/// When a file is there and is not what this module describes: a misspelt fault must not pass for a healthy server.
pub fn load(jdk: &Path, home: Option<&Path>) -> anyhow::Result<Settings> {
    let mut merged = Map::new();
    let mut of_jdk = read(&jdk.join(FILE))?;
    let homes = of_jdk.remove("homes");
    merge(&mut merged, of_jdk);
    if let Some(home) = home {
        if let Some(Value::Object(homes)) = homes {
            for (suffix, overrides) in homes {
                if let (true, Value::Object(overrides)) = (home.ends_with(&suffix), overrides) {
                    merge(&mut merged, overrides);
                }
            }
        }
        merge(&mut merged, read(&home.join(FILE))?);
    }
    serde_json::from_value(Value::Object(merged)).context("standin.json is not as it should be")
}

fn read(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
    };
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not a JSON object", file.display()))
}

/// Later values win; objects are merged key by key.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_wins_over_its_entry_and_that_over_the_jdk() {
        let folder = tempfile::tempdir().unwrap();
        let jdk = folder.path().join("jdk");
        let home = folder.path().join("is-1/wso2is-5.11.0");
        fs::create_dir_all(&jdk).unwrap();
        fs::create_dir_all(&home).unwrap();
        fs::write(
            jdk.join(FILE),
            r#"{"start": 9, "stop": 1, "migration": {"mode": "hang", "order": 7},
                "homes": {"is-1/wso2is-5.11.0": {"start": 3, "migration": {"mode": "error"}}, "is-2/wso2is-5.11.0": {"start": 4}}}"#,
        )
        .unwrap();
        fs::write(home.join(FILE), r#"{"migration": {"order": 2}}"#).unwrap();
        let settings = load(&jdk, Some(&home)).unwrap();
        assert_eq!((settings.start, settings.stop), (3.0, 1.0));
        assert_eq!((settings.migration.mode, settings.migration.order), (Mode::Error, 2));
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), r#"{"fualt": "crash"}"#).unwrap();
        assert!(load(folder.path(), None).is_err());
    }
}
