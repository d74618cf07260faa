//! The simulated databases: a script ledger, backups and restores. What a statement does goes on when its client dies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_agent::database::{
    Accounts, BackupManifest, Contents, Databases, DbError, Decision, Ends, Life, Opening, Progress, Refusal, RestoreOutcome,
    ScriptOutcome, ScriptRun, ScriptState, Session,
};
use cavalcade_agent::host::Host;
use cavalcade_common::action::{Backup, DbTarget, Engine, NoSessions, Restore};
use cavalcade_common::id::Digest;

use super::host::SimHost;
use super::machine::Witnessed;

/// Statements of the simulated script.
pub const STATEMENTS: u32 = 3;

/// What a backup holds.
#[derive(Debug, Clone)]
pub struct SimBackup {
    incarnation: String,
    done: u32,
    half_migrated: bool,
}

/// A statement with INTENT and without DONE.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    statement: u32,
    until: Duration,
    /// Whether its effect can be seen in the schema.
    visible: bool,
}

/// One database.
#[derive(Debug, Clone, Default)]
pub struct SimDatabase {
    /// Its incarnation, once somebody wrote one.
    pub incarnation: Option<String>,
    /// In whose place a restore put it.
    in_place_of: Option<String>,
    /// Whether a migration began in it and has not ended well.
    pub half_migrated: bool,
    done: u32,
    open: Option<Open>,
    backups: BTreeMap<PathBuf, SimBackup>,
}

impl SimDatabase {
    fn life(&self) -> Option<Life> {
        let incarnation = self.incarnation.clone()?;
        Some(Life { incarnation, in_place_of: self.in_place_of.clone() })
    }

    /// Whether the script ledger says that all of the script is done.
    #[must_use]
    pub fn script_is_done(&self) -> bool {
        self.done == STATEMENTS
    }
}

fn dead(e: &std::io::Error) -> DbError {
    DbError::Client { program: "simulated client".to_owned(), message: e.to_string() }
}

fn manifest_of(database: &str, backup: &SimBackup) -> BackupManifest {
    BackupManifest {
        format: 1,
        database: database.to_owned(),
        engine: Engine::Mysql,
        version: "simulated".to_owned(),
        client: "simulated".to_owned(),
        dump: "dump".to_owned(),
        dump_sha256: Digest::of(backup.incarnation.as_bytes()),
        dump_size: 1,
        incarnation: backup.incarnation.clone(),
        begun: String::new(),
        proved: String::new(),
        restore_seconds: 1,
        contents: Contents { tables: BTreeMap::new(), objects: BTreeMap::new() },
    }
}

impl SimHost {
    fn in_database<T>(&self, name: &str, f: impl FnOnce(&mut SimDatabase, Duration) -> T) -> Result<T, DbError> {
        self.with(|inner, now| f(inner.databases.entry(name.to_owned()).or_default(), now)).map_err(|e| dead(&e))
    }

    fn saw(&self, witnessed: Witnessed) -> Result<(), DbError> {
        self.with(|inner, now| inner.witness.push((now, witnessed))).map_err(|e| dead(&e))
    }

    fn backup_in(&self, folder: &Path) -> Result<(String, SimBackup), DbError> {
        let found = self
            .with(|inner, _| inner.databases.iter().find_map(|(name, d)| Some((name.clone(), d.backups.get(folder)?.clone()))));
        let lost = || DbError::Damaged { path: folder.to_owned(), reason: "there is no manifest" };
        found.map_err(|e| dead(&e))?.ok_or_else(lost)
    }

    async fn pause(&self, from: u64, range: u64) {
        tokio::time::sleep(Duration::from_millis(from + self.below(range))).await;
    }

    /// Settles what an earlier client left open; the number of the statement, if it is done now by what was seen or said.
    async fn settle_open(&self, run: &ScriptRun<'_>) -> Result<(Option<u32>, Option<u32>), DbError> {
        let name = run.target.name.as_str();
        let Some(open) = self.in_database(name, |d, _| d.open)? else { return Ok((None, None)) };
        let left = self.in_database(name, |_, now| open.until.saturating_sub(now))?;
        tokio::time::sleep(left).await;
        let word = run.approved.filter(|a| a.statement == open.statement).map(|a| a.decision);
        match (word, open.visible) {
            (Some(Decision::NotDone), _) => self.in_database(name, |d, _| d.open = None).map(|()| (None, None)),
            (Some(Decision::Done), _) => self.done(name, open.statement).map(|()| (None, Some(open.statement))),
            (None, true) => self.done(name, open.statement).map(|()| (Some(open.statement), None)),
            (None, false) => Err(DbError::Indeterminate {
                statement: open.statement,
                line: open.statement,
                known: vec!["it was begun".to_owned()],
                unknown: vec!["whether it took place".to_owned()],
            }),
        }
    }

    fn done(&self, name: &str, statement: u32) -> Result<(), DbError> {
        self.in_database(name, |d, _| (d.done, d.open) = (statement, None))
    }

    async fn statement(&self, run: &ScriptRun<'_>, statement: u32) -> Result<(), DbError> {
        let name = run.target.name.as_str();
        if self.below(1000) < 50 {
            let (message, done) = ("refused by the simulated server".to_owned(), statement - 1);
            let (line, total) = (statement, STATEMENTS);
            return Err(DbError::Failed { statement, line, code: None, message, done, total, together: None });
        }
        let (takes, visible) = (Duration::from_millis(500 + self.below(4000)), self.below(10) < 7);
        let incarnation = self.in_database(name, |d, now| {
            d.open = Some(Open { statement, until: now + takes, visible });
            d.incarnation.clone().unwrap_or_default()
        })?;
        self.saw(Witnessed::Statement { database: name.to_owned(), incarnation, statement })?;
        tokio::time::sleep(takes).await;
        self.done(name, statement)
    }
}

#[async_trait]
impl Databases for SimHost {
    async fn backup(&self, backup: &Backup) -> Result<BackupManifest, DbError> {
        let folder = PathBuf::from(&backup.to);
        if let Ok((name, done)) = self.backup_in(&folder) {
            return Ok(manifest_of(&name, &done));
        }
        self.pause(2_000, 8_000).await;
        let first = self.random_id();
        let name = backup.database.name.clone();
        let made = self.in_database(&name, |d, _| {
            let incarnation = d.incarnation.get_or_insert(first).clone();
            let made = SimBackup { incarnation, done: d.done, half_migrated: d.half_migrated };
            d.backups.insert(folder, made.clone());
            made
        })?;
        Ok(manifest_of(&name, &made))
    }

    async fn manifest(&self, folder: &Path) -> Result<BackupManifest, DbError> {
        self.backup_in(folder).map(|(name, backup)| manifest_of(&name, &backup))
    }

    async fn restore(&self, restore: &Restore, ends: Ends<'_>, _records: &Path) -> Result<RestoreOutcome, DbError> {
        let (name, backup) = self.backup_in(Path::new(&restore.from))?;
        let life = self.in_database(&name, |d, _| d.life())?;
        if life.is_some_and(|life| !ends.covers(&backup.incarnation, &life)) {
            return Err(Refusal::NotEmpty { database: name, holds: "another life".to_owned() }.into());
        }
        self.pause(2_000, 8_000).await;
        if self.below(1000) < 200 {
            return Err(DbError::Client { program: "simulated client".to_owned(), message: "the restore failed".to_owned() });
        }
        let fresh = self.random_id();
        let keeps = self.keeps_incarnations();
        let incarnation = self.in_database(&name, |d, _| {
            d.incarnation = Some(if keeps { backup.incarnation.clone() } else { fresh });
            d.in_place_of = Some(ends.word());
            (d.done, d.open, d.half_migrated) = (backup.done, None, backup.half_migrated);
            d.incarnation.clone().unwrap_or_default()
        })?;
        let half_migrated = backup.half_migrated;
        self.saw(Witnessed::Restored { database: name.clone(), incarnation: incarnation.clone(), half_migrated })?;
        // The new life is written, the answer is under way: an agent may die here.
        self.pause(0, 2_000).await;
        Ok(RestoreOutcome { incarnation, manifest: manifest_of(&name, &backup), accounts: Accounts::default() })
    }

    async fn strangers(&self, _target: &DbTarget, _wanted: &NoSessions) -> Result<Vec<Session>, DbError> {
        Ok(Vec::new())
    }

    async fn run_script(&self, run: &ScriptRun<'_>, _: &(dyn Fn(Progress) + Send + Sync)) -> Result<ScriptOutcome, DbError> {
        let name = run.target.name.as_str();
        let found = self.in_database(name, |d, _| d.incarnation.clone().unwrap_or_default())?;
        if let Some(expected) = run.incarnation.filter(|i| *i != found) {
            return Err(Refusal::Incarnation { found, expected: expected.to_owned() }.into());
        }
        let (database, attempt) = (name.to_owned(), run.attempt.to_owned());
        self.saw(Witnessed::ScriptBegun { database, incarnation: found, attempt })?;
        let (verified, by_word) = self.settle_open(run).await?;
        let first = self.in_database(name, |d, _| d.done + 1)?;
        for statement in first..=STATEMENTS {
            self.statement(run, statement).await?;
        }
        Ok(ScriptOutcome {
            statements: STATEMENTS,
            executed: (STATEMENTS + 1).saturating_sub(first),
            verified: verified.into_iter().collect(),
            by_word: by_word.into_iter().collect(),
        })
    }

    async fn inspect_script(&self, run: &ScriptRun<'_>) -> Result<ScriptState, DbError> {
        self.in_database(&run.target.name, |d, _| match (d.done, d.open) {
            (STATEMENTS, _) => ScriptState::Done { statements: STATEMENTS },
            (0, None) => ScriptState::None,
            (done, open) => ScriptState::Partial {
                next: done + 1,
                line: done + 1,
                opening: open.map_or(Opening::Untouched, |_| Opening::Begun),
                session_state: None,
            },
        })
    }
}
