//! Keys in the old home's keystores, as the node's own keytool tells them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cavalcade_common::secret::SecretValue;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::config::Config;
use crate::host::{Host, keytool};

/// RSA keys with fewer bits are weak.
const ENOUGH: u64 = 2048;
/// A JKS begins so; keytool shows it without its password.
const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
/// Keys that end so name a keystore beside its `password`. Products read the first alone; the other one is a guess.
const FILE_NAMES: [&str; 2] = [".file_name", ".name"];

/// What keystores tell: the facts, whether a key is weak, what went wrong.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) keystores: Value,
    pub(super) weak_key: Option<bool>,
    pub(super) problems: Vec<String>,
}

/// A key entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    alias: String,
    bits: Option<u64>,
    algorithm: Option<String>,
    expires: Option<Timestamp>,
}

/// Passwords of keystores in clear, each with the name of its file; and the files whose password cannot be known here.
pub(super) struct Passwords {
    clear: Vec<(String, SecretValue)>,
    closed: Vec<String>,
    /// What the vendor ships keystores with.
    shipped: Vec<SecretValue>,
}

impl Passwords {
    pub(super) fn of(config: Option<&Config>, shipped: &[String]) -> Self {
        let shipped = shipped.iter().map(|password| SecretValue::new(password.clone())).collect();
        let mut found = Self { clear: Vec::new(), closed: Vec::new(), shipped };
        let Some(config) = config else { return found };
        let named = |key: &str| FILE_NAMES.iter().find_map(|name| Some((key.strip_suffix(name)?.to_owned(), *name)));
        for (table, name) in config.settings().keys().filter_map(|key| named(key)) {
            let file = config.resolved(&format!("{table}{name}"));
            let file = file.and_then(|f| Path::new(f).file_name()).and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            match config.resolved(&format!("{table}.password")) {
                // `$secret{ALIAS}` and the like: only the product can open them.
                Some(text) if text.starts_with('$') => found.closed.push(file),
                Some(text) if !found.clear.iter().any(|(f, p)| *f == file && p.expose() == text) => {
                    found.clear.push((file, SecretValue::new(text.to_owned())));
                }
                Some(_) | None => {}
            }
        }
        found
    }

    /// Those of this file first. A JKS needs none, so that nothing is guessed for it.
    pub(super) fn tries<'a>(&'a self, file: &str, jks: bool) -> Vec<Option<&'a SecretValue>> {
        let own = self.clear.iter().filter(|(f, _)| f == file);
        let others = self.clear.iter().filter(|(f, _)| f != file && !jks);
        let mut tries: Vec<Option<&SecretValue>> = Vec::new();
        let of_config = own.chain(others).map(|(_, password)| password);
        let closed = self.closed.iter().any(|f| f == file);
        for password in of_config.chain(self.shipped.iter().filter(|_| !closed)) {
            if !tries.iter().flatten().any(|known| known.expose() == password.expose()) {
                tries.push(Some(password));
            }
        }
        tries.extend(jks.then_some(None));
        tries
    }
}

/// Asks keytool for each keystore. One that cannot be told makes the list null: half of it could hide a weak key.
pub(super) async fn gather(
    host: &dyn Host,
    home: &Path,
    java_home: Option<&Path>,
    stores: &BTreeMap<String, PathBuf>,
    passwords: &Passwords,
) -> Told {
    if stores.is_empty() {
        return Told { keystores: json!([]), weak_key: Some(false), problems: Vec::new() };
    }
    let mut told = Told::default();
    let Some(java_home) = java_home else {
        told.problems.push("keystores cannot be read: no JDK is known here; set java_home in the fleet file".to_owned());
        return told;
    };
    let tool = java_home.join("bin/keytool");
    let mut all = Vec::new();
    for (path, at) in stores {
        match store(host, home, &tool, at, passwords).await {
            Ok((kind, entries)) => all.extend(entries.into_iter().map(|e| (path, kind.clone(), e))),
            Err(why) => told.problems.push(format!("{}: {why}", at.display())),
        }
    }
    let weak = all.iter().any(|(_, _, e)| e.algorithm.as_deref() == Some("RSA") && e.bits.is_some_and(|b| b < ENOUGH));
    told.weak_key = if weak { Some(true) } else { told.problems.is_empty().then_some(false) };
    if told.problems.is_empty() {
        all.sort_by(|a, b| (a.2.bits, a.0, &a.2.alias).cmp(&(b.2.bits, b.0, &b.2.alias)));
        let one = |(path, kind, e): (&String, Option<String>, Entry)| json!({ "path": path, "type": kind, "bits": e.bits, "algorithm": e.algorithm, "alias": e.alias, "expires": e.expires });
        told.keystores = all.into_iter().map(one).collect();
    }
    told
}

/// Whether a keystore is one that keytool shows without its password.
///
/// # Errors
/// Those of the file, in words.
pub(super) fn is_jks(host: &dyn Host, at: &Path) -> Result<bool, String> {
    let head = host.read_part(at, 0, JKS.len()).map_err(|e| e.to_string())?;
    Ok(head.is_some_and(|part| part.bytes == JKS))
}

/// Type and key entries of one keystore.
async fn store(
    host: &dyn Host,
    home: &Path,
    tool: &Path,
    at: &Path,
    passwords: &Passwords,
) -> Result<(Option<String>, Vec<Entry>), String> {
    let jks = is_jks(host, at)?;
    let file = at.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    for password in passwords.tries(file, jks) {
        let printed = keytool::list(tool, at, password, home).await.map_err(|e| format!("{}: {e}", tool.display()))?;
        if !printed.done {
            continue;
        }
        let (kind, entries) = read(&printed.text).ok_or_else(|| format!("{} printed no keystore", tool.display()))?;
        return match entries.iter().find(|e| e.bits.is_none()) {
            Some(entry) => Err(format!("{} does not tell the size of the key {}", tool.display(), entry.alias)),
            None => Ok((kind, entries)),
        };
    }
    if passwords.closed.iter().any(|f| f == file) {
        return Err("its password is in the secure vault, which only the product can open".to_owned());
    }
    Err(format!("{} opens it with none of the passwords in the old deployment.toml", tool.display()))
}

/// What `keytool -list -v` printed in English; `None` where that is no list.
fn read(text: &str) -> Option<(Option<String>, Vec<Entry>)> {
    let mut lines = text.lines().map(str::trim_end).skip_while(|line| !line.to_ascii_lowercase().starts_with("keystore type: "));
    let kind = lines.next()?.split_once(": ").map(|(_, kind)| kind.to_ascii_uppercase());
    let mut entries: Vec<Entry> = Vec::new();
    let mut alias = String::new();
    // Of a chain only the first certificate is the key's own.
    let mut own = false;
    for line in lines {
        if let Some(name) = line.strip_prefix("Alias name: ") {
            alias = name.to_owned();
            own = false;
        } else if let Some(what) = line.strip_prefix("Entry type: ") {
            own = what == "PrivateKeyEntry" || what == "keyEntry";
            if own {
                entries.push(Entry { alias: alias.clone(), bits: None, algorithm: None, expires: None });
            }
        } else if line.starts_with("Certificate[") && line != "Certificate[1]:" {
            own = false;
        } else if let Some(entry) = entries.last_mut().filter(|_| own) {
            if let Some((_, until)) = line.strip_prefix("Valid from: ").and_then(|l| l.split_once(" until: ")) {
                entry.expires = date(until);
            } else if let Some(key) = line.strip_prefix("Subject Public Key Algorithm: ") {
                (entry.bits, entry.algorithm) = size(key);
            }
        }
    }
    Some((kind, entries))
}

/// `1024-bit RSA key (weak)`, `256-bit EC (secp256r1) key`.
fn size(text: &str) -> (Option<u64>, Option<String>) {
    let Some((bits, rest)) = text.split_once("-bit ") else { return (None, None) };
    (bits.parse().ok(), rest.split_whitespace().next().map(str::to_owned))
}

/// `Thu Nov 20 08:06:49 UTC 2036`: Java's own form, in the zone that keytool was given.
fn date(text: &str) -> Option<Timestamp> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, month, day, time, "UTC" | "GMT", year] = words.as_slice() else { return None };
    let read = BrokenDownTime::parse("%b %d %H:%M:%S %Y", format!("{month} {day} {time} {year}")).ok()?;
    let civil: DateTime = read.to_datetime().ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
}

#[cfg(test)]
#[path = "keystores_tests.rs"]
mod tests;
