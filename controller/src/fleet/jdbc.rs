//! Where a JDBC URL leads.

use cavalcade_common::action::{DbTarget, Engine};

use super::Database;

/// Host, port and name of a JDBC URL of the kind `jdbc:ENGINE://HOST:PORT/NAME?...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JdbcAddress {
    /// Host, in lower case.
    pub host: String,
    /// Port, where the URL names one.
    pub port: Option<u16>,
    /// The database.
    pub name: String,
}

impl JdbcAddress {
    /// `None` for a URL of another kind, and for one that names several servers.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        let (_, rest) = url.strip_prefix("jdbc:")?.split_once("://")?;
        let (server, rest) = rest.split_once('/')?;
        let server = server.rsplit('@').next().unwrap_or(server);
        if server.contains(',') {
            return None;
        }
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (server, None),
        };
        let name = rest.split(['?', ';', '&']).next().unwrap_or(rest);
        Some(Self { host: host.to_lowercase(), port, name: name.to_owned() })
    }

    /// The port that the driver takes.
    #[must_use]
    pub fn port(&self, engine: Engine) -> u16 {
        self.port.unwrap_or(match engine {
            Engine::Mysql => 3306,
            Engine::Postgresql => 5432,
        })
    }
}

impl Database {
    /// The database as the servers reach it, with their account: by TCP, at the address of their own URL where the fleet file
    /// has one. `None` where no account is named, or no address.
    #[must_use]
    pub fn as_servers(&self) -> Option<DbTarget> {
        let account = self.server.as_ref()?;
        let mut target = DbTarget {
            user: account.user.clone(),
            password: account.password.clone(),
            socket: None,
            scratch: None,
            server_accounts: Vec::new(),
            client_bin: None,
            ..self.target.clone()
        };
        if let Some(own) = self.jdbc_url.as_deref().and_then(JdbcAddress::of) {
            target.port = own.port(target.engine);
            (target.host, target.database) = (own.host, own.name);
        }
        (!target.host.is_empty()).then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let of = |host: &str, port, name: &str| Some(JdbcAddress { host: host.to_owned(), port, name: name.to_owned() });
        assert_eq!(JdbcAddress::of("jdbc:mysql://DB:3307/am?autoReconnect=true&amp;useSSL=false"), of("db", Some(3307), "am"));
        assert_eq!(JdbcAddress::of("jdbc:postgresql://u:(secret)@db/am"), of("db", None, "am"));
        for other in ["jdbc:h2:./repository/database/X", "jdbc:mysql://a:1,b:2/am", "db/am"] {
            assert_eq!(JdbcAddress::of(other), None, "{other}");
        }
    }

    #[test]
    fn servers_reach_a_database_by_their_own_url_or_by_its_host() {
        let fleet = include_str!("../../../deploy/examples/fleet.yaml");
        let fleet = crate::fleet::read(fleet.as_bytes(), "fleet.yaml").expect("has no faults");
        let mut database = fleet.databases["am_db"].clone();
        let by_host = database.as_servers().expect("an account is named");
        assert_eq!((by_host.host.as_str(), by_host.port), (database.target.host.as_str(), 3306));
        assert_ne!(by_host.user, database.target.user);
        database.jdbc_url = Some("jdbc:mysql://proxy:3307/am?user=x".to_owned());
        let by_url = database.as_servers().expect("an account is named");
        assert_eq!((by_url.host.as_str(), by_url.port, by_url.database.as_str()), ("proxy", 3307, "am"));
        (database.jdbc_url, database.target.host, database.target.socket) = (None, String::new(), Some("/run/x".to_owned()));
        assert_eq!(database.as_servers(), None, "a driver has no socket");
        database.server = None;
        assert_eq!(database.as_servers(), None);
    }
}
