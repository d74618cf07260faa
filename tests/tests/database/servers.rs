//! One MariaDB and one PostgreSQL for all tests that run at the time, and a database of its own for each.

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

    /// A session over TCP as this user that executes for so many seconds. It is there when this returns.
    pub(crate) async fn occupied(&self, user: &str, seconds: u32) -> tokio::task::JoinHandle<()> {
        let target = DbTarget { user: user.to_owned(), ..self.over_tcp() };
        let select = match target.engine {
            Engine::Mysql => format!("SELECT SLEEP({seconds})"),
            Engine::Postgresql => format!("SELECT 1 FROM pg_sleep({seconds})"),
        };
        let at_work = |seen: &[Session]| seen.iter().filter(|s| s.executing).count();
        let before = at_work(&sessions(self.target()).await.expect("asks"));
        let occupies = tokio::spawn(async move {
            let assert = Assert { select: Some(select), ..Assert::default() };
            // It may be ended.
            let _ended = run_query(&target, &[assert], Duration::ZERO).await;
        });
        self.sessions_once(|seen| at_work(seen) > before).await;
        occupies
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

    pub(crate) fn sql_in(&self, database: &str, sql: &str) -> String {
        let said = match self {
            Self::Mysql(s, _) => s.server.sql(database, sql),
            Self::Postgresql(s, _) => s.server.sql(database, sql),
        };
        said.unwrap_or_else(|e| panic!("{sql}: {e}")).trim().to_owned()
    }

    /// Definitions and rows of everything but our own tables, as the vendor's dump shows them.
    pub(crate) fn dump(&self) -> String {
        let t = self.target();
        let bin = std::path::Path::new(t.client_bin.as_deref().expect("a folder"));
        let socket = t.socket.as_deref().expect("a socket");
        let ours = ["cavalcade_script_ledger", "cavalcade_incarnation"];
        let out = match self {
            Self::Mysql(..) => {
                let mut c = std::process::Command::new(bin.join("mariadb-dump"));
                c.args(["--no-defaults", "--user=root", "--skip-comments", "--routines", "--order-by-primary"]);
                c.arg(format!("--socket={socket}"));
                c.args(ours.map(|o| format!("--ignore-table={}.{o}", t.database)));
                c.arg(&t.database).output()
            }
            Self::Postgresql(..) => {
                let mut c = std::process::Command::new(bin.join("pg_dump"));
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

/// Shows nothing.
pub(crate) fn silent(_: Progress) {}
