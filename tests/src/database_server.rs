//! A real MariaDB and a real PostgreSQL for tests, each in a folder of its own, gone with the value that holds it.
//!
//! The server is killed when its value is dropped, and by the kernel when the test's process dies.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use cavalcade_common::action::{DbTarget, Engine};

/// Names a folder that holds `usr/sbin/mariadbd` and the rest of MariaDB's packages (`deploy/lib/mariadb.sh` makes one).
pub const MARIADB_ROOT: &str = "CAVALCADE_MARIADB_ROOT";

/// Names the folder of PostgreSQL's programs (`tests/lib/postgresql.sh` makes one).
pub const POSTGRESQL_BIN: &str = "CAVALCADE_POSTGRESQL_BIN";

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(180);

/// Between two looks at a server that starts.
const LOOK: Duration = Duration::from_millis(50);

/// Ports that are tried: between the look for a free one and its use somebody else may take it.
const PORTS: u32 = 5;

/// A running server process. Its thread lives as long as the process: the kernel ends the process with that thread.
struct Process {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    ended: Arc<AtomicBool>,
}

impl Process {
    fn start(mut command: Command) -> Result<Self> {
        let (stop, stopped) = channel();
        let (started, start) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut child: Child = match command.spawn() {
                Ok(child) => child,
                Err(e) => {
                    let _gone = started.send(Err(e));
                    return;
                }
            };
            let _gone = started.send(Ok(()));
            // Ends with a message or when the sender is dropped.
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK) {
                seen.store(!matches!(child.try_wait(), Ok(None)), Ordering::SeqCst);
            }
            let _dead = child.kill();
            let _reaped = child.wait();
        });
        start.recv().context("the server's thread ended")?.context("the server cannot be started")?;
        Ok(Self { stop: Some(stop), thread: Some(thread), ended })
    }

    /// Waits until the server answers. False: it ended before.
    fn answers(&self, ready: impl Fn() -> bool) -> Result<bool> {
        let begun = Instant::now();
        while !ready() {
            if self.ended.load(Ordering::SeqCst) {
                return Ok(false);
            }
            if begun.elapsed() > START {
                bail!("the server does not answer within {START:?}");
            }
            std::thread::sleep(LOOK);
        }
        Ok(true)
    }
}

/// Starts a server on one port after the other until it stays.
fn started(
    log: &Path,
    ports: &mut dyn FnMut() -> Result<u16>,
    start: impl Fn(u16) -> Result<Process>,
    ready: impl Fn(u16) -> Command,
) -> Result<(Process, u16)> {
    for _ in 0..PORTS {
        let port = ports()?;
        let process = start(port)?;
        if process.answers(|| succeeds(ready(port))).map_err(|e| anyhow!("{e}: {}", tail(log)))? {
            return Ok((process, port));
        }
    }
    bail!("the server ends as soon as it is started: {}", tail(log))
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// A MariaDB server. Root logs in without a password.
pub struct MariaDb {
    _process: Process,
    /// Unix socket.
    pub socket: PathBuf,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Folder with the client programs.
    pub client_bin: PathBuf,
}

impl MariaDb {
    /// Starts a server with its data below this folder, which must be empty or new.
    ///
    /// # Errors
    /// No server is installed, or it does not answer in time; the end of its log is in the error.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::start_on(dir, &mut free_port)
    }

    /// The same, on one of these ports.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(dir: &Path, ports: &mut dyn FnMut() -> Result<u16>) -> Result<Self> {
        let install = Install::find()?;
        std::fs::create_dir_all(dir)?;
        let client_bin = install.wrappers(&dir.join("bin"))?;
        let data = dir.join("data");
        let base = install.root.join("usr");
        let user = if nix::unistd::geteuid().is_root() { "root".to_owned() } else { whoami()? };
        // Of its own: a server that starts deletes the temporary tables of every other one in a shared folder.
        let temporary = dir.join("tmp");
        std::fs::create_dir_all(&temporary)?;
        let installed = install
            .command("mariadb-install-db")?
            .arg("--no-defaults")
            .env("TMPDIR", &temporary)
            .arg(format!("--basedir={}", base.display()))
            .arg(format!("--datadir={}", data.display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db", &format!("--user={user}")])
            .output()
            .context("mariadb-install-db")?;
        if !installed.status.success() {
            bail!("mariadb-install-db: {}", String::from_utf8_lossy(&installed.stderr));
        }
        let (socket, log) = (dir.join("server.sock"), dir.join("server.err"));
        let program = install.program("mariadbd")?;
        let start = |port| {
            let mut server = dying_with_us(&program);
            install.environment(&mut server);
            server
                .arg("--no-defaults")
                .arg(format!("--basedir={}", base.display()))
                .arg(format!("--datadir={}", data.display()))
                .arg(format!("--socket={}", socket.display()))
                .arg(format!("--log-error={}", log.display()))
                .arg(format!("--tmpdir={}", temporary.display()))
                .args([&format!("--port={port}"), &format!("--user={user}")])
                .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=64M"])
                .args(["--innodb-flush-log-at-trx-commit=2", "--character-set-server=latin1"]);
            Process::start(quiet(server))
        };
        let ready = |_| {
            let mut admin = Command::new(client_bin.join("mariadb-admin"));
            admin.arg("--no-defaults").arg(format!("--socket={}", socket.display())).args(["--user=root", "ping"]);
            admin
        };
        let (process, port) = started(&log, ports, start, ready)?;
        Ok(Self { _process: process, socket, port, client_bin })
    }

    /// Runs SQL with the vendor's client and gives what it prints, without headings.
    ///
    /// # Errors
    /// The client's error.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut client = Command::new(self.client_bin.join("mariadb"));
        client.arg("--no-defaults").arg(format!("--socket={}", self.socket.display()));
        client.args(["--user=root", "--batch", "--skip-column-names", "--raw", "--default-character-set=utf8mb4", database]);
        feed(client, sql)
    }

    /// Makes a database of this name and its scratch database, and the target that leads there over the socket.
    ///
    /// # Errors
    /// The client's error.
    pub fn database(&self, name: &str) -> Result<DbTarget> {
        self.sql("mysql", &format!("CREATE DATABASE {name}; CREATE DATABASE {name}_scratch;"))?;
        Ok(DbTarget {
            name: name.to_owned(),
            engine: Engine::Mysql,
            host: String::new(),
            port: self.port,
            socket: Some(self.socket.display().to_string()),
            database: name.to_owned(),
            scratch: Some(format!("{name}_scratch")),
            user: "root".to_owned(),
            password: String::new(),
            server_accounts: Vec::new(),
            tls: false,
            ca: None,
            client_bin: Some(self.client_bin.display().to_string()),
        })
    }
}

/// Where MariaDB's programs are.
struct Install {
    root: PathBuf,
}

impl Install {
    fn find() -> Result<Self> {
        let named = std::env::var_os(MARIADB_ROOT).map(PathBuf::from);
        let root = named.unwrap_or_else(|| PathBuf::from("/"));
        if root.join("usr/sbin/mariadbd").is_file() {
            return Ok(Self { root });
        }
        bail!("MariaDB is not installed: no usr/sbin/mariadbd below {} (set {MARIADB_ROOT})", root.display())
    }

    fn program(&self, name: &str) -> Result<PathBuf> {
        let found = ["usr/sbin", "usr/bin"].iter().map(|d| self.root.join(d).join(name)).find(|p| p.is_file());
        found.ok_or_else(|| anyhow!("MariaDB is not installed: {name} is missing below {}", self.root.display()))
    }

    /// Folders of unpacked shared libraries; none for an installed server.
    fn libraries(&self) -> Vec<PathBuf> {
        if self.root == Path::new("/") {
            return Vec::new();
        }
        let entries = ["usr/lib", "lib"].map(|d| std::fs::read_dir(self.root.join(d)));
        let mut found: Vec<PathBuf> = entries.into_iter().flatten().flatten().flatten().map(|e| e.path()).collect();
        found.retain(|p| p.to_string_lossy().ends_with("-linux-gnu"));
        found.sort();
        found
    }

    fn environment(&self, command: &mut Command) {
        if let Ok(path) = std::env::join_paths(self.libraries())
            && !path.is_empty()
        {
            command.env("LD_LIBRARY_PATH", path);
        }
    }

    fn command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.program(name)?);
        self.environment(&mut command);
        Ok(command)
    }

    /// A folder with the clients: small scripts that name the unpacked libraries, as nothing else does.
    fn wrappers(&self, dir: &Path) -> Result<PathBuf> {
        let libraries = std::env::join_paths(self.libraries())?;
        std::fs::create_dir_all(dir)?;
        for client in ["mariadb", "mariadb-dump", "mariadb-admin"] {
            let program = self.program(client)?;
            let script =
                format!("#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n", Path::new(&libraries).display(), program.display());
            crate::test_program::write(&dir.join(client), script.as_bytes())?;
        }
        Ok(dir.to_owned())
    }
}

/// A PostgreSQL server. The superuser `postgres` logs in without a password.
pub struct Postgres {
    _process: Process,
    /// Folder of the Unix socket.
    pub socket: PathBuf,
    /// Port on 127.0.0.1, in the socket's name too.
    pub port: u16,
    /// Folder with the client programs.
    pub client_bin: PathBuf,
}

impl Postgres {
    /// Starts a server with its data below this folder. As root it runs as an ordinary user, since it refuses root.
    ///
    /// # Errors
    /// No server is installed, or it does not answer in time; the end of its log is in the error.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::start_on(dir, &mut free_port)
    }

    /// The same, on one of these ports.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(dir: &Path, ports: &mut dyn FnMut() -> Result<u16>) -> Result<Self> {
        let bin = postgres_bin()?;
        std::fs::create_dir_all(dir)?;
        let (data, socket, log) = (dir.join("data"), dir.join("socket"), dir.join("server.log"));
        std::fs::create_dir_all(&socket)?;
        std::fs::create_dir_all(&data)?;
        let user = ServerUser::choose()?;
        user.own(dir, &[&data, &socket])?;
        let mut init = user.command(&bin.join("initdb"));
        init.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"]).arg(&data);
        let made = init.current_dir("/").output().context("initdb")?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        let start = |port: u16| {
            let mut server = user.command(&bin.join("postgres"));
            server.arg("-D").arg(&data).arg("-k").arg(&socket).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-F"]);
            server.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
            server.stderr(std::fs::File::create(&log)?);
            Process::start(server)
        };
        let ready = |port: u16| {
            let mut ask = Command::new(bin.join("pg_isready"));
            ask.arg("-h").arg(&socket).args(["-p", &port.to_string(), "-q"]);
            ask
        };
        let (process, port) = started(&log, ports, start, ready)?;
        Ok(Self { _process: process, socket, port, client_bin: bin })
    }

    /// Runs SQL with psql and gives what it prints, without headings.
    ///
    /// # Errors
    /// psql's error.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut client = Command::new(self.client_bin.join("psql"));
        client.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"]).arg(&self.socket);
        client.args(["-p", &self.port.to_string(), "-d", database]);
        feed(client, sql)
    }

    /// Makes a database of this name and its scratch database, and the target that leads there over the socket.
    ///
    /// # Errors
    /// psql's error.
    pub fn database(&self, name: &str) -> Result<DbTarget> {
        self.sql("postgres", &format!("CREATE DATABASE {name};\nCREATE DATABASE {name}_scratch;"))?;
        Ok(DbTarget {
            name: name.to_owned(),
            engine: Engine::Postgresql,
            host: String::new(),
            port: self.port,
            socket: Some(self.socket.display().to_string()),
            database: name.to_owned(),
            scratch: Some(format!("{name}_scratch")),
            user: "postgres".to_owned(),
            password: String::new(),
            server_accounts: Vec::new(),
            tls: false,
            ca: None,
            client_bin: Some(self.client_bin.display().to_string()),
        })
    }
}

/// The named folder, else the newest `/usr/lib/postgresql/*/bin` with a server in it, else the folder of `postgres` on the
/// PATH.
fn postgres_bin() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(POSTGRESQL_BIN) {
        return Ok(PathBuf::from(named));
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut bins: Vec<PathBuf> = versions.map(|e| e.path().join("bin")).collect();
    bins.sort();
    bins.reverse();
    bins.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let needed = ["initdb", "postgres", "pg_isready", "psql", "pg_dump", "pg_restore"];
    let found = bins.into_iter().find(|b| needed.iter().all(|n| b.join(n).is_file()));
    found.ok_or_else(|| anyhow!("PostgreSQL is not installed: no initdb in /usr/lib/postgresql/*/bin or on the PATH"))
}

/// Who PostgreSQL runs as.
struct ServerUser(Option<nix::unistd::User>);

impl ServerUser {
    fn choose() -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Self(None));
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = nix::unistd::User::from_name(name)? {
                return Ok(Self(Some(user)));
            }
        }
        bail!("PostgreSQL refuses root, and there is neither a user postgres nor a user nobody")
    }

    /// Gives folders to the user and opens the way to them.
    fn own(&self, parent: &Path, folders: &[&Path]) -> Result<()> {
        let Some(user) = &self.0 else { return Ok(()) };
        for folder in folders {
            std::os::unix::fs::chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let mut way = Some(parent);
        while let Some(folder) = way.filter(|f| f.starts_with(std::env::temp_dir()) && *f != std::env::temp_dir()) {
            let mode = std::fs::metadata(folder)?.permissions().mode();
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode | 0o011))?;
            way = folder.parent();
        }
        Ok(())
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = &self.0 {
            command.args(["--clear-groups", &format!("--reuid={}", user.uid), &format!("--regid={}", user.gid)]);
        }
        command.arg("--").arg(program);
        command
    }
}

/// A program that the kernel kills when the thread that started it ends.
fn dying_with_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn succeeds(command: Command) -> bool {
    quiet(command).status().is_ok_and(|s| s.success())
}

fn feed(mut client: Command, sql: &str) -> Result<String> {
    let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("standard input")?;
    let sql = sql.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(sql.as_bytes()));
    let ended = child.wait_with_output()?;
    // A client that stops at an error does not read the rest.
    let _written = writer.join();
    if !ended.status.success() {
        bail!("{}", String::from_utf8_lossy(&ended.stderr));
    }
    Ok(String::from_utf8(ended.stdout)?)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn whoami() -> Result<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())?;
    Ok(user.context("this user has no name")?.name)
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
