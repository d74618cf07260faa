//! Which certificates were issued to which host, and which of them are revoked.
//!
//! A host has one good certificate: the newest. A new enrolment revokes the earlier ones, so that a stolen token shows
//! itself by the real agent's refusal.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{Digest, HostId};
use cavalcade_common::private_file::{create_private_dir, read_private, write_private};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CA_DIR, LEAF_LIFE};

const FILE: &str = "certificates.json";
const SCHEMA: &str = "cavalcade.certificates/1";

/// The list cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The file cannot be read or written.
    #[error("{} cannot be used", .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is damaged, or of another version.
    #[error("{} is no list of certificates", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why; `None` for another schema word.
        #[source]
        source: Option<serde_json::Error>,
    },
}

impl CertificatesError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match std::error::Error::source(self) {
            Some(source) => Fault::new(codes::CA_STORE, format!("{self}: {source}")),
            None => Fault::new(codes::CA_STORE, self.to_string()),
        }
    }
}

/// One certificate of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// SHA-256 of the certificate, DER.
    pub sha256: Digest,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Who revoked it and why, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_why: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    schema: String,
    hosts: BTreeMap<HostId, Vec<Issued>>,
}

#[derive(Debug)]
struct Known {
    stored: Stored,
    revoked: BTreeSet<Digest>,
}

/// The list, durable in the authority's folder.
#[derive(Debug)]
pub struct Certificates {
    path: PathBuf,
    known: RwLock<Known>,
}

impl Certificates {
    /// Opens the list of a state folder; one that is not there yet is empty.
    ///
    /// # Errors
    /// See [`CertificatesError`].
    pub fn open(state_dir: &Path) -> Result<Self, CertificatesError> {
        let dir = state_dir.join(CA_DIR);
        let path = dir.join(FILE);
        let store = |source| CertificatesError::Store { path: path.clone(), source };
        create_private_dir(&dir).map_err(store)?;
        let stored = match read_private(&path).map_err(store)? {
            None => Stored { schema: SCHEMA.to_owned(), hosts: BTreeMap::new() },
            Some(text) => {
                let form = |source| CertificatesError::Form { path: path.clone(), source };
                let stored: Stored = serde_json::from_slice(&text).map_err(|error| form(Some(error)))?;
                if stored.schema != SCHEMA {
                    return Err(form(None));
                }
                stored
            }
        };
        let revoked = revoked_of(&stored);
        Ok(Self { path, known: RwLock::new(Known { stored, revoked }) })
    }

    /// Notes a new certificate of a host and revokes its earlier ones. Durable when it returns; call it before the
    /// certificate leaves the controller. Blocks on the disk.
    ///
    /// # Errors
    /// [`CertificatesError::Store`]; nothing changed then.
    pub fn issued(&self, host: &HostId, sha256: Digest, now: Timestamp) -> Result<(), CertificatesError> {
        self.change(|stored| {
            let list = stored.hosts.entry(host.clone()).or_default();
            revoke_all(list, None, now);
            list.push(Issued { sha256, issued_at: now, revoked_at: None, revoked_why: None });
            // What has run out long ago needs no entry: its certificate is refused by its dates.
            list.retain(|one| one.issued_at.checked_add(LEAF_LIFE * 2).is_ok_and(|end| end > now));
        })
    }

    /// Revokes every certificate of a host; gives how many were good before. Durable when it returns. Open connections
    /// are cut by [`crate::rpc::connections::Connections`]. Blocks on the disk.
    ///
    /// # Errors
    /// [`CertificatesError::Store`]; nothing changed then.
    pub fn revoke(&self, host: &HostId, why: &str, now: Timestamp) -> Result<usize, CertificatesError> {
        self.change(|stored| stored.hosts.get_mut(host).map_or(0, |list| revoke_all(list, Some(why), now)))
    }

    /// Whether a certificate is revoked.
    #[must_use]
    pub fn is_revoked(&self, sha256: &Digest) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).revoked.contains(sha256)
    }

    /// Hosts that ever got a certificate, with all of them, for `node list`.
    #[must_use]
    pub fn hosts(&self) -> BTreeMap<HostId, Vec<Issued>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).stored.hosts.clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Stored) -> T) -> Result<T, CertificatesError> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = known.stored.clone();
        let given = change(&mut next);
        serde_json::to_vec_pretty(&next)
            .map_err(io::Error::from)
            .and_then(|text| write_private(&self.path, &text))
            .map_err(|source| CertificatesError::Store { path: self.path.clone(), source })?;
        known.revoked = revoked_of(&next);
        known.stored = next;
        Ok(given)
    }
}

fn revoke_all(list: &mut [Issued], why: Option<&str>, now: Timestamp) -> usize {
    let good = list.iter_mut().filter(|one| one.revoked_at.is_none());
    let revoke = |one: &mut Issued| {
        one.revoked_at = Some(now);
        one.revoked_why = why.map(str::to_owned);
    };
    good.map(revoke).count()
}

fn revoked_of(stored: &Stored) -> BTreeSet<Digest> {
    let all = stored.hosts.values().flatten();
    all.filter(|one| one.revoked_at.is_some()).map(|one| one.sha256.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today() -> Timestamp {
        "2026-11-23T05:00:00Z".parse().expect("a moment")
    }

    #[test]
    fn the_newest_certificate_is_the_good_one_also_after_a_restart() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = today();
        let host = HostId::new("am-1").expect("a name");
        let (first, second) = (Digest::of(b"1"), Digest::of(b"2"));
        let list = Certificates::open(dir.path()).expect("opens");
        list.issued(&host, first.clone(), now).expect("is stored");
        assert!(!list.is_revoked(&first));
        list.issued(&host, second.clone(), now).expect("is stored");
        assert!(list.is_revoked(&first) && !list.is_revoked(&second));
        let list = Certificates::open(dir.path()).expect("opens");
        assert!(list.is_revoked(&first) && !list.is_revoked(&second));
        assert_eq!(list.revoke(&host, "alice: sold", now).expect("is stored"), 1);
        assert_eq!(list.revoke(&host, "bob: again", now).expect("is stored"), 0);
        let list = Certificates::open(dir.path()).expect("opens");
        assert!(list.is_revoked(&second));
        let why: Vec<_> = list.hosts()[&host].iter().map(|one| one.revoked_why.clone()).collect();
        assert_eq!(why, [None, Some("alice: sold".to_owned())]);
    }
}
