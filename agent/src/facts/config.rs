//! What a deployment.toml tells.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::settings::settings;
use serde_json::{Map, Value, json};
use toml_edit::Key;

use super::hide::{is_reference, without_password};

/// A deployment.toml as settings by dotted key. Holds passwords, so it has no Debug form.
#[derive(Clone, Default)]
pub(super) struct Config {
    settings: BTreeMap<String, Value>,
}

/// Why a toml cannot be understood: the line, and nothing of what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct ConfigError {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Parts of a dotted key in TOML's own syntax; a text that is none is one part.
pub(super) fn parts(key: &str) -> Vec<String> {
    Key::parse(key).map_or_else(|_| vec![key.to_owned()], |keys| keys.iter().map(|k| k.get().to_owned()).collect())
}

impl Config {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ConfigError> {
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            ConfigError { line, what: "it is not UTF-8".to_owned() }
        })?;
        let settings = settings(text).map_err(|e| ConfigError { line: e.line, what: "it is not valid TOML here".to_owned() })?;
        Ok(Self { settings })
    }

    pub(super) fn settings(&self) -> &BTreeMap<String, Value> {
        &self.settings
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.settings.get(key)?.as_str()
    }

    /// Some write numbers as texts.
    pub(super) fn offset(&self) -> i64 {
        let offset = self.settings.get("server.offset");
        offset.and_then(|v| v.as_i64().or_else(|| v.as_str()?.trim().parse().ok())).unwrap_or(0)
    }

    /// Whether it speaks of an API Manager's database or settings. An IS-KM and a plain IS have the same version.txt.
    pub(super) fn speaks_of_apim(&self) -> bool {
        self.settings.keys().any(|key| key.starts_with("apim.") || key.starts_with("database.apim_db."))
    }

    /// A setting with its `$ref{KEY}` followed.
    pub(super) fn resolved(&self, key: &str) -> Option<&str> {
        // A circle of references ends here.
        const DEEP: usize = 8;
        let mut text = self.text(key)?;
        for _ in 0..DEEP {
            let Some(other) = text.trim().strip_prefix("$ref{").and_then(|rest| rest.strip_suffix('}')) else { break };
            text = self.text(other.trim())?;
        }
        Some(text)
    }

    /// The reference to the secure vault that stands in place of a database's password, by way of other settings too.
    fn vaulted(&self, database: &str) -> Option<String> {
        let key = format!("database.{}.password", Key::new(database));
        self.resolved(&key).filter(|text| is_reference(text)).map(str::to_owned)
    }

    /// The `[database.*]` tables. Only what is named here gets out: never the password, nor any key that is not known.
    pub(super) fn databases(&self) -> Map<String, Value> {
        let all: Vec<(Vec<String>, &Value)> = self.settings.iter().map(|(key, value)| (parts(key), value)).collect();
        let named = |key: &[String]| (key.len() > 2 && key[0] == "database").then(|| key[1].clone());
        let names: BTreeSet<String> = all.iter().filter_map(|(key, _)| named(key)).collect();
        let facts = |name: String| {
            let get = |rest: &[&str]| {
                let wanted: Vec<&str> = ["database", &name].into_iter().chain(rest.iter().copied()).collect();
                all.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value)
            };
            let text = |key: &str| get(&[key]).and_then(Value::as_str);
            // Some write it as a text.
            let port = get(&["port"]).and_then(|v| v.as_str().map(str::to_owned).or_else(|| Some(v.as_u64()?.to_string())));
            let facts = json!({
                "type": text("type"),
                "url": text("url").map(without_password),
                "username": text("username"),
                "hostname": text("hostname"),
                "port": port,
                "name": text("name"),
                "driver": text("driver"),
                "password_reference": self.vaulted(&name),
                "auto_commit": AUTO_COMMIT.iter().find_map(|key| get(&["pool_options", key])).and_then(truth),
            });
            (name, facts)
        };
        names.into_iter().map(facts).collect()
    }
}

/// Whether a pool commits by itself: the pool's own word, and the products' other name for it.
const AUTO_COMMIT: [&str; 2] = ["defaultAutoCommit", "default_auto_commit"];

/// A boolean, also one that is written as a text.
fn truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| match value.as_str()?.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_come_without_passwords() {
        let text = "[database.apim_db]\ntype=\"mysql\"\nurl=\"jdbc:mysql://u:canary@db/AM\"\nusername=\"w\"\npassword=\"canary\"\n\
            [database.apim_db.pool_options]\nx=\"canary\"\ndefaultAutoCommit = \"false\"\n[database.user]\npassword=\"canary\"\n\
            [database.c]\npool_options.defaultAutoCommit = true\n\
            [database.shared_db.pool_options]\ndefault_auto_commit = false\n";
        let config = Config::read(text.as_bytes()).expect("reads");
        let databases = Value::Object(config.databases());
        assert!(!databases.to_string().contains("canary") && config.speaks_of_apim(), "{databases}");
        assert_eq!(
            (&databases["apim_db"]["auto_commit"], &databases["apim_db"]["password_reference"]),
            (&json!(false), &Value::Null)
        );
        assert_eq!(databases["apim_db"]["hostname"], Value::Null);
        assert_eq!((&databases["user"]["auto_commit"], &databases["c"]["auto_commit"]), (&Value::Null, &json!(true)));
        assert_eq!(databases["shared_db"]["auto_commit"], json!(false), "by the products' other name of it");
    }

    #[test]
    fn a_database_may_be_named_by_host_port_and_name() {
        let table = |port: &str| format!("[database.x]\ntype = \"mysql\"\nhostname = \"db\"\nname = \"am\"\nport = {port}\n");
        for port in ["3306", "\"3306\""] {
            let databases = Config::read(table(port).as_bytes()).expect("reads").databases();
            let told = &databases["x"];
            assert_eq!((&told["hostname"], &told["port"], &told["name"]), (&json!("db"), &json!("3306"), &json!("am")));
            assert_eq!((&told["url"], &told["driver"]), (&Value::Null, &Value::Null));
        }
    }

    #[test]
    fn a_password_in_the_vault_is_told_by_its_reference() {
        let text = "[database.a]\npassword = \"$secret{a_db}\"\n[database.b]\npassword = \"$ref{database.a.password}\"\n";
        let databases = Value::Object(Config::read(text.as_bytes()).expect("reads").databases());
        for name in ["a", "b"] {
            assert_eq!(databases[name]["password_reference"], json!("$secret{a_db}"), "{name}");
        }
    }

    #[test]
    fn an_error_names_the_line_and_shows_nothing_of_it() {
        let error = Config::read(b"[a]\nb = 1\n[database.x]\npassword = \"canary\" \"more\"\n").err().expect("not valid");
        assert_eq!(error.line, 4);
        assert!(!error.to_string().contains("canary"));
        assert_eq!(Config::read(b"a = 1\nb = \"\xff\"\n").err().expect("not UTF-8").line, 2);
    }

    #[test]
    fn settings_are_read_with_bom_crlf_and_numbers_in_quotes() {
        let text = "\u{feff}[server]\r\nhostname = \"is.example\"\r\noffset = \"3\"\r\n[user_store]\r\ntype = \"database\"\r\n";
        let config = Config::read(text.as_bytes()).expect("reads");
        assert_eq!((config.offset(), config.text("server.hostname")), (3, Some("is.example")));
        assert_eq!((config.text("user_store.type"), config.speaks_of_apim()), (Some("database"), false));
        assert!(Config::read(b"").expect("reads").settings().is_empty());
    }

    #[test]
    fn references_are_followed_and_a_circle_ends() {
        let text = "a = \"$ref{b.c}\"\nb.c = \"$ref{ d }\"\nd = \"x\"\ne = \"$ref{f}\"\nf = \"$ref{e}\"\ng = \"$ref{none}\"\n";
        let config = Config::read(text.as_bytes()).expect("reads");
        assert_eq!((config.resolved("a"), config.resolved("g"), config.resolved("none")), (Some("x"), None, None));
        assert!(config.resolved("e").is_some_and(|text| text.starts_with("$ref{")));
    }
}
