//! The way back: a backup into an empty database, never over one (10-hard-cases, rules 23 and 24).

use std::fs::File;
use std::path::Path;

use cavalcade_common::action::{DbTarget, Engine, Restore};

use super::backup::{BackupManifest, read_manifest};
use super::contents::{self, Contents, MARKER};
use super::error::{DbError, Refusal};
use super::ledger::{qualified, table_exists};
use super::link::{Link, Purpose, name, text};
use super::{incarnation, lock, sessions, vendor};

/// A restored database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// Its new incarnation: every step that changed the old one is open again.
    pub incarnation: String,
    /// What was restored.
    pub manifest: BackupManifest,
}

/// Restores a backup into an empty database and proves that it equals the manifest. Its last act is a new incarnation.
///
/// A database that is not empty is refused, unless `replace` is set and it is the one that the manifest was taken of (or
/// the debris of an earlier restore of ours): it is emptied first. Sessions of the servers' accounts are ended; any other
/// session is a refusal.
///
/// # Errors
/// [`DbError::Refused`], [`DbError::Damaged`]: nothing was changed. [`DbError::Client`], [`DbError::Differs`]: the
/// database is not fit for use; the restore can be repeated.
pub async fn restore(restore: &Restore, replace: bool) -> Result<RestoreOutcome, DbError> {
    let target = &restore.database;
    let folder = Path::new(&restore.from);
    let manifest = read_manifest(folder).await?;
    if manifest.engine != target.engine {
        return Err(DbError::Damaged { path: folder.to_owned(), reason: "the backup is of another engine" });
    }
    let mut link = Link::open(target, Purpose::Own).await?;
    // Both sessions are ours: the lock is held by one that does nothing else.
    let mut guard = Link::open(target, Purpose::Own).await?;
    lock::take(&mut guard, &mut link, target, &|_| {}).await?;
    let restored = under_lock(&mut link, &mut guard, target, folder, &manifest, replace).await;
    guard.close().await;
    link.close().await;
    Ok(RestoreOutcome { incarnation: restored?, manifest })
}

async fn under_lock(
    link: &mut Link,
    guard: &mut Link,
    target: &DbTarget,
    folder: &Path,
    manifest: &BackupManifest,
    replace: bool,
) -> Result<String, DbError> {
    end_servers(link, guard, target).await?;
    let found = contents::names(link, target).await?;
    let debris = table_exists(link, target, MARKER).await?;
    if !found.is_empty() || debris {
        let same = incarnation::read(link, target).await?.as_deref() == Some(manifest.incarnation.as_str());
        if !(debris || (replace && same)) {
            let holds = holds(&found);
            return Err(Refusal::NotEmpty { database: target.database.clone(), holds }.into());
        }
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
    let new = incarnation::renew(&mut last, target).await?;
    last.close().await;
    Ok(new)
}

/// Ends sessions of the servers' accounts and refuses all others.
async fn end_servers(link: &mut Link, guard: &mut Link, target: &DbTarget) -> Result<(), DbError> {
    let own = [link.id().await?, guard.id().await?];
    let others = sessions::list(link, target, &own).await?;
    let (servers, strangers): (Vec<_>, Vec<_>) = others.into_iter().partition(|s| target.server_accounts.contains(&s.user));
    if !strangers.is_empty() {
        return Err(Refusal::Sessions(strangers).into());
    }
    for session in &servers {
        sessions::end(link, session.id).await?;
    }
    for _ in 0..20 {
        let left = sessions::list(link, target, &own).await?;
        if left.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    Err(Refusal::Sessions(sessions::list(link, target, &own).await?).into())
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
