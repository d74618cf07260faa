//! Values of secrets on this host: from files, the agent's environment, or programs. Nothing is kept.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::secret::{SecretBook, SecretRef, SecretValue};
use zeroize::Zeroizing;

use crate::executor::SecretResolver;

const LONGEST: usize = 64 << 10;
const PROGRAM_LIMIT: Duration = Duration::from_secs(30);

/// Finds secrets on the machine.
pub struct HostSecrets;

#[async_trait]
impl SecretResolver for HostSecrets {
    async fn resolve(&self, refs: &BTreeMap<String, SecretRef>) -> Result<SecretBook, Fault> {
        let mut book = SecretBook::default();
        for (name, place) in refs {
            let value =
                find(place).await.map_err(|why| Fault::new(codes::agent::SECRET_MISSING, format!("secret `{name}`: {why}")))?;
            book.insert(name.clone(), value);
        }
        Ok(book)
    }
}

async fn find(place: &SecretRef) -> Result<SecretValue, String> {
    match place {
        SecretRef::File(path) => {
            let bytes = Zeroizing::new(tokio::fs::read(path).await.map_err(|e| format!("{path}: {e}"))?);
            text(&bytes).map_err(|why| format!("{path}: {why}"))
        }
        SecretRef::Env(name) => {
            std::env::var(name).map(SecretValue::new).map_err(|_| format!("the agent's environment has no {name}"))
        }
        SecretRef::Exec(command) => run(command).await,
        SecretRef::Prompt(what) => Err(format!("nobody was asked for it ({what})")),
        SecretRef::Generate { .. } => Err("it is made and brought by the controller".to_owned()),
    }
}

async fn run(command: &[String]) -> Result<SecretValue, String> {
    let [program, args @ ..] = command else { return Err("no program is named".to_owned()) };
    let child = tokio::process::Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PROGRAM_LIMIT, child).await.map_err(|_| format!("{program} took longer than 30 s"))?;
    let output = output.map_err(|e| format!("{program}: {e}"))?;
    let stdout = Zeroizing::new(output.stdout);
    if output.status.success() {
        text(&stdout).map_err(|why| format!("{program}: {why}"))
    } else {
        Err(format!("{program}: {}", output.status))
    }
}

/// One trailing newline is dropped; the rest is the value.
fn text(bytes: &[u8]) -> Result<SecretValue, &'static str> {
    if bytes.len() > LONGEST {
        return Err("a secret has at most 64 KiB");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    let value = text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
    if value.is_empty() { Err("it is empty") } else { Ok(SecretValue::new(value.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_place_gives_its_value_or_says_why_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pw");
        std::fs::write(&path, "s3cret\n").expect("writes");
        let mut refs = BTreeMap::from([
            ("a".to_owned(), SecretRef::File(path.display().to_string())),
            ("b".to_owned(), SecretRef::Exec(vec!["/bin/echo".to_owned(), "said".to_owned()])),
        ]);
        let book = HostSecrets.resolve(&refs).await.expect("both have values");
        assert_eq!(book.get("a").map(SecretValue::expose), Some("s3cret"));
        assert_eq!(book.get("b").map(SecretValue::expose), Some("said"));
        refs.insert("c".to_owned(), SecretRef::Env("CAVALCADE_NO_SUCH_VARIABLE".to_owned()));
        let fault = HostSecrets.resolve(&refs).await.expect_err("one has none");
        assert_eq!(fault.code, codes::agent::SECRET_MISSING);
        assert!(fault.message.contains("`c`"), "{fault}");
    }
}
