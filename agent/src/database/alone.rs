//! Whether nobody else is in a database (10-hard-cases, rule 16).

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cavalcade_common::action::{DbTarget, NoSessions};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep};

use super::error::{DbError, Refusal};
use super::link::{Link, Purpose};
use super::lock;
use super::sessions::{self, Session};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// How long a session of others is looked at before it is believed to stay.
const SETTLED: Duration = Duration::from_secs(5);

/// Most sessions that are named.
const NAMED: usize = 10;

/// Looks of this process at one database take turns: each would find the other's session.
static TURNS: Mutex<BTreeMap<String, Arc<AsyncMutex<()>>>> = Mutex::new(BTreeMap::new());

async fn turn(target: &DbTarget) -> OwnedMutexGuard<()> {
    let turn = TURNS.lock().unwrap_or_else(PoisonError::into_inner).entry(target.name.clone()).or_default().clone();
    turn.lock_owned().await
}

/// Whether no session is there but those that may be, and which are.
///
/// # Errors
/// The account does not see the sessions of others; a name that may connect cannot be resolved; the database cannot be
/// reached.
pub(crate) async fn alone(
    target: &DbTarget,
    wanted: &NoSessions,
    own: u64,
    patience: Duration,
) -> Result<(bool, Option<String>), DbError> {
    let _turn = turn(target).await;
    let allowed = Allowed::of(target, wanted).await?;
    // Not in the transaction of the other assertions: there PostgreSQL keeps showing what it showed first.
    let mut link = Link::open(target, Purpose::Own).await?;
    let own = [own, link.id().await?];
    let since = Instant::now();
    loop {
        let seen = sessions::others(&mut link, target, &own).await?;
        let mut strangers = Vec::new();
        for session in &seen {
            if !allowed.holds(session).await {
                strangers.push(session);
            }
        }
        if strangers.is_empty() || since.elapsed() >= patience {
            link.close().await;
            let found = match strangers.is_empty() {
                true if seen.is_empty() => "no other session".to_owned(),
                true => format!("only sessions that may be: {}", named(&seen.iter().collect::<Vec<_>>())),
                false => format!("{} other sessions: {}", strangers.len(), named(&strangers)),
            };
            return Ok((strangers.is_empty(), Some(found)));
        }
        sleep(LOOK).await;
    }
}

/// Sessions of others that may not be there now. The one that holds the script's lock is none of them: an earlier attempt
/// of ours opened it and its statement may still execute; taking the lock decides about it (10, rule 22).
///
/// # Errors
/// As [`alone`].
pub async fn strangers(target: &DbTarget, wanted: &NoSessions) -> Result<Vec<Session>, DbError> {
    let _turn = turn(target).await;
    let allowed = Allowed::of(target, wanted).await?;
    let mut link = Link::open(target, Purpose::Own).await?;
    let found = strange(&mut link, target, &allowed).await;
    link.close().await;
    found
}

async fn strange(link: &mut Link, target: &DbTarget, allowed: &Allowed) -> Result<Vec<Session>, DbError> {
    let own = link.id().await?;
    let since = Instant::now();
    loop {
        let holder = lock::holder(link, target).await?;
        let mut strangers = Vec::new();
        for session in sessions::others(link, target, &[own]).await? {
            let ours = holder == Some(session.id) && session.user == target.user;
            if !ours && !allowed.holds(&session).await {
                strangers.push(session);
            }
        }
        // A server lists a session that has ended for a moment more: those of an agent that was killed, for one.
        if strangers.is_empty() || since.elapsed() >= SETTLED {
            return Ok(strangers);
        }
        sleep(LOOK).await;
    }
}

fn named(sessions: &[&Session]) -> String {
    each_named(sessions).join(", ")
}

/// Number, account and address of each, up to a sensible number of them.
pub(crate) fn each_named<S: Borrow<Session>>(sessions: &[S]) -> Vec<String> {
    let one = |s: &Session| match s.host.as_str() {
        "" => format!("{} of {} (local)", s.id, s.user),
        host => format!("{} of {} from {host}", s.id, s.user),
    };
    let mut names: Vec<String> = sessions.iter().take(NAMED).map(|s| one(s.borrow())).collect();
    if sessions.len() > NAMED {
        names.push(format!("{} more", sessions.len() - NAMED));
    }
    names
}

/// Who may be connected.
struct Allowed {
    names: Vec<String>,
    addresses: BTreeSet<IpAddr>,
}

impl Allowed {
    async fn of(target: &DbTarget, wanted: &NoSessions) -> Result<Self, DbError> {
        let mut addresses = BTreeSet::new();
        for host in &wanted.but_from {
            let found = resolve(host).await.map_err(|why| Refusal::UnknownHost { host: host.clone(), why })?;
            addresses.extend(found);
        }
        // A server on the database's own machine connects from there.
        let beside = match target.socket {
            Some(_) => false,
            None => {
                let found = resolve(&target.host).await.unwrap_or_default();
                let same_machine =
                    |a: &IpAddr| addresses.contains(a) || a.is_loopback() && addresses.iter().any(IpAddr::is_loopback);
                found.iter().any(same_machine)
            }
        };
        if beside {
            addresses.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        Ok(Self { names: wanted.but_from.clone(), addresses })
    }

    /// The server may tell a name or an address, whichever it likes.
    async fn holds(&self, session: &Session) -> bool {
        if session.host.is_empty() || self.names.is_empty() {
            return false;
        }
        if self.names.iter().any(|n| n.eq_ignore_ascii_case(&session.host)) {
            return true;
        }
        // A name that nobody knows here is not one of those.
        resolve(&session.host).await.is_ok_and(|found| found.iter().any(|a| self.addresses.contains(a)))
    }
}

/// Addresses of a name or address, IPv4 in its own form.
async fn resolve(host: &str) -> Result<BTreeSet<IpAddr>, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((bare, 0)).await.map_err(|e| e.to_string())?;
    let found: BTreeSet<IpAddr> = found.map(|a| a.ip().to_canonical()).collect();
    if found.is_empty() { Err("it has no address".to_owned()) } else { Ok(found) }
}
