//! `bin/keytool` of the stand-in JDK: `-list`, as the JDK's own prints it.

use std::{env, fmt::Write as _, path::Path};

use super::keystore::{Entry, KeyStore};

/// Runs a command line; returns the exit status and what is printed on standard output.
#[must_use]
pub fn run(arguments: &[String]) -> (i32, String) {
    match parse(arguments) {
        Ok(asked) => list(&asked),
        Err(message) => (1, format!("keytool error: {message}\n")),
    }
}

/// What was asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    file: String,
    /// None: it asks, and nobody answers.
    password: Option<String>,
    alias: Option<String>,
    verbose: bool,
}

fn parse(arguments: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut lists = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut next = || words.next().cloned().ok_or_else(|| format!("Command option {word} needs an argument."));
        match word.as_str() {
            "-list" => lists = true,
            "-v" => asked.verbose = true,
            "-keystore" => asked.file = next()?,
            "-alias" => asked.alias = Some(next()?),
            "-storepass" => asked.password = Some(next()?),
            "-storepass:env" => {
                let name = next()?;
                let found = env::var(&name).map_err(|_| format!("Cannot find environment variable: {name}"))?;
                asked.password = Some(found);
            }
            "-storepass:file" => {
                let file = next()?;
                let text = std::fs::read_to_string(&file).map_err(|_| format!("Cannot find file: {file}"))?;
                asked.password = Some(text.trim_end_matches(['\r', '\n']).to_owned());
            }
            "-storetype" | "-provider" | "-providername" => drop(next()?),
            jvm if jvm.starts_with("-J") => {}
            other => return Err(format!("java.lang.Exception: Illegal option:  {other}")),
        }
    }
    if lists { Ok(asked) } else { Err("java.lang.Exception: a stand-in knows -list alone".to_owned()) }
}

fn list(asked: &Asked) -> (i32, String) {
    let file = Path::new(&asked.file);
    if !file.exists() {
        return failed(asked, &format!("java.lang.Exception: Keystore file does not exist: {}", asked.file));
    }
    let read = match &asked.password {
        Some(password) => KeyStore::open(file, password),
        None => KeyStore::unchecked(file),
    };
    let store = match read {
        Ok(store) => store,
        Err(error) => return failed(asked, &format!("java.io.IOException: {error}")),
    };
    let wanted = |entry: &&Entry| asked.alias.as_ref().is_none_or(|alias| *alias == entry.alias);
    let entries: Vec<&Entry> = store.entries.iter().filter(wanted).collect();
    if let (Some(alias), true) = (&asked.alias, entries.is_empty()) {
        return failed(asked, &format!("java.lang.Exception: Alias <{alias}> does not exist"));
    }
    let mut text = String::new();
    if asked.password.is_none() {
        text.push_str("Enter keystore password:  \n");
    }
    if asked.alias.is_none() {
        let noun = if entries.len() == 1 { "entry" } else { "entries" };
        let count = entries.len();
        text.push_str(&format!("Keystore type: JKS\nKeystore provider: SUN\n\nYour keystore contains {count} {noun}\n\n"));
    }
    for entry in entries {
        describe(entry, asked.verbose, &mut text);
    }
    (0, text)
}

/// With `-v` an exception comes with its stack trace.
fn failed(asked: &Asked, exception: &str) -> (i32, String) {
    let frames = "\tat java.base/sun.security.tools.keytool.Main.doCommands(Main.java)\n";
    let trace = if asked.verbose { format!("{exception}\n{frames}") } else { String::new() };
    (1, format!("keytool error: {exception}\n{trace}"))
}

fn describe(entry: &Entry, verbose: bool, text: &mut String) {
    let kind = if entry.key.is_some() { "PrivateKeyEntry" } else { "trustedCertEntry" };
    let alias = &entry.alias;
    let fingerprint = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";
    let written = if verbose {
        let weak = if entry.bits < 2048 { " (weak)" } else { "" };
        let chain = if entry.key.is_some() { "Certificate chain length: 1\nCertificate[1]:\n" } else { "\n" };
        let stars = "*".repeat(43);
        write!(
            text,
            "Alias name: {alias}\nCreation date: Jan 1, 2020\nEntry type: {kind}\n{chain}Owner: CN=localhost\nIssuer: \
             CN=localhost\nSerial number: 5e0be100\nValid from: Wed Jan 01 00:00:00 UTC 2020 until: {until}\nCertificate \
             fingerprints:\n\t SHA256: {fingerprint}\nSignature algorithm name: SHA256withRSA\nSubject Public Key Algorithm: \
             {bits}-bit RSA key{weak}\nVersion: 3\n\n\n{stars}\n{stars}\n\n\n",
            until = entry.until,
            bits = entry.bits,
        )
    } else {
        let certificate = format!("Certificate fingerprint (SHA-256): {fingerprint}");
        let comma = if entry.key.is_some() { ", " } else { "," };
        writeln!(text, "{alias}, Jan 1, 2020, {kind}{comma}\n{certificate}")
    };
    debug_assert!(written.is_ok(), "a String takes every text");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn ask(words: &[&str]) -> (i32, String) {
        run(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_list_says_what_the_jdks_keytool_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b.jks");
        let store = KeyStore::new("secret", vec![Entry::private("wso2carbon", "k", 1024), Entry::trusted("ca")]);
        fs::write(&file, store.bytes()).unwrap();
        let file = file.to_str().unwrap();
        let (status, text) = ask(&["-list", "-v", "-keystore", file, "-storepass", "secret", "-J-Duser.language=en"]);
        assert_eq!(status, 0);
        for line in [
            "Your keystore contains 2 entries",
            "Alias name: wso2carbon",
            "Entry type: PrivateKeyEntry",
            "Entry type: trustedCertEntry",
            "Subject Public Key Algorithm: 1024-bit RSA key (weak)",
            "Subject Public Key Algorithm: 2048-bit RSA key",
            "Valid from: Wed Jan 01 00:00:00 UTC 2020 until: Tue Jan 19 03:14:07 UTC 2038",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        let (status, unasked) = ask(&["-list", "-v", "-keystore", file]);
        assert!(status == 0 && unasked.contains("1024-bit RSA key"), "a JKS can be listed without its password: {unasked}");
        let (_, short) = ask(&["-list", "-keystore", file, "-storepass", "secret"]);
        assert!(short.contains("wso2carbon, Jan 1, 2020, PrivateKeyEntry, \n"), "{short}");
    }

    #[test]
    fn what_cannot_be_listed_is_status_1() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jks");
        let (status, text) = ask(&["-list", "-keystore", file.to_str().unwrap(), "-storepass", "x"]);
        assert!(status == 1 && text.contains("Keystore file does not exist"), "{text}");
        fs::write(&file, KeyStore::new("secret", Vec::new()).bytes()).unwrap();
        let (status, text) = ask(&["-list", "-v", "-keystore", file.to_str().unwrap(), "-storepass", "x"]);
        let first = text.lines().next().unwrap();
        assert_eq!(first, "keytool error: java.io.IOException: Keystore was tampered with, or password was incorrect");
        assert!(status == 1 && text.contains("\tat java.base/"), "{text}");
        assert_eq!(ask(&["-list", "-storepass:env", "CAVALCADE_NO_SUCH_NAME"]).0, 1);
        assert_eq!(ask(&["-genkeypair"]).0, 1);
    }
}
