//! The way back: a backup into an empty database, never over one (10-hard-cases, rules 23 and 24).

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use cavalcade_common::action::{DbTarget, Engine, Restore};
use cavalcade_common::codes::database as codes;
use cavalcade_common::error::Fault;

use super::accounts::Locked;
use super::backup::{BackupManifest, read_manifest};
use super::contents::{self, Contents, MARKER};
use super::error::{DbError, Refusal};
use super::incarnation::{self, Ends};
use super::ledger::{qualified, table_exists};
use super::link::{Link, Purpose, name, text};
use super::sessions::Session;
use super::{lock, sessions, vendor};

/// A restored database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// Its new incarnation: every step that changed the old one is open again.
    pub incarnation: String,
    /// What was restored.
    pub manifest: BackupManifest,
    /// What was done with the servers' accounts.
    pub accounts: Accounts,
}

/// The servers' accounts during a restore.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    /// Were locked meanwhile.
    pub locked: BTreeSet<String>,
    /// Were locked by somebody else before, and still are.
    pub before: BTreeSet<String>,
    /// Why they could not be locked: then nobody was connected when the restore began.
    pub open: Option<Fault>,
    /// Why they could not be opened again: a person must.
    pub stay: Option<Fault>,
}

/// Restores a backup into an empty database and proves that it equals the manifest. Its last act is a new incarnation.
///
/// A database that is not empty is refused, unless its life may be ended (`ends`: it is the one that the manifest was taken
/// of, the one that the journal knows, or what a restore made of that whose answer was lost) or it is debris of ours: it is
/// emptied first. The servers' accounts are locked meanwhile and their sessions ended; any other session is a refusal. Where
/// they cannot be locked, so is each session of theirs. What was locked is noted in the folder `records`, which every restore
/// of that database must be given.
///
/// # Errors
/// [`DbError::Refused`], [`DbError::Damaged`]: nothing was changed. [`DbError::Client`], [`DbError::Differs`]: the
/// database is not fit for use; the restore can be repeated. [`DbError::StaysLocked`]: likewise, and nobody can connect.
pub async fn restore(restore: &Restore, ends: Option<Ends<'_>>, records: &Path) -> Result<RestoreOutcome, DbError> {
    let target = &restore.database;
    let folder = Path::new(&restore.from);
    let manifest = read_manifest(folder).await?;
    if manifest.engine != target.engine {
        return Err(DbError::Damaged { path: folder.to_owned(), reason: "the backup is of another engine" });
    }
    if manifest.database != target.database {
        let (found, expected) = (manifest.database, target.database.clone());
        return Err(Refusal::OtherBackup { found, expected }.into());
    }
    let mut link = Link::open(target, Purpose::Own).await?;
    // Both sessions are ours: the lock is held by one that does nothing else.
    let mut guard = Link::open(target, Purpose::Own).await?;
    lock::take(&mut guard, &mut link, target, &|_| {}).await?;
    let restored = behind_locked_accounts(&mut link, &mut guard, target, folder, &manifest, ends, records).await;
    lock::release(&mut guard, target).await;
    guard.close().await;
    link.close().await;
    let (incarnation, accounts) = restored?;
    Ok(RestoreOutcome { incarnation, manifest, accounts })
}

async fn behind_locked_accounts(
    link: &mut Link,
    guard: &mut Link,
    target: &DbTarget,
    folder: &Path,
    manifest: &BackupManifest,
    ends: Option<Ends<'_>>,
    records: &Path,
) -> Result<(String, Accounts), DbError> {
    let mut own = vec![link.id().await?, guard.id().await?];
    let mut locked = match Locked::close(target, records).await? {
        Ok(locked) => locked,
        Err(why) => {
            nobody(link, target, &own, &why).await?;
            let incarnation = replaced(link, target, folder, manifest, ends).await?;
            return Ok((incarnation, Accounts { open: Some(Fault::new(codes::DB_ACCOUNTS, why)), ..Accounts::default() }));
        }
    };
    own.extend(locked.session().await?);
    // What is there now is a whole database, as long as nothing of it was touched.
    let mut whole = is_whole(link, target).await?;
    let restored = async {
        end_servers(link, &own, target).await?;
        refuse_others(link, target, manifest, ends).await?;
        whole = false;
        replaced(link, target, folder, manifest, ends).await
    };
    match restored.await {
        Ok(incarnation) => {
            let mut accounts = Accounts { locked: locked.accounts.clone(), before: locked.before.clone(), ..Accounts::default() };
            accounts.stay = locked.open(target).await.err().map(|e| e.fault());
            Ok((incarnation, accounts))
        }
        Err(error) if whole || locked.accounts.is_empty() => {
            locked.open(target).await?;
            Err(error)
        }
        Err(error) => {
            let accounts = locked.stay().await.into_iter().collect();
            Err(DbError::StaysLocked { accounts, source: Box::new(error) })
        }
    }
}

async fn is_whole(link: &mut Link, target: &DbTarget) -> Result<bool, DbError> {
    let debris = table_exists(link, target, MARKER).await?;
    Ok(!debris && !contents::names(link, target).await?.is_empty())
}

/// Refuses a database that holds what is not to be replaced. Whether there is something to empty.
async fn refuse_others(
    link: &mut Link,
    target: &DbTarget,
    manifest: &BackupManifest,
    ends: Option<Ends<'_>>,
) -> Result<bool, DbError> {
    let found = contents::names(link, target).await?;
    let debris = table_exists(link, target, MARKER).await?;
    if found.is_empty() && !debris {
        return Ok(false);
    }
    let life = incarnation::life(link, target).await?;
    let may_end = ends.zip(life).is_some_and(|(ends, life)| ends.covers(&manifest.incarnation, &life));
    if debris || may_end {
        return Ok(true);
    }
    Err(Refusal::NotEmpty { database: target.database.clone(), holds: holds(&found) }.into())
}

async fn replaced(
    link: &mut Link,
    target: &DbTarget,
    folder: &Path,
    manifest: &BackupManifest,
    ends: Option<Ends<'_>>,
) -> Result<String, DbError> {
    if refuse_others(link, target, manifest, ends).await? {
        empty(link, target).await?;
    }
    fill(link, target, &folder.join(&manifest.dump)).await?;
    let restored = Contents::read(link, target).await?;
    let differences = manifest.contents.differences(&restored);
    if !differences.is_empty() {
        return Err(DbError::Differs(differences));
    }
    let marker = name(target.engine, MARKER);
    // Reading the contents set the search path of the session: a new one sees the account's own again.
    let mut last = Link::open(target, Purpose::Own).await?;
    last.run(&format!("DROP TABLE {marker}")).await.map_err(DbError::query("removing the marker of the restore"))?;
    let in_place_of = ends.map_or_else(|| manifest.incarnation.clone(), |ends| ends.word());
    let new = incarnation::renew(&mut last, target, &in_place_of).await?;
    last.close().await;
    Ok(new)
}

/// Refuses when anybody is there: whoever is ended may come back, since the door cannot be shut.
async fn nobody(link: &mut Link, target: &DbTarget, own: &[u64], why: &str) -> Result<(), DbError> {
    let left = sessions::settled(link, target, own, |_| true).await?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Refusal::AccountsOpen { why: why.to_owned(), sessions: left }.into())
}

/// Ends sessions of the servers' accounts, which are locked, and refuses all others.
async fn end_servers(link: &mut Link, own: &[u64], target: &DbTarget) -> Result<(), DbError> {
    let of_servers = |session: &Session| target.server_accounts.contains(&session.user);
    let strangers = sessions::settled(link, target, own, |s| !of_servers(s)).await?;
    if !strangers.is_empty() {
        return Err(Refusal::Sessions(strangers).into());
    }
    for session in sessions::others(link, target, own).await?.iter().filter(|s| of_servers(s)) {
        sessions::end(link, session.id).await?;
    }
    let left = sessions::settled(link, target, own, |_| true).await?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Refusal::Sessions(left).into())
}

fn holds(found: &[String]) -> String {
    let shown: Vec<&str> = found.iter().take(5).map(String::as_str).collect();
    let more = found.len().saturating_sub(shown.len());
    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Loads a dump into an empty database with the vendor's client. The marker stands in it meanwhile.
pub(crate) async fn fill(link: &mut Link, target: &DbTarget, dump: &Path) -> Result<(), DbError> {
    let found = contents::names(link, target).await?;
    if !found.is_empty() {
        return Err(Refusal::NotEmpty { database: target.database.clone(), holds: holds(&found) }.into());
    }
    let marker = qualified(link, target, MARKER).await?;
    let sql = format!("CREATE TABLE {marker} (id INTEGER NOT NULL PRIMARY KEY)");
    link.run(&sql).await.map_err(DbError::query("marking the database as being restored"))?;
    let login = vendor::Login::new(target)?;
    match target.engine {
        Engine::Mysql => {
            let program = vendor::find(target, &["mariadb", "mysql"])?;
            let file = File::open(dump).map_err(|source| DbError::File { path: dump.to_owned(), source })?;
            let mut command = login.command(target, &program);
            command.args(["--batch", "--max-allowed-packet=1G", &target.database]).stdin(file);
            vendor::output(&program, command, None).await?;
        }
        Engine::Postgresql => {
            let program = vendor::find(target, &["pg_restore"])?;
            let mut command = login.command(target, &program);
            command.args(["--exit-on-error", "--single-transaction", "--dbname", &target.database]).arg(dump);
            vendor::output(&program, command, None).await?;
        }
    }
    Ok(())
}

/// Empties a scratch database that an interrupted proof of ours left filled.
pub(crate) async fn clear_debris(link: &mut Link, scratch: &DbTarget) -> Result<(), DbError> {
    match table_exists(link, scratch, MARKER).await? {
        true => empty(link, scratch).await,
        false => Ok(()),
    }
}

/// Drops everything in a database and leaves it, with its settings and rights, empty. The marker goes last, so that an
/// interruption leaves recognisable debris.
pub(crate) async fn empty(link: &mut Link, target: &DbTarget) -> Result<(), DbError> {
    match target.engine {
        Engine::Mysql => empty_mysql(link, target).await?,
        Engine::Postgresql => empty_postgresql(link).await?,
    }
    let found = contents::names(link, target).await?;
    if found.is_empty() {
        return Ok(());
    }
    Err(Refusal::NotEmpty { database: target.database.clone(), holds: holds(&found) }.into())
}

async fn empty_mysql(link: &mut Link, target: &DbTarget) -> Result<(), DbError> {
    let what = "emptying the database";
    let schema = text(Engine::Mysql, &target.database);
    link.run(&format!("USE {}", name(Engine::Mysql, &target.database))).await.map_err(DbError::query(what))?;
    let quoted = |column: &str| format!("CONCAT('`', REPLACE({column}, '`', '``'), '`')");
    let sql = format!(
        "SELECT CONCAT('DROP EVENT ', {}) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {schema} \
         UNION ALL SELECT CONCAT('DROP ', ROUTINE_TYPE, ' ', {}) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {schema} \
         UNION ALL SELECT CONCAT('DROP VIEW ', {t}) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} AND TABLE_TYPE = 'VIEW' \
         UNION ALL SELECT CONCAT(IF(TABLE_TYPE = 'SEQUENCE', 'DROP SEQUENCE ', 'DROP TABLE '), {t}) FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = {schema} AND TABLE_TYPE <> 'VIEW' AND TABLE_NAME <> '{MARKER}'",
        quoted("EVENT_NAME"),
        quoted("ROUTINE_NAME"),
        t = quoted("TABLE_NAME")
    );
    // Before the first table goes, and with them the incarnation that tells whose this is.
    let marked = format!("CREATE TABLE IF NOT EXISTS `{MARKER}` (id INTEGER NOT NULL PRIMARY KEY)");
    link.run(&marked).await.map_err(DbError::query(what))?;
    let mut drops = link.column(&sql, what).await?;
    drops.push(format!("DROP TABLE IF EXISTS `{MARKER}`"));
    link.run("SET SESSION foreign_key_checks = 0").await.map_err(DbError::query(what))?;
    for drop in drops {
        link.run(&drop).await.map_err(DbError::query(what))?;
    }
    link.run("SET SESSION foreign_key_checks = 1").await.map_err(DbError::query(what))
}

async fn empty_postgresql(link: &mut Link) -> Result<(), DbError> {
    // One transaction: an interruption leaves everything as it was. What `public` itself allows stays.
    let sql = "DO $empty$ DECLARE r record; BEGIN \
        FOR r IN SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' \
          AND nspname NOT IN ('information_schema', 'public') LOOP \
          EXECUTE format('DROP SCHEMA %I CASCADE', r.nspname); END LOOP; \
        FOR r IN SELECT extname FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' LOOP \
          EXECUTE format('DROP EXTENSION IF EXISTS %I CASCADE', r.extname); END LOOP; \
        FOR r IN SELECT relname, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' \
          WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind FROM pg_catalog.pg_class \
          WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') LOOP \
          EXECUTE format('DROP %s IF EXISTS public.%I CASCADE', r.kind, r.relname); END LOOP; \
        FOR r IN SELECT oid::regprocedure AS routine FROM pg_catalog.pg_proc WHERE pronamespace = 'public'::regnamespace LOOP \
          EXECUTE format('DROP ROUTINE IF EXISTS %s CASCADE', r.routine); END LOOP; \
        FOR r IN SELECT typname FROM pg_catalog.pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd', 'c') \
          AND typelem = 0 LOOP EXECUTE format('DROP TYPE IF EXISTS public.%I CASCADE', r.typname); END LOOP; \
        END $empty$";
    link.run(sql).await.map_err(DbError::query("emptying the database"))
}
