//! Who is in the databases before something changes them (10, rule 16): what was seen, and what is looked at again.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::id::{NodeId, RunId};

use super::{Decision, PROBE_AGE, PROBE_EVERY, Scheduler};

/// An agent that does not answer a look is asked again after this long.
pub const LOOK_LIMIT: Duration = Duration::from_secs(60);

/// A look at who is in a database, and who may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look {
    /// The run whose plan says where the database is.
    pub run: RunId,
    /// Its name.
    pub database: String,
    /// Names or addresses that sessions may come from.
    pub but_from: Vec<String>,
}

/// Sessions that may not be there, each in words, or why nobody can tell.
pub type Strangers = Result<Vec<String>, String>;

/// What stands against a database that nobody else may be in; `None`: nothing.
#[must_use]
pub fn against(database: &str, found: &Strangers) -> Option<String> {
    match found {
        Ok(strangers) if strangers.is_empty() => None,
        Ok(strangers) => Some(format!("nobody else in {database} ({})", strangers.join(", "))),
        Err(why) => Some(format!("a look who is in {database} ({why})")),
    }
}

impl Scheduler<'_> {
    /// What of the databases is not shown now, after asking for a new look.
    pub(super) fn not_alone(&mut self, databases: &BTreeMap<String, NodeId>, but_from: &[String]) -> Option<String> {
        let mut missing = Vec::new();
        for (database, from) in databases {
            let look = Look { run: self.run.id.clone(), database: database.clone(), but_from: but_from.to_vec() };
            let age = |at: &Duration| self.world.now.saturating_sub(*at);
            let seen = self.world.sessions.get(&look).filter(|(at, _)| age(at) <= PROBE_AGE);
            let open = match seen {
                Some((_, found)) => against(database, found),
                None => Some(format!("a look who is in {database}")),
            };
            let (shown, fresh) = (open.is_none(), seen.is_some_and(|(at, _)| age(at) < PROBE_AGE / 2));
            // Several looks at once would find each other.
            let under_way = self.world.looking.get(&look).is_some_and(|since| age(since) < LOOK_LIMIT);
            let just_now = seen.is_some_and(|(at, _)| age(at) < PROBE_EVERY);
            let host = self.run.plan.plan.node(from).map(|node| &node.host);
            let reached = host.is_some_and(|host| self.world.connected.contains(host));
            missing.extend(if reached {
                open
            } else {
                open.map(|open| format!("{open} (the agent of {from} is not connected)"))
            });
            let wanted = !shown || !fresh;
            let possible = reached && !under_way && !just_now;
            if wanted && possible && self.looks.insert(look.clone()) {
                self.out.decisions.push(Decision::Look { look, from: from.clone() });
            }
        }
        (!missing.is_empty()).then(|| missing.join("; "))
    }
}
