//! A MariaDB server of a test's own: started as an ordinary process, gone with the test.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, MySqlConnection, mysql::MySqlConnectOptions};

use super::fleet::{Account, wait_until};

/// The variable that names the folder whose `usr` holds MariaDB, where none is installed (`deploy/lib/mariadb.sh` fills one).
pub const ROOT_VARIABLE: &str = "CAVALCADE_MARIADB";

/// A running server.
#[derive(Debug)]
pub struct MariaDb {
    child: Child,
    socket: PathBuf,
    port: u16,
}

impl MariaDb {
    /// Initialises a server in `folder` and starts it on a free port of 127.0.0.1, with an account `wso2` (password `wso2`)
    /// that may do everything.
    ///
    /// # Errors
    ///
    /// When no server is installed or it does not start within 60 s.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let root = env::var_os(ROOT_VARIABLE).map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let program = root.join("usr/sbin/mariadbd");
        ensure!(program.exists(), "no MariaDB: install it, or let {ROOT_VARIABLE} name a folder that holds usr/sbin/mariadbd");
        // Of its own: a server that starts deletes the temporary tables of every other one in a shared folder.
        let temporary = folder.join("tmp");
        fs::create_dir_all(&temporary)?;
        let (data, socket) = (folder.join("data"), folder.join("s"));
        let user = env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let made = tool(&root, "usr/bin/mariadb-install-db")
            .arg("--no-defaults")
            .arg(format!("--basedir={}", root.join("usr").display()))
            .arg(format!("--datadir={}", data.display()))
            .env("TMPDIR", &temporary)
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--user={user}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()?;
        let said = [made.stdout, made.stderr].concat();
        ensure!(made.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&said));
        // Free now; another process could take it before the server does, which the start below would say.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let child = tool(&root, "usr/sbin/mariadbd")
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=32M"])
            .arg(format!("--basedir={}", root.join("usr").display()))
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", socket.display()))
            .arg(format!("--port={port}"))
            .arg(format!("--user={user}"))
            .arg(format!("--log-error={}", folder.join("log").display()))
            .arg(format!("--tmpdir={}", temporary.display()))
            .arg("--character-set-server=latin1")
            .spawn()
            .context("mariadbd cannot be started")?;
        let server = Self { child, socket, port };
        wait_until(Duration::from_secs(60), "MariaDB answers", || UnixStream::connect(&server.socket).is_ok())?;
        let mut connection = server.connect("mysql").await?;
        for statement in [
            "CREATE USER wso2@'%' IDENTIFIED BY 'wso2'",
            "GRANT ALL ON *.* TO wso2@'%'",
            "GRANT ALL ON *.* TO wso2@'127.0.0.1' IDENTIFIED BY 'wso2'",
        ] {
            connection.execute(statement).await?;
        }
        Ok(server)
    }

    /// Connects as root.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub async fn connect(&self, database: &str) -> Result<MySqlConnection, sqlx::Error> {
        MySqlConnectOptions::new().socket(&self.socket).username("root").database(database).connect().await
    }

    /// Makes a database and fills it from a script.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub async fn create(&self, database: &str, script: &str) -> anyhow::Result<()> {
        self.connect("mysql").await?.execute(AssertSqlSafe(format!("CREATE DATABASE {database}"))).await?;
        self.run(database, script).await
    }

    /// Runs a script of several statements in one session.
    ///
    /// # Errors
    ///
    /// What the server says to the first statement that fails.
    pub async fn run(&self, database: &str, script: &str) -> anyhow::Result<()> {
        let mut connection = self.connect(database).await?;
        // The vendor's client has no such mode: it would turn "text" into a name in the scripts.
        connection.execute(sqlx::raw_sql("SET SESSION sql_mode = DEFAULT")).await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(script.to_owned()))).await?;
        Ok(())
    }

    /// The one number that a query answers.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub async fn number(&self, database: &str, query: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(query).fetch_one(&mut self.connect(database).await?).await?)
    }

    /// How a server reaches a database, as it goes into a deployment.toml.
    #[must_use]
    pub fn account(&self, database: &str) -> Account {
        Account {
            url: format!("jdbc:mysql://127.0.0.1:{}/{database}?autoReconnect=true&amp;useSSL=false", self.port),
            username: "wso2".to_owned(),
            password: "wso2".to_owned(),
        }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // The folder goes with the test: nothing is to be kept.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn tool(root: &Path, program: &str) -> Command {
    let mut command = Command::new(root.join(program));
    if root != Path::new("/") {
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib"];
        let path: Vec<PathBuf> = libraries.iter().map(|folder| root.join(folder)).collect();
        if let Ok(path) = env::join_paths(path) {
            command.env("LD_LIBRARY_PATH", path);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
