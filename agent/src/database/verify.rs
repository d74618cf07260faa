//! Whether a statement that was begun took place: what it would change is compared with how it was before.
//!
//! Before INTENT the definition of every object that the statement names is read and kept as a digest. After an
//! interruption, with the lock held and so nothing running any more, the definitions are read again. On an engine with
//! atomic DDL a changed definition means that the statement took place, an unchanged one that it did not.

use cavalcade_common::action::{DbTarget, Engine};
use cavalcade_common::id::Digest;

use super::error::DbError;
use super::link::{Link, name, text};
use super::split::{Token, TokenKind, tokens};

/// What a statement changes, as far as can be seen in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Doing it twice in a row is the same as doing it once.
    Repeatable,
    /// The definitions of these objects change, all of them.
    Definitions {
        /// What.
        objects: Vec<Object>,
        /// They are gone afterwards.
        drops: bool,
    },
    /// An index that PostgreSQL builds outside transactions.
    ConcurrentIndex(String),
    /// Rows, or something that is not recognised.
    Opaque,
}

/// A named thing in a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    kind: &'static str,
    schema: Option<String>,
    name: String,
}

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It took place.
    Done,
    /// It did not.
    NotDone,
    /// Some of it took place.
    Partly,
    /// It cannot be seen.
    Unknown,
}

/// Kinds whose definition `SHOW CREATE` gives.
const KINDS: &[&str] = &["TABLE", "VIEW", "PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "INDEX"];

/// Built-in functions that change nothing. A SELECT that calls another one may have effects.
const HARMLESS_FUNCTIONS: &[&str] =
    &["CONCAT", "COUNT", "DATABASE", "SCHEMA", "IF", "IFNULL", "COALESCE", "MAX", "MIN", "GROUP_CONCAT", "VERSION", "IN"];

/// Recognises a statement.
pub(crate) fn recognise(engine: Engine, sql: &str) -> Effect {
    let Ok(words) = tokens(engine, sql) else { return Effect::Opaque };
    let Some((first, rest)) = words.split_first() else { return Effect::Opaque };
    let repeatable: &[&str] = match engine {
        Engine::Mysql => &[
            "SET",
            "PREPARE",
            "DEALLOCATE",
            "SHOW",
            "ANALYZE",
            "OPTIMIZE",
            "CHECK",
            "TRUNCATE",
            "FLUSH",
            "LOCK",
            "UNLOCK",
            "GRANT",
        ],
        Engine::Postgresql => &["VACUUM", "REINDEX", "CLUSTER", "ANALYZE", "CHECKPOINT"],
    };
    if first.is_any(repeatable) || (first.is("SELECT") && harmless_select(rest)) {
        return Effect::Repeatable;
    }
    match engine {
        Engine::Mysql => recognise_mysql(*first, rest),
        Engine::Postgresql => recognise_concurrent(*first, rest),
    }
}

fn harmless_select(words: &[Token<'_>]) -> bool {
    let calls = words.windows(2).filter(|w| w[1].sign("(") && matches!(w[0].kind, TokenKind::Word | TokenKind::Name));
    let keywords = ["FROM", "WHERE", "AND", "OR", "NOT", "EXISTS", "SELECT", "ON", "UNION", "AS", "BY"];
    let all_harmless = calls.into_iter().all(|w| w[0].is_any(HARMLESS_FUNCTIONS) || w[0].is_any(&keywords));
    all_harmless && !words.iter().any(|w| w.is_any(&["OUTFILE", "DUMPFILE", "UPDATE"]))
}

fn recognise_mysql(first: Token<'_>, rest: &[Token<'_>]) -> Effect {
    if first.is("RENAME") && rest.first().is_some_and(|w| w.is_any(&["TABLE", "TABLES"])) {
        return renamed(&rest[1..]);
    }
    if !first.is_any(&["CREATE", "ALTER", "DROP"]) {
        return Effect::Opaque;
    }
    let Some(at) = rest.iter().take(14).position(|w| w.is_any(KINDS)) else { return Effect::Opaque };
    let (before, kind, after) = (&rest[..at], &rest[at], &rest[at + 1..]);
    let hidden = rest.iter().any(|w| w.is_any(&["EXCHANGE", "DISCARD", "IMPORT", "TRUNCATE"]));
    let fills = first.is("CREATE") && kind.is("TABLE") && rest.iter().any(|w| w.is_any(&["SELECT", "TEMPORARY"]));
    if (kind.is("TABLE") && hidden) || fills || before.iter().any(|w| w.is("TEMPORARY")) {
        return Effect::Opaque;
    }
    let after = skip_if_exists(after);
    if kind.is("INDEX") {
        // The definition that changes is the table's.
        let Some(on) = after.iter().position(|w| w.is("ON")) else { return Effect::Opaque };
        let table = object("TABLE", after.get(on + 1..).unwrap_or_default());
        return table.map_or(Effect::Opaque, |(o, _)| Effect::Definitions { objects: vec![o], drops: false });
    }
    let kind = KINDS.iter().find(|k| kind.is(k)).copied().unwrap_or("TABLE");
    let mut objects = Vec::new();
    let mut left = after;
    while let Some((found, more)) = object(kind, left) {
        objects.push(found);
        match more.split_first() {
            Some((comma, more)) if first.is("DROP") && comma.sign(",") => left = more,
            _ => break,
        }
    }
    if objects.is_empty() { Effect::Opaque } else { Effect::Definitions { objects, drops: first.is("DROP") } }
}

fn renamed(words: &[Token<'_>]) -> Effect {
    let mut objects = Vec::new();
    let mut left = skip_if_exists(words);
    while let Some((found, more)) = object("TABLE", left) {
        objects.push(found);
        left = match more.split_first() {
            Some((w, more)) if w.is("TO") || w.sign(",") => more,
            _ => break,
        };
    }
    if objects.is_empty() { Effect::Opaque } else { Effect::Definitions { objects, drops: false } }
}

fn recognise_concurrent(first: Token<'_>, rest: &[Token<'_>]) -> Effect {
    let Some(at) = rest.iter().take(4).position(|w| w.is("CONCURRENTLY")) else { return Effect::Opaque };
    let after = skip_if_exists(&rest[at + 1..]);
    match after.first().filter(|w| !w.is("ON")).and_then(Token::name) {
        // Unquoted names fold to lower case.
        Some(index) if first.is("CREATE") => {
            let quoted = after.first().is_some_and(|w| w.kind == TokenKind::Name);
            Effect::ConcurrentIndex(if quoted { index } else { index.to_lowercase() })
        }
        _ => Effect::Opaque,
    }
}

fn skip_if_exists<'a, 'b>(words: &'a [Token<'b>]) -> &'a [Token<'b>] {
    match words {
        [a, b, c, rest @ ..] if a.is("IF") && b.is("NOT") && c.is("EXISTS") => rest,
        [a, b, rest @ ..] if a.is("IF") && b.is("EXISTS") => rest,
        rest => rest,
    }
}

/// A possibly qualified name at the start of the words, and what follows.
fn object<'a, 'b>(kind: &'static str, words: &'a [Token<'b>]) -> Option<(Object, &'a [Token<'b>])> {
    let (first, rest) = words.split_first()?;
    let first = first.name()?;
    match rest {
        [dot, second, rest @ ..] if dot.sign(".") => Some((Object { kind, schema: Some(first), name: second.name()? }, rest)),
        rest => Some((Object { kind, schema: None, name: first }, rest)),
    }
}

/// How the objects are now: one mark each, `-` for one that is not there. `None`: they cannot be read.
pub(crate) async fn look(link: &mut Link, target: &DbTarget, objects: &[Object]) -> Option<String> {
    let mut marks = Vec::with_capacity(objects.len());
    for o in objects {
        let schema = o.schema.as_deref().unwrap_or(&target.database);
        let sql = format!("SHOW CREATE {} {}.{}", o.kind, name(Engine::Mysql, schema), name(Engine::Mysql, &o.name));
        match link.rows(&sql).await {
            Ok(rows) => {
                let definition = format!("{rows:?}");
                marks.push(Digest::of(without_counter(&definition).as_bytes()).as_str()[..16].to_owned());
            }
            Err(sqlx::Error::Database(e)) => {
                // No such table, database, routine, trigger, event; 1347: it is a view, or is none.
                let number = e.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(sqlx::mysql::MySqlDatabaseError::number);
                if !matches!(number, Some(1146 | 1049 | 1305 | 1360 | 1539 | 1347)) {
                    return None;
                }
                marks.push("-".to_owned());
            }
            Err(_) => return None,
        }
    }
    Some(marks.join(","))
}

/// Drops `AUTO_INCREMENT=N`, which rows change too.
fn without_counter(definition: &str) -> String {
    match definition.split_once(" AUTO_INCREMENT=") {
        Some((before, after)) => format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => definition.to_owned(),
    }
}

/// Compares how the objects were with how they are.
pub(crate) fn compare(before: &str, now: &str, drops: bool) -> Verdict {
    if before == now {
        return Verdict::NotDone;
    }
    let changed = before.split(',').zip(now.split(',')).all(|(b, n)| b != n);
    let gone = now.split(',').all(|n| n == "-");
    if (drops && gone) || (!drops && changed) { Verdict::Done } else { Verdict::Partly }
}

/// What became of an index that was to be built outside a transaction.
pub(crate) async fn concurrent_index(link: &mut Link, index: &str) -> Result<Verdict, DbError> {
    let sql = format!(
        "SELECT i.indisvalid FROM pg_catalog.pg_index i WHERE i.indexrelid = pg_catalog.to_regclass({})",
        text(Engine::Postgresql, &name(Engine::Postgresql, index))
    );
    Ok(match link.value(&sql, "looking at an index").await?.as_deref() {
        Some("t") => Verdict::Done,
        Some(_) => Verdict::Partly,
        None => Verdict::NotDone,
    })
}

/// Whether PostgreSQL runs the statement inside a transaction block.
pub(crate) fn transactional(sql: &str) -> bool {
    let Ok(words) = tokens(Engine::Postgresql, sql) else { return true };
    let Some((first, rest)) = words.split_first() else { return true };
    let second = |any: &[&str]| rest.first().is_some_and(|w| w.is_any(any));
    let concurrently = rest.iter().take(4).any(|w| w.is("CONCURRENTLY"));
    let outside = first.is_any(&["VACUUM", "CLUSTER", "REINDEX"])
        || (first.is_any(&["CREATE", "DROP"]) && (concurrently || second(&["DATABASE", "TABLESPACE", "SUBSCRIPTION"])))
        || (first.is("ALTER") && second(&["SYSTEM"]))
        || (first.is("ALTER") && second(&["TYPE"]) && rest.iter().any(|w| w.is("VALUE")));
    // A body that ends transactions itself.
    let ends = first.is("DO")
        && rest.iter().any(|w| {
            w.kind == TokenKind::Text
                && tokens(Engine::Postgresql, body(w.text)).is_ok_and(|b| b.iter().any(|w| w.is_any(&["COMMIT", "ROLLBACK"])))
        });
    !(outside || ends)
}

/// The text between dollar quotes.
fn body(text: &str) -> &str {
    let tag_end = text.get(1..).and_then(|t| t.find('$')).map_or(0, |i| i + 2);
    text.get(tag_end..text.len().saturating_sub(tag_end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str) -> Vec<String> {
        match recognise(Engine::Mysql, sql) {
            Effect::Definitions { objects, .. } => objects.into_iter().map(|o| format!("{} {}", o.kind, o.name)).collect(),
            other => vec![format!("{other:?}")],
        }
    }

    #[test]
    fn statements_are_recognised() {
        for (sql, wanted) in [
            ("CREATE TABLE IF NOT EXISTS `A` (x INT)", "TABLE A"),
            ("create or replace view v as select 1", "VIEW v"),
            ("ALTER TABLE db.t ADD x INT, ADD UNIQUE (x)", "TABLE t"),
            ("DROP TABLE IF EXISTS a, `b`", "TABLE a,TABLE b"),
            ("CREATE UNIQUE INDEX i ON t (x)", "TABLE t"),
            ("DROP INDEX i ON t", "TABLE t"),
            ("RENAME TABLE a TO b", "TABLE a,TABLE b"),
            ("CREATE DEFINER=`a`@`b` PROCEDURE p() SELECT 1", "PROCEDURE p"),
            ("UPDATE t SET a = 1", "Opaque"),
            ("EXECUTE stmt", "Opaque"),
            ("CREATE TABLE a AS SELECT * FROM b", "Opaque"),
            ("ALTER TABLE a TRUNCATE PARTITION p", "Opaque"),
            ("SELECT CONCAT('a', 'b') INTO @x FROM t WHERE (a = 1)", "Repeatable"),
            ("SELECT change_all()", "Opaque"),
            ("SET @x = NULL", "Repeatable"),
            ("TRUNCATE TABLE a", "Repeatable"),
        ] {
            assert_eq!(names(sql).join(","), wanted, "{sql}");
        }
    }

    #[test]
    fn the_verdict_follows_the_definitions() {
        assert_eq!(compare("-", "ab", false), Verdict::Done);
        assert_eq!(compare("ab", "ab", false), Verdict::NotDone);
        assert_eq!(compare("ab,-", "-,cd", false), Verdict::Done);
        assert_eq!(compare("ab,-", "-,-", true), Verdict::Done);
        assert_eq!(compare("ab,cd", "-,cd", true), Verdict::Partly);
        assert_eq!(compare("ab,-", "ab,cd", false), Verdict::Partly);
    }

    #[test]
    fn postgresql_statements_that_refuse_a_transaction_are_known() {
        for sql in [
            "VACUUM",
            "CREATE UNIQUE INDEX CONCURRENTLY i ON t (x)",
            "CREATE DATABASE x",
            "ALTER TYPE m ADD VALUE 'x'",
            "DO $x$ BEGIN COMMIT; END $x$",
        ] {
            assert!(!transactional(sql), "{sql}");
        }
        for sql in ["CREATE TABLE t (x int)", "DO $$ BEGIN PERFORM 1; END $$", "CREATE INDEX i ON t (x)", "DROP TABLE t"] {
            assert!(transactional(sql), "{sql}");
        }
        let sql = "CREATE INDEX CONCURRENTLY IF NOT EXISTS Big ON t (x)";
        assert_eq!(recognise(Engine::Postgresql, sql), Effect::ConcurrentIndex("big".to_owned()));
    }
}
