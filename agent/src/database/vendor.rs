//! The vendor's client programs: where they are, how they log in without a secret in arguments or environment.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cavalcade_common::action::{DbTarget, Engine};
use tokio::process::Command;

use super::error::DbError;
use super::link::socket_folder;

/// Settings that the driver's startup packet overrides and that no query gives back.
const OVERRIDDEN: &[&str] = &["DateStyle", "TimeZone"];

/// How long the client may take to tell the settings of a session.
const ASK: Duration = Duration::from_secs(20);

/// Longest part of a client's message that is kept, in characters.
const MESSAGE: usize = 2000;

/// A login for a client program: a private folder with a file that only we can read. It is gone when this is dropped.
pub(crate) struct Login {
    folder: tempfile::TempDir,
    engine: Engine,
}

impl Login {
    /// Writes the file.
    pub(crate) fn new(target: &DbTarget) -> Result<Self, DbError> {
        let folder = tempfile::Builder::new().prefix("cavalcade-db").tempdir();
        let folder = folder.map_err(|source| DbError::File { path: std::env::temp_dir(), source })?;
        let login = Self { folder, engine: target.engine };
        let path = login.path();
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut f| f.write_all(login.content(target).as_bytes()));
        written.map_err(|source| DbError::File { path, source })?;
        Ok(login)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("login")
    }

    fn content(&self, target: &DbTarget) -> String {
        match self.engine {
            Engine::Mysql => mysql_options(target),
            Engine::Postgresql => {
                let escape = |s: &str| s.replace('\\', "\\\\").replace(':', "\\:");
                format!("*:*:*:{}:{}\n", escape(&target.user), escape(&target.password))
            }
        }
    }

    /// A client program, ready for its arguments: clean environment, login by file, standard input closed.
    pub(crate) fn command(&self, target: &DbTarget, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.folder.path()).env("LC_ALL", "C.UTF-8");
        match self.engine {
            Engine::Mysql => {
                command.arg(format!("--defaults-file={}", self.path().display()));
            }
            Engine::Postgresql => {
                command.env("PGPASSFILE", self.path()).env("PGCLIENTENCODING", "UTF8").env("PGCONNECT_TIMEOUT", "10");
                let host = target.socket.as_deref().map_or(target.host.as_str(), socket_folder);
                command.args(["--no-password", "--host", host, "--port", &target.port.to_string()]);
                command.args(["--username", &target.user]);
                let tls = target.tls && target.socket.is_none();
                command.env("PGSSLMODE", if tls { "verify-full" } else { "disable" });
                if let Some(ca) = &target.ca {
                    command.env("PGSSLROOTCERT", ca);
                }
            }
        }
        command
    }
}

fn mysql_options(target: &DbTarget) -> String {
    // In an option file a backslash escapes; inside double quotes everything else is literal.
    let value = |s: &str| format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = format!("[client]\nuser={}\n", value(&target.user));
    if !target.password.is_empty() {
        out += &format!("password={}\n", value(&target.password));
    }
    match &target.socket {
        Some(socket) => out += &format!("socket={}\n", value(socket)),
        None => out += &format!("host={}\nport={}\nprotocol=TCP\n", value(&target.host), target.port),
    }
    if target.tls && target.socket.is_none() {
        out += "ssl\nloose-ssl-verify-server-cert\nloose-ssl-mode=VERIFY_IDENTITY\n";
        if let Some(ca) = &target.ca {
            out += &format!("ssl-ca={}\n", value(ca));
        }
    }
    out + "default-character-set=utf8mb4\n"
}

/// Finds the first of these programs, in the target's folder or on the PATH.
pub(crate) fn find(target: &DbTarget, programs: &[&str]) -> Result<PathBuf, DbError> {
    let folders: Vec<PathBuf> = match &target.client_bin {
        Some(folder) => vec![PathBuf::from(folder)],
        None => std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default(),
    };
    let found = folders.iter().flat_map(|f| programs.iter().map(move |p| f.join(p))).find(|p| p.is_file());
    found.ok_or_else(|| DbError::Client {
        program: programs.join("` or `"),
        message: "it is not installed on this node; install the database's client or name its folder".to_owned(),
    })
}

/// The client that makes dumps, and what it says of its version.
pub(crate) async fn dump_client(target: &DbTarget) -> Result<(PathBuf, String), DbError> {
    let program = match target.engine {
        Engine::Mysql => find(target, &["mariadb-dump", "mysqldump"])?,
        Engine::Postgresql => find(target, &["pg_dump"])?,
    };
    let mut ask = Command::new(&program);
    ask.arg("--version").env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").kill_on_drop(true);
    ask.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let version = output(&program, ask, Some(ASK)).await?;
    Ok((program, String::from_utf8_lossy(&version).trim().to_owned()))
}

/// Runs a client to its end and gives its standard output.
pub(crate) async fn output(program: &Path, mut command: Command, within: Option<Duration>) -> Result<Vec<u8>, DbError> {
    let named = || program.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let failed = |message: String| DbError::Client { program: named(), message };
    // Not `output()`: that would take standard output away from the file that it may go to.
    let running = async { command.spawn()?.wait_with_output().await };
    let ended = match within {
        Some(limit) => tokio::time::timeout(limit, running).await.map_err(|_| failed(format!("no end within {limit:?}")))?,
        None => running.await,
    };
    let ended = ended.map_err(|e| failed(e.to_string()))?;
    if !ended.status.success() {
        return Err(failed(format!("{}: {}", ended.status, safe(&named(), &String::from_utf8_lossy(&ended.stderr)))));
    }
    Ok(ended.stdout)
}

/// The lines of a client's message that hold no rows: the clients also print the statement that failed, data and all.
fn safe(program: &str, said: &str) -> String {
    let own = format!("{program}: ");
    let kept = |l: &&str| {
        let message = l.starts_with("ERROR ") || l.contains(&own);
        message && !l.starts_with("DETAIL") && !l.contains("Command was")
    };
    let text = said.lines().filter(kept).collect::<Vec<_>>().join("; ");
    text.chars().take(MESSAGE).collect()
}

/// What psql's session has for the settings that the driver overrides.
pub(crate) async fn postgresql_settings(target: &DbTarget) -> Result<Vec<(&'static str, String)>, DbError> {
    let psql = find(target, &["psql"])?;
    let login = Login::new(target)?;
    let mut command = login.command(target, &psql);
    command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "--dbname", &target.database]);
    for name in OVERRIDDEN {
        command.args(["-c", &format!("SHOW {name}")]);
    }
    let said = output(&psql, command, Some(ASK)).await?;
    let said = String::from_utf8_lossy(&said);
    let values: Vec<&str> = said.lines().collect();
    if values.len() != OVERRIDDEN.len() {
        return Err(DbError::Client { program: "psql".to_owned(), message: "its answer was not understood".to_owned() });
    }
    Ok(OVERRIDDEN.iter().copied().zip(values.into_iter().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn a_clients_message_is_kept_without_rows() {
        let said =
            "--------------\nINSERT INTO t VALUES ('hash')\n--------------\n\nERROR 1227 (42000) at line 3: Access denied\n";
        assert_eq!(safe("mariadb", said), "ERROR 1227 (42000) at line 3: Access denied");
        let said = "pg_restore: error: could not execute query: ERROR:  permission denied\nCommand was: ALTER ROLE x PASSWORD 'hash';\n\n";
        assert_eq!(safe("pg_restore", said), "pg_restore: error: could not execute query: ERROR:  permission denied");
    }
}
