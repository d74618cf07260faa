//! The recipe's questions: one SELECT each, in a transaction that cannot write.

use cavalcade_common::action::Engine;

use crate::database::link::Link;
use crate::database::split::{split, tokens};

/// Longest answer that is told, in characters.
const ANSWER: usize = 1000;

/// First column of the first row; null without a row.
///
/// # Errors
/// Why there is no answer, in words.
pub(super) async fn ask(link: &mut Link, engine: Engine, sql: &str) -> Result<Option<String>, String> {
    let sql = one_select(engine, sql)?;
    let begin = match engine {
        Engine::Mysql => "START TRANSACTION READ ONLY",
        Engine::Postgresql => "BEGIN READ ONLY",
    };
    link.run(begin).await.map_err(|e| e.to_string())?;
    let rows = link.rows(&sql).await;
    link.run("ROLLBACK").await.map_err(|e| e.to_string())?;
    let answer = rows.map_err(|e| e.to_string())?.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    Ok(answer.map(|text| text.chars().take(ANSWER).collect()))
}

/// The statement, if it is one and a SELECT: several in one text could leave the transaction.
fn one_select(engine: Engine, sql: &str) -> Result<String, String> {
    let script = split(engine, sql).map_err(|e| e.to_string())?;
    let [statement] = script.statements.as_slice() else { return Err("it is not one statement".to_owned()) };
    let words = tokens(engine, &statement.text).map_err(|_| "it is not closed".to_owned())?;
    let selects = words.first().is_some_and(|w| w.is_any(&["SELECT", "WITH"]));
    if !selects || words.iter().any(|w| w.is_any(&["OUTFILE", "DUMPFILE"])) {
        return Err("it is not a SELECT that only reads".to_owned());
    }
    Ok(statement.text.clone())
}

#[cfg(test)]
mod tests {
    use cavalcade_common::action::Engine;

    use super::one_select;

    #[test]
    fn only_one_select_is_asked() {
        for engine in [Engine::Mysql, Engine::Postgresql] {
            assert_eq!(one_select(engine, " SELECT 1; ").unwrap(), "SELECT 1");
            for sql in ["", "SELECT 1; SELECT 2", "COMMIT; DROP TABLE a", "DELETE FROM a", "SELECT 'a", "ROLLBACK"] {
                assert!(one_select(engine, sql).is_err(), "{sql}");
            }
        }
        assert!(one_select(Engine::Mysql, "SELECT 1 INTO OUTFILE '/tmp/x'").is_err());
    }
}
