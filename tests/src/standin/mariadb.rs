//! A MariaDB server for stand-ins: with the account that their homes name.

use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, MySqlConnection, mysql::MySqlConnectOptions};

use super::fleet::Account;
use crate::database_server;

/// A running server, gone with this value.
pub struct MariaDb {
    server: database_server::MariaDb,
}

impl MariaDb {
    /// Starts a server with its data in `folder`, and with an account `wso2` (password `wso2`) that may do everything.
    ///
    /// # Errors
    ///
    /// When no server is installed or it does not start in time.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let server = database_server::MariaDb::start(folder)?;
        let accounts = ["'%'", "'127.0.0.1'"]
            .map(|host| format!("CREATE USER wso2@{host} IDENTIFIED BY 'wso2'; GRANT ALL ON *.* TO wso2@{host};"));
        server.sql("mysql", &accounts.concat())?;
        Ok(Self { server })
    }

    /// Connects as root.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub async fn connect(&self, database: &str) -> Result<MySqlConnection, sqlx::Error> {
        MySqlConnectOptions::new().socket(&self.server.socket).username("root").database(database).connect().await
    }

    /// Makes a database and fills it from a script.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn create(&self, database: &str, script: &str) -> anyhow::Result<()> {
        self.server.sql("mysql", &format!("CREATE DATABASE {database}"))?;
        self.run(database, script)
    }

    /// Runs a script of several statements in one session of the vendor's client.
    ///
    /// # Errors
    ///
    /// What the server says to the first statement that fails.
    pub fn run(&self, database: &str, script: &str) -> anyhow::Result<()> {
        self.server.sql(database, script).map(|_| ())
    }

    /// What a query answers, without headings.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn query(&self, database: &str, query: &str) -> anyhow::Result<String> {
        self.server.sql(database, query)
    }

    /// The one number that a query answers.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub async fn number(&self, database: &str, query: &str) -> anyhow::Result<i64> {
        let mut connection = self.connect(database).await?;
        Ok(sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await?)
    }

    /// Runs one statement over a connection of its own.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub async fn execute(&self, database: &str, statement: &str) -> anyhow::Result<()> {
        self.connect(database).await?.execute(AssertSqlSafe(statement.to_owned())).await?;
        Ok(())
    }

    /// How a server reaches a database, as it goes into a deployment.toml.
    #[must_use]
    pub fn account(&self, database: &str) -> Account {
        Account {
            url: format!("jdbc:mysql://127.0.0.1:{}/{database}?autoReconnect=true&amp;useSSL=false", self.server.port),
            username: "wso2".to_owned(),
            password: "wso2".to_owned(),
        }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The folder with the vendor's clients.
    #[must_use]
    pub fn client_bin(&self) -> &Path {
        &self.server.client_bin
    }
}
