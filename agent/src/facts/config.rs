//! What a deployment.toml tells, without any password.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, Item, TableLike};

/// Facts of one deployment.toml.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Config {
    pub(super) offset: i64,
    pub(super) hostname: Option<String>,
    pub(super) server_role: Option<String>,
    pub(super) user_store_type: Option<String>,
    /// Whether it speaks of an API Manager's database or settings. An IS-KM and a plain IS have the same version.txt.
    pub(super) speaks_of_apim: bool,
    pub(super) databases: Map<String, Value>,
}

/// Why a toml cannot be understood: the line, and the parser's message, which names no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct ConfigError {
    pub(super) line: usize,
    pub(super) what: String,
}

pub(super) fn read(bytes: &[u8]) -> Result<Config, ConfigError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| ConfigError { line: line_at(bytes, e.valid_up_to()), what: "it is not UTF-8".to_owned() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The text of the parser's error shows the line, and with it what may be a password.
    let document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| ConfigError {
        line: e.span().map_or(0, |span| line_at(text.as_bytes(), span.start)),
        what: "it is not valid TOML here".to_owned(),
    })?;
    let server = document.get("server").and_then(Item::as_table_like);
    let databases = document.get("database").and_then(Item::as_table_like);
    let apim_db = databases.is_some_and(|d| d.contains_key("apim_db"));
    Ok(Config {
        offset: server.and_then(|s| number(s, "offset")).unwrap_or(0),
        hostname: server.and_then(|s| string(s, "hostname")),
        server_role: server.and_then(|s| string(s, "server_role")),
        user_store_type: document.get("user_store").and_then(Item::as_table_like).and_then(|t| string(t, "type")),
        speaks_of_apim: apim_db || document.contains_key("apim"),
        databases: databases.map(|d| d.iter().filter_map(database).collect()).unwrap_or_default(),
    })
}

fn line_at(bytes: &[u8], offset: usize) -> usize {
    1 + bytes[..offset.min(bytes.len())].iter().filter(|b| **b == b'\n').count()
}

fn string(table: &dyn TableLike, key: &str) -> Option<String> {
    table.get(key).and_then(Item::as_str).map(str::to_owned)
}

/// Some write numbers as texts.
fn number(table: &dyn TableLike, key: &str) -> Option<i64> {
    let item = table.get(key)?;
    item.as_integer().or_else(|| item.as_str().and_then(|text| text.trim().parse().ok()))
}

/// Only what is named here gets out: never the password, nor any key that is not known.
fn database((name, item): (&str, &Item)) -> Option<(String, Value)> {
    let table = item.as_table_like()?;
    let facts = json!({
        "type": string(table, "type"),
        "url": string(table, "url").map(|url| without_password(&url)),
        "username": string(table, "username"),
        "driver": string(table, "driver"),
    });
    Some((name.to_owned(), facts))
}

#[expect(clippy::expect_used, reason = "constant expressions; a test compiles them")]
static PARAMETER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)([\w.]*(?:password|passwd|pwd|secret)[\w.]*\s*=)[^&;,)\s]*").expect("constant"));
#[expect(clippy::expect_used, reason = "constant expressions; a test compiles them")]
static LOGIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?:(//[^/:@\s?;]+):|(:[^/:@\s?;]+)/)[^\s?;]+@").expect("constant"));

/// A JDBC URL may hold a password as parameter, or before the host (`//user:pw@host`, Oracle's `thin:user/pw@`).
fn without_password(url: &str) -> String {
    let url = PARAMETER.replace_all(url, "$1(secret)");
    LOGIN.replace_all(&url, "$1$2:(secret)@").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_gets_out() {
        for (url, shown) in [
            ("jdbc:mysql://db:3306/AM?useSSL=false&amp;x=y", "jdbc:mysql://db:3306/AM?useSSL=false&amp;x=y"),
            ("jdbc:mysql://db/AM?user=u&password=canary&x=y", "jdbc:mysql://db/AM?user=u&password=(secret)&x=y"),
            (
                "jdbc:sqlserver://db:1433;databaseName=AM;Password=canary",
                "jdbc:sqlserver://db:1433;databaseName=AM;Password=(secret)",
            ),
            ("jdbc:postgresql://u:canary@db/AM", "jdbc:postgresql://u:(secret)@db/AM"),
            ("jdbc:postgresql://u:ca/n@ary@db/AM", "jdbc:postgresql://u:(secret)@db/AM"),
            ("jdbc:mysql://db:3306/AM?user=a@b", "jdbc:mysql://db:3306/AM?user=a@b"),
            ("jdbc:oracle:thin:u/canary@db:1521:AM", "jdbc:oracle:thin:u:(secret)@db:1521:AM"),
            ("jdbc:oracle:thin:@db:1521/AM", "jdbc:oracle:thin:@db:1521/AM"),
        ] {
            assert_eq!(without_password(url), shown);
        }
        let text = "[database.apim_db]\ntype=\"mysql\"\nurl=\"jdbc:mysql://u:canary@db/AM\"\nusername=\"w\"\npassword=\"canary\"\n\
            [database.apim_db.pool_options]\nx=\"canary\"\n";
        let config = read(text.as_bytes()).expect("reads");
        let shown = format!("{config:?}");
        assert!(!shown.contains("canary") && shown.contains("mysql") && config.speaks_of_apim, "{shown}");
    }

    #[test]
    fn an_error_names_the_line_and_shows_nothing_of_it() {
        let error = read(b"[a]\nb = 1\n[database.x]\npassword = \"canary\" \"more\"\n").expect_err("not valid");
        assert_eq!(error.line, 4);
        assert!(!error.to_string().contains("canary"));
        assert_eq!(read(b"a = 1\nb = \"\xff\"\n").expect_err("not UTF-8").line, 2);
    }

    #[test]
    fn settings_are_read_with_bom_crlf_and_numbers_in_quotes() {
        let text = "\u{feff}[server]\r\nhostname = \"is.example\"\r\noffset = \"3\"\r\n[user_store]\r\ntype = \"database\"\r\n";
        let config = read(text.as_bytes()).expect("reads");
        assert_eq!((config.offset, config.hostname.as_deref()), (3, Some("is.example")));
        assert_eq!((config.user_store_type.as_deref(), config.speaks_of_apim), (Some("database"), false));
        assert_eq!(read(b"").expect("reads"), Config::default());
    }
}
