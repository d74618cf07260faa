//! The script's named lock: held by the script's session, it tells whether a statement still runs (rules 20 and 22).

use std::time::Duration;

use cavalcade_common::action::DbTarget;
use cavalcade_common::id::Digest;
use tokio::time::{Instant, sleep};

use super::error::{DbError, Refusal};
use super::link::Link;
use super::run::Progress;
use super::sessions;

/// How long a session of ours must rest with the lock before it counts as an orphan. A live runner rests for
/// milliseconds between two statements.
const ORPHAN: Duration = Duration::from_secs(5);

/// Between two looks at the session that holds the lock.
const LOOK: Duration = Duration::from_millis(250);

/// How long giving the lock away may take: a connection that hangs must not hold the end up.
const RELEASE: Duration = Duration::from_secs(5);

/// Text key on MySQL (at most 64 bytes; the lock is the server's, not the database's).
fn mysql_key(target: &DbTarget) -> String {
    let digest = Digest::of(target.database.as_bytes());
    format!("cavalcade:{}", digest.as_str().get(..40).unwrap_or_default())
}

/// The two halves of the key on PostgreSQL (the lock is the database's).
const POSTGRESQL_KEY: (u32, u32) = (0x4341_5641, 0x4c43_4144);

/// Both halves in one number.
fn postgresql_key() -> u64 {
    (u64::from(POSTGRESQL_KEY.0) << 32) | u64::from(POSTGRESQL_KEY.1)
}

/// Tries to take the lock in this session.
pub(crate) async fn try_take(session: &mut Link, target: &DbTarget) -> Result<bool, DbError> {
    let sql = match session {
        Link::Mysql(_) => format!("SELECT GET_LOCK('{}', 0)", mysql_key(target)),
        Link::Postgresql(_) => format!("SELECT pg_catalog.pg_try_advisory_lock({})", postgresql_key()),
    };
    let got = session.value(&sql, "taking the script's lock").await?;
    Ok(matches!(got.as_deref(), Some("1" | "t")))
}

/// Gives the lock away before its session is closed: a server ends a closed session when it comes to it, and whoever looks
/// meanwhile would take the script for one that runs. What is open of a transaction is rolled back first, since the lock
/// says that nothing is. An error changes nothing: the lock goes with its session then.
pub(crate) async fn release(session: &mut Link, target: &DbTarget) {
    let unlock = match session {
        Link::Mysql(_) => format!("SELECT RELEASE_LOCK('{}')", mysql_key(target)),
        Link::Postgresql(_) => format!("SELECT pg_catalog.pg_advisory_unlock({})", postgresql_key()),
    };
    let released = async {
        session.run("ROLLBACK").await?;
        session.run(&unlock).await
    };
    match tokio::time::timeout(RELEASE, released).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "giving the script's lock away"),
        Err(_) => tracing::debug!("giving the script's lock away took too long"),
    }
}

/// The session that holds the lock.
pub(crate) async fn holder(link: &mut Link, target: &DbTarget) -> Result<Option<u64>, DbError> {
    let sql = match link {
        Link::Mysql(_) => format!("SELECT IS_USED_LOCK('{}')", mysql_key(target)),
        Link::Postgresql(_) => format!(
            "SELECT l.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database \
             WHERE l.locktype = 'advisory' AND d.datname = pg_catalog.current_database() \
             AND l.classid = {} AND l.objid = {} AND l.objsubid = 1 AND l.granted",
            POSTGRESQL_KEY.0, POSTGRESQL_KEY.1
        ),
    };
    Ok(link.value(&sql, "asking for the lock's holder").await?.and_then(|v| v.parse().ok()))
}

/// Takes the lock. While the session that holds it executes, this waits and shows it; an orphan at rest is ended.
pub(crate) async fn take(
    session: &mut Link,
    own: &mut Link,
    target: &DbTarget,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), DbError> {
    let mut resting: Option<(u64, Instant)> = None;
    let mut shown = None;
    loop {
        if try_take(session, target).await? {
            return Ok(());
        }
        let seen = match holder(own, target).await? {
            Some(id) => sessions::one(own, id).await?,
            None => None,
        };
        if let Some(seen) = seen {
            if seen.user != target.user {
                return Err(Refusal::LockHeld(seen.id).into());
            }
            if seen.executing {
                resting = None;
                // Shown when it changes and then every ten seconds.
                let show = (seen.id, seen.seconds / 10);
                if shown != Some(show) {
                    shown = Some(show);
                    progress(Progress::Waiting { session: seen.id, seconds: seen.seconds });
                }
            } else {
                let since = match resting {
                    Some((id, since)) if id == seen.id => since,
                    _ => Instant::now(),
                };
                resting = Some((seen.id, since));
                if since.elapsed() >= ORPHAN {
                    progress(Progress::OrphanEnded { session: seen.id });
                    sessions::end(own, seen.id).await?;
                    resting = None;
                }
            }
        }
        sleep(LOOK).await;
    }
}
