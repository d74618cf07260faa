//! Values of secrets that only the controller has: generated ones in a private file, those that persons gave in memory.
//!
//! Absences: no journal, no log, no answer to an operator holds a value. What goes out is a value for one offer, or a keyed
//! digest that pins it (10, rule 34).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cavalcade_common::codes::run as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::Digest;
use cavalcade_common::private_file::{read_private, write_private};
use cavalcade_common::secret::{SecretRef, SecretValue};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// Name of the file in the state folder.
const FILE: &str = "secrets.json";
const SCHEMA: &str = "cavalcade.secrets/1";
/// Bytes of the key under which values are pinned.
const KEY_BYTES: usize = 32;

/// The vault cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Reading or writing failed.
    #[error("{} cannot be read or written", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no file of ours. What stands in it is not shown.
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    /// The fleet file wants another length than the value has that was made.
    #[error("the secret `{name}` of fleet {fleet} was made of {found} random bytes, the plan wants {wanted}")]
    Length {
        /// The fleet.
        fleet: String,
        /// The secret.
        name: String,
        /// Bytes of the kept value.
        found: usize,
        /// Bytes that the plan wants.
        wanted: u32,
    },
}

impl VaultError {
    /// The fault that a person reads.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Io { source, .. } => Fault::new(codes::SECRET_STORE, format!("{self}: {source}")),
            Self::Damaged(_) | Self::Length { .. } => Fault::new(codes::SECRET_STORE, self.to_string()),
        }
    }
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: String,
    key: String,
    generated: BTreeMap<String, BTreeMap<String, String>>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.key.zeroize();
        self.generated.values_mut().flat_map(BTreeMap::values_mut).for_each(Zeroize::zeroize);
    }
}

type ByFleet = BTreeMap<String, BTreeMap<String, SecretValue>>;

struct Inner {
    key: SecretValue,
    generated: ByFleet,
    given: ByFleet,
}

/// The values. Debug shows none.
pub struct Vault {
    path: Option<PathBuf>,
    inner: Mutex<Inner>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("path", &self.path).finish_non_exhaustive()
    }
}

fn random(bytes: usize) -> SecretValue {
    let mut raw = Zeroizing::new(vec![0_u8; bytes]);
    rand::fill(raw.as_mut_slice());
    SecretValue::new(hex::encode(&*raw))
}

impl Vault {
    /// A vault without a file: what is in it ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        let inner = Inner { key: random(KEY_BYTES), generated: ByFleet::new(), given: ByFleet::new() };
        Self { path: None, inner: Mutex::new(inner) }
    }

    /// Opens the vault of a state folder; a new one is written with a key of its own.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn open(state_dir: &Path) -> Result<Self, VaultError> {
        let path = state_dir.join(FILE);
        let io = |source| VaultError::Io { path: path.clone(), source };
        let Some(bytes) = read_private(&path).map_err(io)?.map(Zeroizing::new) else {
            let new = Self { path: Some(path), ..Self::in_memory() };
            new.write(&new.lock())?;
            return Ok(new);
        };
        let damaged = || VaultError::Damaged(path.clone());
        let mut stored: Stored = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        if stored.schema != SCHEMA || stored.key.len() != 2 * KEY_BYTES {
            return Err(damaged());
        }
        let generated = std::mem::take(&mut stored.generated).into_iter();
        let generated = generated.map(|(fleet, of)| (fleet, of.into_iter().map(|(n, v)| (n, SecretValue::new(v))).collect()));
        let inner = Inner {
            key: SecretValue::new(std::mem::take(&mut stored.key)),
            generated: generated.collect(),
            given: ByFleet::new(),
        };
        Ok(Self { path: Some(path), inner: Mutex::new(inner) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, inner: &Inner) -> Result<(), VaultError> {
        let Some(path) = &self.path else { return Ok(()) };
        let of = |m: &BTreeMap<String, SecretValue>| m.iter().map(|(n, v)| (n.clone(), v.expose().to_owned())).collect();
        let stored = Stored {
            schema: SCHEMA.to_owned(),
            key: inner.key.expose().to_owned(),
            generated: inner.generated.iter().map(|(fleet, m)| (fleet.clone(), of(m))).collect(),
        };
        let io = |source| VaultError::Io { path: path.clone(), source };
        let text = serde_json::to_vec_pretty(&stored).map(Zeroizing::new).map_err(|e| io(io::Error::other(e)))?;
        write_private(path, &text).map_err(io)
    }

    /// Makes the generated secrets that a fleet does not have yet; they are on disk before this returns. One that is there
    /// stays for good: servers may hold data that only it can read.
    ///
    /// # Errors
    /// See [`VaultError`]; nothing was made then.
    pub fn make(&self, fleet: &str, refs: &BTreeMap<String, SecretRef>) -> Result<(), VaultError> {
        let mut inner = self.lock();
        let mut of_fleet = inner.generated.get(fleet).cloned().unwrap_or_default();
        let before = of_fleet.len();
        for (name, place) in refs {
            let SecretRef::Generate { bytes } = place else { continue };
            let value = of_fleet.entry(name.clone()).or_insert_with(|| random(*bytes as usize));
            let found = value.expose().len() / 2;
            if found != *bytes as usize {
                return Err(VaultError::Length { fleet: fleet.to_owned(), name: name.clone(), found, wanted: *bytes });
            }
        }
        if of_fleet.len() == before {
            return Ok(());
        }
        let old = inner.generated.insert(fleet.to_owned(), of_fleet);
        if let Err(error) = self.write(&inner) {
            match old {
                Some(old) => inner.generated.insert(fleet.to_owned(), old),
                None => inner.generated.remove(fleet),
            };
            return Err(error);
        }
        Ok(())
    }

    /// Keeps what a person gave, in memory.
    pub fn give(&self, fleet: &str, name: &str, value: SecretValue) {
        self.lock().given.entry(fleet.to_owned()).or_default().insert(name.to_owned(), value);
    }

    /// Drops what persons gave for a fleet: its run is over.
    pub fn forget(&self, fleet: &str) {
        self.lock().given.remove(fleet);
    }

    /// The value that this reference of a fleet stands for, where there is one.
    #[must_use]
    pub fn value(&self, fleet: &str, name: &str, place: &SecretRef) -> Option<SecretValue> {
        let inner = self.lock();
        let values = match place {
            SecretRef::Prompt(_) => &inner.given,
            SecretRef::Generate { .. } => &inner.generated,
            SecretRef::File(_) | SecretRef::Env(_) | SecretRef::Exec(_) => return None,
        };
        values.get(fleet)?.get(name).cloned()
    }

    /// What pins a value for a run: a digest under a key that is in this vault alone, so that the journal's readers
    /// cannot try passwords against it. The key is of fixed length, so that nothing can be taken for a part of it.
    #[must_use]
    pub fn pin(&self, fleet: &str, name: &str, value: &SecretValue) -> Digest {
        let inner = self.lock();
        let text = Zeroizing::new([inner.key.expose(), fleet, name, value.expose()].join("\0"));
        Digest::of(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refs(bytes: u32) -> BTreeMap<String, SecretRef> {
        BTreeMap::from([("key".to_owned(), SecretRef::Generate { bytes })])
    }

    fn key(vault: &Vault, fleet: &str) -> Option<String> {
        vault.value(fleet, "key", &SecretRef::Generate { bytes: 32 }).map(|v| v.expose().to_owned())
    }

    #[test]
    fn a_generated_secret_is_made_once_for_a_fleet_and_outlives_the_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let vault = Vault::open(folder.path()).expect("opens");
        assert_eq!(key(&vault, "emea"), None);
        vault.make("emea", &refs(32)).expect("is made");
        let made = key(&vault, "emea").expect("is there");
        assert!(made.len() == 64 && made.bytes().all(|b| b.is_ascii_hexdigit()), "not the hex text of 32 bytes");
        let pin = vault.pin("emea", "key", &SecretValue::new(made.clone()));
        drop(vault);
        let again = Vault::open(folder.path()).expect("opens");
        again.make("emea", &refs(32)).expect("is there already");
        assert_eq!(key(&again, "emea").as_ref(), Some(&made));
        assert_eq!(again.pin("emea", "key", &SecretValue::new(made.clone())), pin);
        again.make("apac", &refs(32)).expect("is made");
        assert_ne!(key(&again, "apac"), Some(made));
        let mode = std::fs::metadata(folder.path().join(FILE)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(again.make("emea", &refs(16)), Err(VaultError::Length { found: 32, wanted: 16, .. })));
    }

    #[test]
    fn what_a_person_gave_is_never_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let vault = Vault::open(folder.path()).expect("opens");
        vault.give("emea", "db", SecretValue::new("typed-by-a-person".to_owned()));
        vault.make("emea", &refs(32)).expect("is made");
        let text = std::fs::read_to_string(folder.path().join(FILE)).expect("is there");
        assert!(!text.contains("typed-by-a-person"));
        let place = SecretRef::Prompt("the DBA".to_owned());
        assert!(vault.value("emea", "db", &place).is_some());
        assert!(vault.value("apac", "db", &place).is_none());
        vault.forget("emea");
        assert!(vault.value("emea", "db", &place).is_none());
        assert!(!format!("{vault:?}").contains("typed"));
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_damaged_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(Vault::open(folder.path()).expect("opens"));
        let path = folder.path().join(FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("is set");
        assert!(matches!(Vault::open(folder.path()), Err(VaultError::Io { .. })));
        write_private(&path, b"{}").expect("is written");
        assert!(matches!(Vault::open(folder.path()), Err(VaultError::Damaged(_))));
    }
}
