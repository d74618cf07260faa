//! What a server reads in its deployment.toml.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use toml_edit::{DocumentMut, Item, Value};

/// A deployment.toml.
#[derive(Debug, Clone)]
pub struct Config {
    document: DocumentMut,
    offset: u16,
    secrets: BTreeMap<String, String>,
}

/// One `[database.<name>]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseTable {
    /// `apim_db`, `shared_db` ...
    pub name: String,
    /// `h2`, `mysql` ...
    pub engine: String,
    /// The JDBC URL, read as the XML that it goes into. Empty where that XML would not be well-formed: then the products find
    /// no database at all (product-is#28431).
    pub url: String,
    /// The account, read likewise.
    pub username: String,
    /// Its password, read likewise.
    pub password: String,
}

impl Config {
    /// Reads `<home>/repository/conf/deployment.toml`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is not TOML.
    pub fn of_home(home: &Path) -> anyhow::Result<Self> {
        let file = home.join("repository/conf/deployment.toml");
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        Self::parse(&text)
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// When it is not TOML, or the offset is no number.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let document: DocumentMut = text.parse()?;
        let mut config = Self { document, offset: 0, secrets: BTreeMap::new() };
        if let Some(offset) = config.text("server.offset") {
            config.offset = offset.trim().parse().context("[server] offset is not a port offset")?;
        }
        Ok(config)
    }

    /// Takes another offset (`-DportOffset` wins over the file).
    #[must_use]
    pub fn with_offset(mut self, offset: u16) -> Self {
        self.offset = offset;
        self
    }

    /// Takes the plain values of `$secret{...}`.
    #[must_use]
    pub fn with_secrets(mut self, secrets: BTreeMap<String, String>) -> Self {
        self.secrets = secrets;
        self
    }

    /// `[secrets]` as it stands.
    #[must_use]
    pub fn secrets(&self) -> BTreeMap<String, String> {
        let Some(table) = self.item("secrets").and_then(Item::as_table_like) else { return BTreeMap::new() };
        table.iter().filter_map(|(alias, item)| Some((alias.to_owned(), plain(item.as_value()?)))).collect()
    }

    /// The file of the primary key store.
    #[must_use]
    pub fn primary_store(&self) -> String {
        self.text("keystore.primary.file_name").unwrap_or_else(|| "wso2carbon.jks".to_owned())
    }

    /// `[server] offset`.
    #[must_use]
    pub fn offset(&self) -> u16 {
        self.offset
    }

    fn item(&self, path: &str) -> Option<&Item> {
        path.split('.').try_fold(self.document.as_item(), |item, key| item.get(key))
    }

    /// A value as text, `$ref{...}` and the few `${...}` of the stand-ins resolved.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        self.item(path)?.as_value().map(|value| self.resolve(&plain(value)))
    }

    /// A boolean, written as one or as a string.
    #[must_use]
    pub fn flag(&self, path: &str) -> Option<bool> {
        self.text(path).map(|text| text.eq_ignore_ascii_case("true"))
    }

    /// The texts of an array.
    #[must_use]
    pub fn texts(&self, path: &str) -> Vec<String> {
        let Some(array) = self.item(path).and_then(Item::as_array) else { return Vec::new() };
        array.iter().map(|value| self.resolve(&plain(value))).collect()
    }

    /// The values of one key in all tables of an array of tables.
    #[must_use]
    pub fn in_each(&self, path: &str, key: &str) -> Vec<String> {
        let Some(tables) = self.item(path).and_then(Item::as_array_of_tables) else { return Vec::new() };
        let values = tables.iter().filter_map(|table| table.get(key)?.as_value());
        values
            .flat_map(|value| match value {
                Value::Array(array) => array.iter().map(plain).collect(),
                one => vec![plain(one)],
            })
            .collect()
    }

    /// One `[database.<name>]` table.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<DatabaseTable> {
        let of = |key: &str| self.text(&format!("database.{name}.{key}"));
        let engine = of("type").unwrap_or_else(|| "h2".to_owned());
        let url = of("url").or_else(|| {
            let (host, port, schema) = (of("hostname")?, of("port").unwrap_or_else(|| "3306".to_owned()), of("name")?);
            Some(format!("jdbc:{engine}://{host}:{port}/{schema}"))
        })?;
        let texts = [url, of("username").unwrap_or_default(), of("password").unwrap_or_default()];
        let [url, username, password] = texts.each_ref().map(|text| of_xml(text));
        let well_formed = url.is_some() && username.is_some() && password.is_some();
        Some(DatabaseTable {
            name: name.to_owned(),
            engine,
            url: url.filter(|_| well_formed).unwrap_or_default(),
            username: username.unwrap_or_default(),
            password: password.unwrap_or_default(),
        })
    }

    /// The database of users and roles: `[database.user]` where `[realm_manager]` says so, else `shared_db`.
    #[must_use]
    pub fn user_database(&self) -> &'static str {
        let separate = self.text("realm_manager.data_source").is_some_and(|source| source == "WSO2USER_DB");
        if separate && self.item("database.user").is_some() { "user" } else { "shared_db" }
    }

    fn resolve(&self, text: &str) -> String {
        let mut out = text.to_owned();
        let https = (9443 + u32::from(self.offset)).to_string();
        let http = (9763 + u32::from(self.offset)).to_string();
        for (name, value) in [
            ("${mgt.transport.https.port}", https.as_str()),
            ("${carbon.management.port}", &https),
            ("${mgt.transport.http.port}", &http),
            ("${carbon.protocol}", "https"),
            ("${carbon.host}", "localhost"),
            ("${admin.username}", "$ref{super_admin.username}"),
            ("${admin.password}", "$ref{super_admin.password}"),
        ] {
            out = out.replace(name, value);
        }
        // A reference to a reference is as deep as it goes; one to itself stays as it is.
        for _ in 0..4 {
            let Some((before, rest)) = out.split_once("$ref{") else { break };
            let Some((path, after)) = rest.split_once('}') else { break };
            let Some(value) = self.item(path).and_then(Item::as_value) else { break };
            out = format!("{before}{}{after}", plain(value));
        }
        for (alias, value) in &self.secrets {
            out = out.replace(&format!("$secret{{{alias}}}"), value);
        }
        out
    }
}

/// The content of an XML element, where it is well-formed.
fn of_xml(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';')?;
        out.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        });
        out.push_str(rest);
    }
    (!text.contains('<')).then_some(out)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.value().clone(),
        other => other.to_string().trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_files_are_read_and_references_resolved() {
        let config = Config::parse(
            "[server]\noffset = 3\n[super_admin]\nusername = 'root'\n[apim.key_manager]\nservice_url = \
             'https://is:${mgt.transport.https.port}/services/'\nusername = '$ref{super_admin.username}'\n[database.apim_db]\ntype \
             = 'mysql'\nurl = 'jdbc:mysql://h:1/d?a=b&amp;c=d'\nusername = 'u'\npassword = 'p'\n[[apim.gateway.environment]]\nname \
             = 'Default'\n[[apim.gateway.environment]]\nname = 'Other'\n",
        )
        .unwrap();
        assert_eq!(config.text("apim.key_manager.service_url").unwrap(), "https://is:9446/services/");
        assert_eq!(config.text("apim.key_manager.username").unwrap(), "root");
        assert_eq!(config.database("apim_db").unwrap().url, "jdbc:mysql://h:1/d?a=b&c=d");
        assert_eq!(config.in_each("apim.gateway.environment", "name"), ["Default", "Other"]);
        assert_eq!(config.database("shared_db"), None);
        assert_eq!(config.user_database(), "shared_db");
    }

    #[test]
    fn what_would_be_no_xml_is_no_database() {
        let read = |password: &str| {
            let text =
                format!("[database.user]\ntype = 'mysql'\nurl = 'jdbc:mysql://h/d'\nusername = 'u'\npassword = '{password}'\n");
            Config::parse(&text).unwrap().database("user").unwrap()
        };
        let good = read("a&amp;b&lt;c&gt;");
        assert_eq!((good.url.as_str(), good.password.as_str()), ("jdbc:mysql://h/d", "a&b<c>"));
        for bad in ["a&b", "a&b;c", "a<b"] {
            assert_eq!(read(bad).url, "", "{bad}");
        }
    }

    #[test]
    fn what_is_not_toml_is_an_error() {
        assert!(Config::parse("[server\noffset = 1").is_err());
        assert!(Config::parse("[server]\noffset = 'x'").is_err());
    }
}
