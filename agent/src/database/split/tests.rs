use super::*;
use Engine::{Mysql, Postgresql};

fn texts(engine: Engine, sql: &str) -> Vec<(u32, String)> {
    split(engine, sql).expect("splits").statements.into_iter().map(|s| (s.line, s.text)).collect()
}

fn refused(engine: Engine, sql: &str) -> (u32, SplitErrorKind) {
    let e = split(engine, sql).expect_err(sql);
    (e.line, e.kind)
}

#[test]
fn mysql_splits_at_the_delimiter_outside_strings_and_comments() {
    let sql = "\u{feff}-- head; not a statement\r\nINSERT INTO t VALUES ('a;\\'b', \"c;d\", `e;f`); # tail; \n\
               /* a ; b */ UPDATE t SET a = 1 -- why; \n WHERE b = 2;;\nSELECT 1/* x */+2;--no blank at the start\n\
               /*!40101 SET @x = 1 */;\nSELECT 5--1; SELECT 7";
    assert_eq!(
        texts(Mysql, sql),
        [
            (2, "INSERT INTO t VALUES ('a;\\'b', \"c;d\", `e;f`)".to_owned()),
            (3, "UPDATE t SET a = 1 \n WHERE b = 2".to_owned()),
            (5, "SELECT 1 +2".to_owned()),
            (6, "/*!40101 SET @x = 1 */".to_owned()),
            (7, "SELECT 5--1".to_owned()),
            (7, "SELECT 7".to_owned()),
        ]
    );
}

#[test]
fn mysql_obeys_and_strips_delimiter() {
    let sql = "delimiter $$\nCREATE PROCEDURE p()\nBEGIN\n  SELECT 1;\n  SELECT 2;\nEND $$\nDELIMITER ;\nCALL p();\n";
    assert_eq!(
        texts(Mysql, sql),
        [(2, "CREATE PROCEDURE p()\nBEGIN\n  SELECT 1;\n  SELECT 2;\nEND".to_owned()), (8, "CALL p()".to_owned())]
    );
}

#[test]
fn a_stored_program_on_one_line_is_refused_not_cut() {
    // The IS migration client ends a statement at a line that ends in `;`, so its one-line procedures are whole for it.
    // The vendor's own client cuts them, and so would we.
    let sql = "CREATE TABLE t (a INT);\nCREATE PROCEDURE p() BEGIN DECLARE n INT; SELECT 1; END;\n";
    assert_eq!(refused(Mysql, sql), (2, SplitErrorKind::CompoundWithoutDelimiter));
}

#[test]
fn commands_of_the_clients_are_refused_with_their_line() {
    for (sql, line, word) in [
        ("SELECT 1;\nsource /etc/passwd\n", 2, "source"),
        ("SELECT 1;\nSYSTEM id;\n", 2, "system"),
        ("SELECT 1;\n\\! id\n", 2, "\\!"),
        ("\\. file.sql", 1, "\\."),
        ("SELECT 1\\G", 1, "\\G"),
        ("USE other;\nSELECT 1;", 1, "use"),
        ("\n\nquit\n", 3, "quit"),
        ("SELECT 1; tee /tmp/x;", 1, "tee"),
    ] {
        assert_eq!(refused(Mysql, sql), (line, SplitErrorKind::MetaCommand(word.to_owned())), "{sql}");
    }
    for (sql, line, word) in [
        ("SELECT 1;\n\\copy t from 'x'\n", 2, "\\copy"),
        ("\\i other.sql", 1, "\\i"),
        ("SELECT 1 \\gexec", 1, "\\gexec"),
        ("SELECT 1;\nCOPY t (a) FROM STDIN;\n1\n\\.\n", 2, "COPY FROM STDIN"),
    ] {
        assert_eq!(refused(Postgresql, sql), (line, SplitErrorKind::MetaCommand(word.to_owned())), "{sql}");
    }
    // The same words in the middle of a statement are no commands.
    assert_eq!(texts(Mysql, "SELECT a\nstatus\nFROM t;").len(), 1);
    assert_eq!(texts(Mysql, "SELECT \\N;")[0].1, "SELECT \\N");
}

#[test]
fn what_is_not_closed_is_refused_with_the_line_where_it_opens() {
    for (engine, sql, line) in [
        (Mysql, "SELECT 1;\nSELECT 'a;\n\n", 2),
        (Mysql, "SELECT 1;\n\n/* a\n;", 3),
        (Mysql, "SELECT `a;\nb", 1),
        (Mysql, "SELECT 1 /*!40000 + 1", 1),
        (Postgresql, "SELECT 1;\nSELECT 'a", 2),
        (Postgresql, "SELECT 1;\n\nDO $x$ BEGIN; END $y$;", 3),
        (Postgresql, "/* a /* b */ ;", 1),
        (Postgresql, "SELECT (1;\nSELECT 2;", 1),
    ] {
        let (at, kind) = refused(engine, sql);
        assert_eq!(at, line, "{sql}");
        assert!(matches!(kind, SplitErrorKind::Unterminated(_)), "{sql}: {kind}");
    }
    assert_eq!(refused(Mysql, "SELECT 1;\nSELECT '\0';"), (2, SplitErrorKind::Nul));
    assert_eq!(refused(Mysql, "-- nothing\n"), (1, SplitErrorKind::Empty));
    assert_eq!(refused(Mysql, "SELECT /*!40000 1; */ 2;").1, SplitErrorKind::VersionedComment);
    assert_eq!(refused(Mysql, "DELIMITER \\\\\n").1, SplitErrorKind::Delimiter);
    assert_eq!(refused(Mysql, "SELECT 1;DELIMITER $$\n").1, SplitErrorKind::DelimiterPlace);
}

#[test]
fn postgresql_knows_its_quotes_and_bodies() {
    let sql = "-- head\nDO $$ DECLARE x int; BEGIN x := 1; END $$;\n\
               CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;\n\
               INSERT INTO t VALUES (E'a\\';b', 'c\\', $q$;$$;$q$); /* ; /* ; */ ; */ SELECT 1\n;;\n\
               CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);";
    let got = texts(Postgresql, sql);
    assert_eq!(got.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 4, 6]);
    assert_eq!(got[0].1, "DO $$ DECLARE x int; BEGIN x := 1; END $$");
    assert_eq!(got[3].1, "SELECT 1");
}

#[test]
fn a_span_reaches_from_the_first_value_to_the_last_use() {
    let sql = "CREATE TABLE a (x INT);\nSELECT CONCAT('ALTER TABLE a DROP INDEX ', 'i') INTO @s;\nALTER TABLE a ADD y INT;\n\
               PREPARE st FROM @s;\nEXECUTE st;\nDEALLOCATE PREPARE st;\nSET @s = NULL;\nALTER TABLE a ADD z INT;";
    let script = split(Mysql, sql).expect("splits");
    assert_eq!(script.spans, [Span { first: 2, last: 7 }]);
    assert_eq!(script.inside(2), None, "its first statement can be begun in a new session");
    assert_eq!(script.inside(3), Some(Span { first: 2, last: 7 }));
    assert_eq!(script.inside(8), None);
}

#[test]
fn settings_temporary_tables_and_generated_keys_are_state_too() {
    let spans = |engine, sql| split(engine, sql).expect("splits").spans;
    let all = [Span { first: 2, last: 4 }];
    assert_eq!(spans(Mysql, "SELECT 1;SET FOREIGN_KEY_CHECKS=0;SELECT 2;SELECT 3"), all);
    assert_eq!(spans(Mysql, "SELECT 1;SET @a = 1, sql_mode = '';SELECT 2;SELECT 3"), all);
    assert_eq!(spans(Mysql, "SELECT 1;SET GLOBAL x = 1;SELECT 2;SELECT 3"), []);
    assert_eq!(spans(Mysql, "SELECT 1;CREATE TEMPORARY TABLE x (a INT);SELECT 2;SELECT 3"), all);
    assert_eq!(
        spans(Mysql, "SELECT 1;INSERT INTO a VALUES (1);INSERT INTO b SELECT LAST_INSERT_ID();DELETE FROM c"),
        [Span { first: 2, last: 3 }]
    );
    assert_eq!(spans(Mysql, "LOCK TABLES a WRITE;DELETE FROM a;UNLOCK TABLES;DELETE FROM b"), [Span { first: 1, last: 3 }]);
    assert_eq!(spans(Postgresql, "SELECT 1;SET search_path = x;SELECT 2;SELECT 3"), all);
    assert_eq!(spans(Postgresql, "SELECT 1;CREATE TEMP TABLE x (a int);SELECT 2;SELECT 3"), all);
    assert_eq!(spans(Postgresql, "PREPARE p AS SELECT 1;EXECUTE p;SELECT 1"), [Span { first: 1, last: 2 }]);
}

#[test]
fn a_scripts_own_transaction_is_one_unit() {
    let sql = "CREATE TABLE a (x int); BEGIN; INSERT INTO a VALUES (1); SAVEPOINT s; ROLLBACK TO s; COMMIT; SELECT 1;";
    let script = split(Postgresql, sql).expect("splits");
    assert_eq!(script.units, [Span { first: 2, last: 6 }]);
    assert_eq!(script.spans, [Span { first: 2, last: 6 }]);
    assert_eq!(refused(Postgresql, "SELECT 1;\nBEGIN;\nSELECT 1;"), (2, SplitErrorKind::OpenTransaction));
    assert!(matches!(refused(Mysql, "BEGIN; COMMIT AND CHAIN;").1, SplitErrorKind::Forbidden { .. }));
    assert!(matches!(refused(Mysql, "SET autocommit=0;").1, SplitErrorKind::Forbidden { .. }));
    assert!(matches!(refused(Mysql, "SELECT ROW_COUNT();").1, SplitErrorKind::Forbidden { .. }));
    assert!(matches!(refused(Mysql, "DO RELEASE_ALL_LOCKS();").1, SplitErrorKind::Forbidden { .. }));
    assert!(matches!(refused(Postgresql, "DISCARD ALL;").1, SplitErrorKind::Forbidden { .. }));
}

proptest::proptest! {
    /// No text makes the splitter panic, and what it sends was in the script.
    #[test]
    fn any_text_is_split_or_refused(text in "[a-z;'\"`$\\\\/*!#@() \n-]{0,60}") {
        for engine in [Mysql, Postgresql] {
            if let Ok(script) = split(engine, &text) {
                let lines = u32::try_from(text.lines().count()).expect("short");
                for s in &script.statements {
                    proptest::prop_assert!(s.line >= 1 && s.line <= lines);
                    proptest::prop_assert!(!s.text.trim().is_empty());
                }
            }
        }
    }

    /// Statements whose texts hold delimiters inside strings come back one by one.
    #[test]
    fn statements_come_back_whole(values in proptest::collection::vec("[a-z; \n#-]{0,12}", 1..8)) {
        for engine in [Mysql, Postgresql] {
            let wanted: Vec<String> = values.iter().map(|v| format!("INSERT INTO t VALUES ('{v}')")).collect();
            let script = split(engine, &(wanted.join(" ; ") + ";")).expect("splits");
            let got: Vec<&str> = script.statements.iter().map(|s| s.text.as_str()).collect();
            proptest::prop_assert_eq!(got, wanted.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
