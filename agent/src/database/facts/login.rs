//! The servers' own account, tried from where the servers will be: migration clients work on the schema with it, and an
//! account may be allowed from some hosts only.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::action::{DbTarget, Engine};
use serde::{Deserialize, Serialize};

use super::{DbFacts, limit, mysql, postgresql};
use crate::database::error::DbError;
use crate::database::grants::Grants;
use crate::database::link::{Link, Purpose};

/// How long one login may take, questions and all.
const WITHIN: Duration = Duration::from_secs(20);

/// Classes of the SQL states that tell of a refused login.
const REFUSED: &str = "28";

/// Rights that a migration needs on the database.
const RIGHTS: [&str; 7] = ["create", "alter", "index", "write", "drop", "references", TABLES_OF_SCRIPTS];

/// PostgreSQL: a table belongs to the account that made it, here to that of the scripts.
pub(super) const TABLES_OF_SCRIPTS: &str = "tables_of_scripts";

/// What became of a login: `facts.logins.NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoginFacts {
    /// The account.
    pub user: String,
    /// Where the login was tried, `host:port/database`.
    pub at: String,
    /// Whether a session could be opened; `None`: it could not be tried here.
    pub reached: Option<bool>,
    /// Why not.
    pub problem: Option<String>,
    /// By name: what the account may do in the database. `None`: the grants do not tell. Empty without a session.
    pub rights: BTreeMap<String, Option<bool>>,
    /// Why a right is missing.
    pub refused: BTreeMap<String, String>,
    /// PostgreSQL: whether it is a superuser's.
    #[serde(default)]
    pub superuser: Option<bool>,
    /// PostgreSQL 13 and later: whether it may add those extensions to the database that need no superuser.
    #[serde(default)]
    pub trusted_extensions: Option<bool>,
}

/// Whether what stopped one login would stop the next one of the same account on the same server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stops {
    /// Another database may be reached.
    This,
    /// The server does not answer, or refuses the password: another try would only bring the account nearer to its lock.
    All,
}

impl LoginFacts {
    /// Of a login that was not tried.
    #[must_use]
    pub fn untried(target: &DbTarget, problem: String) -> Self {
        let at = format!("{}:{}/{}", target.host, target.port, target.database);
        Self { user: target.user.clone(), at, problem: Some(problem), ..Self::default() }
    }

    /// Changes every text that may repeat what a server said.
    pub fn rewrite(&mut self, by: impl Fn(&str) -> String) {
        for text in self.problem.iter_mut().chain(self.refused.values_mut()) {
            *text = by(text);
        }
    }
}

/// Logs in with the target's account and reads what it may do. Changes nothing. `scripts`: the account that makes tables.
pub async fn login(target: &DbTarget, scripts: &str) -> (LoginFacts, Stops) {
    let late = format!("no answer within {} s", WITHIN.as_secs());
    let mut facts = LoginFacts::untried(target, late);
    facts.reached = Some(false);
    let stops = match tokio::time::timeout(WITHIN, look(target, scripts, &mut facts)).await {
        Ok(Ok(())) => {
            facts.problem = None;
            Stops::This
        }
        Ok(Err(error)) => {
            // How the servers' driver would log in is another matter.
            let ours = matches!(error, DbError::NeedsTls { .. });
            if ours {
                facts.reached = None;
            }
            facts.problem = Some(error.fault().to_string());
            if ours || would_stop_all(&error) { Stops::All } else { Stops::This }
        }
        Err(_) => Stops::All,
    };
    (facts, stops)
}

fn would_stop_all(error: &DbError) -> bool {
    let DbError::Unreachable { source, .. } = error else { return false };
    // What the server itself says may be about this one database.
    source.as_database_error().is_none_or(|said| said.code().is_some_and(|code| code.starts_with(REFUSED)))
}

async fn look(target: &DbTarget, scripts: &str, facts: &mut LoginFacts) -> Result<(), DbError> {
    let mut link = Link::open(target, Purpose::Own).await?;
    facts.reached = Some(true);
    let rights = rights(&mut link, target, scripts, facts).await;
    link.close().await;
    let found = rights?;
    facts.superuser = found.superuser;
    let ddl = |name: &String| RIGHTS.contains(&name.as_str());
    facts.rights.extend(found.rights.into_iter().filter(|(name, _)| ddl(name)));
    facts.refused.extend(found.refused.into_iter().filter(|(name, _)| ddl(name)));
    Ok(())
}

/// The rights of the session's account, as the facts of a database have them.
async fn rights(link: &mut Link, target: &DbTarget, scripts: &str, facts: &mut LoginFacts) -> Result<DbFacts, DbError> {
    let mut found = DbFacts::default();
    limit(link).await?;
    match target.engine {
        Engine::Mysql => {
            let grants = Grants::of(link).await?;
            mysql::rights(&grants, &target.database, &mut found);
            mysql::references(link, &grants, &target.database, &mut found).await?;
        }
        Engine::Postgresql => {
            // Who owns a table may do everything with it: write and refer to it too.
            postgresql::rights(link, &mut found).await?;
            postgresql::tables_of(link, scripts, &mut found).await?;
            facts.trusted_extensions = postgresql::trusted_extensions(link).await?;
        }
    }
    Ok(found)
}
