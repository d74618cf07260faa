//! One MariaDB and one PostgreSQL for all tests that run at the time, and a database of its own for each.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use cavalcade_agent::database::{Progress, ScriptRun, Session, run_query, sessions};
use cavalcade_common::action::{Assert, DbTarget, Engine};
use cavalcade_common::id::Digest;
use cavalcade_tests::database_server::{MariaDb, Postgres};

static MARIADB: Mutex<Weak<Server<MariaDb>>> = Mutex::new(Weak::new());
static POSTGRES: Mutex<Weak<Server<Postgres>>> = Mutex::new(Weak::new());
/// The longest wait for what a server lists.
const PATIENCE: Duration = Duration::from_secs(120);

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A server and its folder; the server is dropped first.
pub(crate) struct Server<T> {
    server: T,
    _dir: tempfile::TempDir,
}

fn shared<T>(slot: &Mutex<Weak<Server<T>>>, start: impl Fn(&std::path::Path) -> anyhow::Result<T>) -> Arc<Server<T>> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = slot.upgrade() {
        return running;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let server = Arc::new(Server { server: start(dir.path()).expect("the server starts"), _dir: dir });
    *slot = Arc::downgrade(&server);
    server
}

/// A database on a server of its engine, empty, with a scratch database.
pub(crate) enum Db {
    Mysql(Arc<Server<MariaDb>>, DbTarget),
    Postgresql(Arc<Server<Postgres>>, DbTarget),
}

pub(crate) const ENGINES: [Engine; 2] = [Engine::Mysql, Engine::Postgresql];

impl Db {
    pub(crate) fn new(engine: Engine) -> Self {
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        match engine {
            Engine::Mysql => {
                let server = shared(&MARIADB, MariaDb::start);
                let target = server.server.database(&name).expect("a database");
                Self::Mysql(server, target)
            }
            Engine::Postgresql => {
                let server = shared(&POSTGRES, Postgres::start);
                let target = server.server.database(&name).expect("a database");
                Self::Postgresql(server, target)
            }
        }
    }

    pub(crate) fn target(&self) -> &DbTarget {
        match self {
            Self::Mysql(_, t) | Self::Postgresql(_, t) => t,
        }
    }

    /// The same over TCP.
    pub(crate) fn over_tcp(&self) -> DbTarget {
        DbTarget { socket: None, host: "127.0.0.1".to_owned(), ..self.target().clone() }
    }

    /// A session over TCP as this user that executes until it is ended. Its statement runs when this returns.
    pub(crate) async fn occupied(&self, user: &str) -> tokio::task::JoinHandle<()> {
        let target = DbTarget { user: user.to_owned(), ..self.over_tcp() };
        let select = match target.engine {
            Engine::Mysql => "SELECT SLEEP(600)".to_owned(),
            Engine::Postgresql => "SELECT 1 FROM pg_sleep(600)".to_owned(),
        };
        let occupies = tokio::spawn(async move {
            let assert = Assert { select: Some(select), ..Assert::default() };
            // It may be ended.
            let _ended = run_query(&target, &[assert], Duration::ZERO).await;
        });
        self.executing_once(self.occupying()).await;
        occupies
    }

    /// How the statement of [`Self::occupied`] begins.
    fn occupying(&self) -> &'static str {
        match self.target().engine {
            Engine::Mysql => "SELECT SLEEP",
            Engine::Postgresql => "SELECT 1 FROM pg_sleep",
        }
    }

    /// Ends what [`Self::occupied`] began.
    pub(crate) fn end_occupying(&self) {
        for id in self.executing(self.occupying()) {
            self.end(id);
        }
    }

    /// Ends a session, if it is still there.
    pub(crate) fn end(&self, id: u64) {
        let sql = match self.target().engine {
            Engine::Mysql => format!("KILL {id}"),
            Engine::Postgresql => format!("SELECT pg_terminate_backend({id})"),
        };
        match self.try_sql_in(self.elsewhere(), &sql) {
            Ok(_) => {}
            Err(gone) => assert!(gone.to_string().contains("Unknown thread id"), "{gone}"),
        }
    }

    /// A database of the server from which this one is looked at without a session in it.
    fn elsewhere(&self) -> &'static str {
        match self.target().engine {
            Engine::Mysql => "mysql",
            Engine::Postgresql => "postgres",
        }
    }

    /// Sessions in this database that execute a statement that begins like this. The statement is asked for, since a
    /// server lists a session that has ended for a moment more, in whatever state.
    fn executing(&self, statement: &str) -> Vec<u64> {
        let name = &self.target().database;
        let sql = match self.target().engine {
            Engine::Mysql => {
                format!("SELECT id FROM information_schema.processlist WHERE db = '{name}' AND info LIKE '{statement}%'")
            }
            Engine::Postgresql => format!(
                "SELECT pid FROM pg_stat_activity WHERE datname = '{name}' AND state = 'active' AND query LIKE '{statement}%'"
            ),
        };
        let found = self.sql_in(self.elsewhere(), &sql);
        found.lines().map(|id| id.parse().expect("a number")).collect()
    }

    /// Waits until a statement that begins like this is executed in this database.
    pub(crate) async fn executing_once(&self, statement: &str) {
        let begun = Instant::now();
        while self.executing(statement).is_empty() {
            assert!(begun.elapsed() < PATIENCE, "nobody executes {statement}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A session of the vendor's client that did this and stays open. It is done when this returns.
    pub(crate) fn holding(&self, sql: &str) -> Holder {
        let t = self.target();
        let bin = std::path::Path::new(t.client_bin.as_deref().expect("a folder"));
        let socket = t.socket.as_deref().expect("a socket");
        let mut client = match t.engine {
            Engine::Mysql => {
                let mut c = Command::new(bin.join("mariadb"));
                c.args(["--no-defaults", "--user=root", "--unbuffered", "-N", &format!("--socket={socket}"), &t.database]);
                c
            }
            Engine::Postgresql => {
                let mut c = Command::new(bin.join("psql"));
                c.args(["-X", "-A", "-t", "-q", "-U", "postgres", "-h", socket, "-p", &t.port.to_string(), "-d", &t.database]);
                c
            }
        };
        let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let mut stdin = child.stdin.take().expect("its input");
        stdin.write_all(format!("{sql}\nSELECT 'HELD';\n").as_bytes()).and_then(|()| stdin.flush()).expect("sent");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        assert!(stdout.lines().map_while(Result::ok).any(|l| l == "HELD"), "{sql} is done");
        Holder { child, _stdin: stdin }
    }

    /// The sessions of others in this database once they fit. A server lists a session that has ended for a moment more,
    /// so a single look proves nothing.
    pub(crate) async fn sessions_once(&self, fits: impl Fn(&[Session]) -> bool) -> Vec<Session> {
        let begun = Instant::now();
        loop {
            let seen = sessions(self.target()).await.expect("asks");
            if fits(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "{seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs SQL with the vendor's client and gives what it prints, trimmed.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.sql_in(&self.target().database, sql)
    }

    fn try_sql_in(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        match self {
            Self::Mysql(s, _) => s.server.sql(database, sql),
            Self::Postgresql(s, _) => s.server.sql(database, sql),
        }
    }

    pub(crate) fn sql_in(&self, database: &str, sql: &str) -> String {
        let said = self.try_sql_in(database, sql);
        said.unwrap_or_else(|e| panic!("{sql}: {e}")).trim().to_owned()
    }

    /// Makes the database anew: nothing is in it. Whoever is still connected is ended.
    pub(crate) fn emptied(&self) {
        let name = &self.target().database;
        let sql = match self.target().engine {
            Engine::Mysql => format!("DROP DATABASE {name}; CREATE DATABASE {name};"),
            Engine::Postgresql => format!("DROP DATABASE {name} WITH (FORCE);\nCREATE DATABASE {name};"),
        };
        self.sql_in(self.elsewhere(), &sql);
    }

    /// Definitions and rows of everything but our own tables, as the vendor's dump shows them.
    pub(crate) fn dump(&self) -> String {
        let t = self.target();
        let bin = std::path::Path::new(t.client_bin.as_deref().expect("a folder"));
        let socket = t.socket.as_deref().expect("a socket");
        let ours = ["cavalcade_script_ledger", "cavalcade_incarnation"];
        let out = match self {
            Self::Mysql(..) => {
                let mut c = Command::new(bin.join("mariadb-dump"));
                c.args(["--no-defaults", "--user=root", "--skip-comments", "--routines", "--order-by-primary"]);
                c.arg(format!("--socket={socket}"));
                c.args(ours.map(|o| format!("--ignore-table={}.{o}", t.database)));
                c.arg(&t.database).output()
            }
            Self::Postgresql(..) => {
                let mut c = Command::new(bin.join("pg_dump"));
                c.args(["-U", "postgres", "-h", socket, "-p", &t.port.to_string(), "--inserts"]);
                c.args(ours.map(|o| format!("--exclude-table={o}")));
                c.arg(&t.database).output()
            }
        };
        let out = out.expect("the dump runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        // Newer dump clients print a random key in two lines.
        let text = String::from_utf8_lossy(&out.stdout);
        text.lines().filter(|l| !l.starts_with("\\restrict") && !l.starts_with("\\unrestrict")).collect::<Vec<_>>().join("\n")
    }

    /// A run of a script here. The digest must outlive it.
    pub(crate) fn run<'a>(&'a self, script: &'a str, digest: &'a Digest, attempt: &'a str) -> ScriptRun<'a> {
        ScriptRun {
            target: self.target(),
            effect: "test",
            attempt,
            epoch: 1,
            script_sha256: digest,
            script,
            incarnation: None,
            approved: None,
        }
    }
}

/// A session of the vendor's client; it ends when this is dropped.
pub(crate) struct Holder {
    child: Child,
    /// The end of its input would end the client.
    _stdin: ChildStdin,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

/// Shows nothing.
pub(crate) fn silent(_: Progress) {}
