//! Whether the node's servers would trust a peer: its chain against the node's trust stores, as the node's own keytool shows
//! them. Names and keys are compared, no signature is verified: that finds who is certainly not trusted, and that is what a
//! check must know beforehand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::keystores::{Passwords, is_jks};
use crate::host::{Host, keytool};

/// Certificates (DER) of the trust stores.
///
/// # Errors
/// Why they are not known: half of them would call peers untrusted that are not.
pub(super) async fn anchors(
    host: &dyn Host,
    home: &Path,
    java_home: Option<&Path>,
    stores: &BTreeMap<String, PathBuf>,
    passwords: &Passwords,
) -> Result<Vec<Vec<u8>>, String> {
    if stores.is_empty() {
        return Err("there is no trust store".to_owned());
    }
    let java_home = java_home.ok_or("no JDK is known here; set java_home in the fleet file")?;
    let tool = java_home.join("bin/keytool");
    let mut found = Vec::new();
    for (path, at) in stores {
        found.extend(store(host, home, &tool, at, passwords).await.map_err(|why| format!("{path}: {why}"))?);
    }
    Ok(found)
}

async fn store(host: &dyn Host, home: &Path, tool: &Path, at: &Path, passwords: &Passwords) -> Result<Vec<Vec<u8>>, String> {
    let jks = is_jks(host, at)?;
    let file = at.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    for password in passwords.tries(file, jks) {
        let printed = keytool::certificates(tool, at, password, home).await.map_err(|e| format!("{}: {e}", tool.display()))?;
        if !printed.done {
            continue;
        }
        let read: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(printed.text.as_bytes()).collect();
        let read = read.map_err(|e| format!("{} prints what is no certificate: {e}", tool.display()))?;
        return Ok(read.into_iter().map(|certificate| certificate.to_vec()).collect());
    }
    Err(format!("{} opens it with none of the passwords that are known", tool.display()))
}

/// What of a certificate decides.
struct Seen<'a> {
    der: &'a [u8],
    subject: &'a [u8],
    issuer: &'a [u8],
    key: &'a [u8],
}

impl<'a> Seen<'a> {
    fn of(der: &'a [u8]) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let body = read.tbs_certificate;
        let (subject, issuer) = (body.subject.as_raw(), body.issuer.as_raw());
        Some(Self { der, subject, issuer, key: body.subject_pki.raw })
    }
}

/// Whether a presented chain leads to a trusted certificate; `None` where it cannot be read.
pub(super) fn trusted(chain: &[Vec<u8>], anchors: &[Vec<u8>]) -> Option<bool> {
    let chain: Vec<Seen<'_>> = chain.iter().map(|der| Seen::of(der)).collect::<Option<_>>()?;
    // One that this program cannot read may be the one that counts.
    let unread = anchors.iter().any(|der| Seen::of(der).is_none());
    let anchors: Vec<Seen<'_>> = anchors.iter().filter_map(|der| Seen::of(der)).collect();
    let mut at = chain.first()?;
    // No chain is longer than what was presented.
    for _ in 0..=chain.len() {
        if anchors.iter().any(|anchor| anchor.der == at.der) {
            return Some(true);
        }
        let of_issuer = |anchor: &&Seen<'_>| anchor.subject == at.issuer;
        if at.subject == at.issuer {
            // Signed by its own key: the same name with another key is another authority.
            let same_key = anchors.iter().filter(of_issuer).any(|anchor| anchor.key == at.key);
            return if same_key { Some(true) } else { (!unread).then_some(false) };
        }
        if anchors.iter().any(|anchor| of_issuer(&anchor)) {
            return Some(true);
        }
        match chain.iter().find(|next| next.subject == at.issuer && next.der != at.der) {
            Some(next) => at = next,
            None => break,
        }
    }
    (!unread).then_some(false)
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
