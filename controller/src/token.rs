//! One-time enrolment tokens: bound to a host, short-lived, stored hashed.
//!
//! The file holds SHA-256 of each secret (128 random bits, so that a plain hash cannot be turned back). A token is marked
//! as used, durably, before anything is issued for it: of two that race one wins, and a crash can lose a token but never
//! lets it be used twice.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{Digest, HostId};
use cavalcade_common::private_file::{create_private_dir, read_private, write_private};
use cavalcade_common::secret::SecretValue;
use cavalcade_common::token::{EnrolmentToken, SECRET_DIGITS};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

const FILE: &str = "tokens.json";
const SCHEMA: &str = "cavalcade.tokens/1";

/// Life of a token without `--ttl`.
pub const DEFAULT_LIFE: SignedDuration = SignedDuration::from_mins(15);
/// Longest life of a token.
pub const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a dead token is kept in the file, for people who ask what became of it.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Why a token is not accepted, or none can be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Unknown, used, expired or for another host. Which of them is logged here and told to nobody.
    #[error("the token is not accepted")]
    Refused,
    /// A life outside 1 s to [`LONGEST_LIFE`].
    #[error("a token lives between 1 second and 30 days")]
    Life,
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
    #[error("{} is no list of tokens", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why; `None` for another schema word.
        #[source]
        source: Option<serde_json::Error>,
    },
}

impl TokenError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Refused => codes::TOKEN_REFUSED,
            Self::Life => cavalcade_common::codes::operator::USAGE,
            Self::Store { .. } | Self::Form { .. } => codes::TOKEN_STORE,
        };
        match std::error::Error::source(self) {
            Some(source) => Fault::new(code, format!("{self}: {source}")),
            None => Fault::new(code, self.to_string()),
        }
    }
}

/// A token as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredToken {
    sha256: Digest,
    host: HostId,
    made_at: Timestamp,
    made_by: String,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    schema: String,
    tokens: Vec<StoredToken>,
}

/// The open tokens, durable in the state folder.
pub struct TokenStore {
    path: PathBuf,
    pin: Digest,
    stored: Mutex<Stored>,
}

impl fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TokenStore {
    /// Opens the tokens of a state folder. `pin` is that of the authority, for new tokens.
    ///
    /// # Errors
    /// [`TokenError::Store`], [`TokenError::Form`].
    pub fn open(state_dir: &Path, pin: Digest) -> Result<Self, TokenError> {
        let path = state_dir.join(FILE);
        let store = |source| TokenError::Store { path: path.clone(), source };
        create_private_dir(state_dir).map_err(store)?;
        let stored = match read_private(&path).map_err(store)? {
            None => Stored { schema: SCHEMA.to_owned(), tokens: Vec::new() },
            Some(text) => {
                let form = |source| TokenError::Form { path: path.clone(), source };
                let stored: Stored = serde_json::from_slice(&text).map_err(|error| form(Some(error)))?;
                if stored.schema != SCHEMA {
                    return Err(form(None));
                }
                stored
            }
        };
        Ok(Self { path, pin, stored: Mutex::new(stored) })
    }

    /// Makes one token for each host. Durable when it returns. Blocks on the disk.
    ///
    /// # Errors
    /// [`TokenError::Life`], [`TokenError::Store`]; no token was made then.
    pub fn create(
        &self,
        hosts: &[HostId],
        life: Option<SignedDuration>,
        by: &str,
        now: Timestamp,
    ) -> Result<Vec<EnrolmentToken>, TokenError> {
        let life = life.unwrap_or(DEFAULT_LIFE);
        if life < SignedDuration::from_secs(1) || life > LONGEST_LIFE {
            return Err(TokenError::Life);
        }
        let expires_at = now.checked_add(life).map_err(|_| TokenError::Life)?;
        self.change(|stored| {
            stored.tokens.retain(|one| one.expires_at.checked_add(KEPT).is_ok_and(|end| end > now));
            let tokens = hosts.iter().map(|host| {
                let secret = SecretValue::new(hex::encode(rand::random::<[u8; SECRET_DIGITS / 2]>()));
                let sha256 = Digest::of(secret.expose().as_bytes());
                let (host, made_by) = (host.clone(), by.to_owned());
                stored.tokens.push(StoredToken { sha256, host: host.clone(), made_at: now, made_by, expires_at, used_at: None });
                EnrolmentToken { host, secret, pin: self.pin.clone() }
            });
            Ok(tokens.collect())
        })
    }

    /// Uses a token up. `Ok` means: it was good for this host, and is durably used now. Blocks on the disk.
    ///
    /// # Errors
    /// [`TokenError::Refused`] without saying why; [`TokenError::Store`], after which the token is as it was.
    pub fn redeem(&self, host: &HostId, secret: &SecretValue, now: Timestamp) -> Result<(), TokenError> {
        let sha256 = Digest::of(secret.expose().as_bytes());
        self.change(|stored| {
            let why = match stored.tokens.iter_mut().find(|one| one.sha256 == sha256) {
                None => "unknown",
                Some(one) if one.used_at.is_some() => "used",
                Some(one) if one.expires_at <= now => "expired",
                Some(one) if &one.host != host => "for another host",
                Some(one) => {
                    one.used_at = Some(now);
                    return Ok(());
                }
            };
            tracing::warn!(%host, why, "an enrolment token was refused");
            Err(TokenError::Refused)
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Stored) -> Result<T, TokenError>) -> Result<T, TokenError> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = stored.clone();
        let given = change(&mut next)?;
        serde_json::to_vec_pretty(&next)
            .map_err(io::Error::from)
            .and_then(|text| write_private(&self.path, &text))
            .map_err(|source| TokenError::Store { path: self.path.clone(), source })?;
        *stored = next;
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    fn today() -> Timestamp {
        "2026-11-23T05:00:00Z".parse().expect("a moment")
    }

    fn host(name: &str) -> HostId {
        HostId::new(name).expect("a name")
    }

    fn store(dir: &Path) -> TokenStore {
        TokenStore::open(dir, Digest::of(b"ca")).expect("opens")
    }

    fn one(store: &TokenStore, life: Option<SignedDuration>, now: Timestamp) -> EnrolmentToken {
        store.create(&[host("am-1")], life, "jo", now).expect("is made").remove(0)
    }

    #[test]
    fn a_token_is_good_once_for_its_host_until_it_expires() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = today();
        let tokens = store(dir.path());
        let good = one(&tokens, None, now);
        let refused = |result| matches!(result, Err(TokenError::Refused));
        assert!(refused(tokens.redeem(&host("am-2"), &good.secret, now)), "another host");
        assert!(refused(tokens.redeem(&good.host, &SecretValue::new("0".repeat(32)), now)), "unknown");
        assert!(refused(tokens.redeem(&good.host, &good.secret, now + DEFAULT_LIFE)), "expired");
        assert!(tokens.redeem(&good.host, &good.secret, now).is_ok());
        assert!(refused(tokens.redeem(&good.host, &good.secret, now)), "used");
        let long = one(&tokens, Some(SignedDuration::from_hours(2)), now);
        assert!(tokens.redeem(&long.host, &long.secret, now + SignedDuration::from_mins(119)).is_ok());
        for life in [SignedDuration::ZERO, -DEFAULT_LIFE, LONGEST_LIFE * 2] {
            assert!(matches!(tokens.create(&[], Some(life), "jo", now), Err(TokenError::Life)));
        }
    }

    #[test]
    fn used_and_open_tokens_outlive_a_restart_and_the_file_holds_no_secret() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = today();
        let tokens = store(dir.path());
        let (used, open) = (one(&tokens, None, now), one(&tokens, None, now));
        tokens.redeem(&used.host, &used.secret, now).expect("is good");
        let text = std::fs::read_to_string(dir.path().join(FILE)).expect("is there");
        assert!(!text.contains(used.secret.expose()) && !text.contains(open.secret.expose()));
        let tokens = store(dir.path());
        assert!(tokens.redeem(&used.host, &used.secret, now).is_err());
        assert!(tokens.redeem(&open.host, &open.secret, now).is_ok());
    }

    #[test]
    fn of_two_that_race_one_wins() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = today();
        let tokens = Arc::new(store(dir.path()));
        for _ in 0..20 {
            let token = one(&tokens, None, now);
            let barrier = Arc::new(Barrier::new(4));
            let racers: Vec<_> = (0..4)
                .map(|_| {
                    let (tokens, token, barrier) = (Arc::clone(&tokens), token.clone(), Arc::clone(&barrier));
                    std::thread::spawn(move || {
                        barrier.wait();
                        tokens.redeem(&token.host, &token.secret, now).is_ok()
                    })
                })
                .collect();
            let won = racers.into_iter().map(|racer| racer.join().expect("ends")).filter(|won| *won).count();
            assert_eq!(won, 1);
        }
    }

    #[test]
    fn a_damaged_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        one(&store(dir.path()), None, today());
        let path = dir.path().join(FILE);
        write_private(&path, b"{").expect("is written");
        assert!(matches!(TokenStore::open(dir.path(), Digest::of(b"ca")), Err(TokenError::Form { .. })));
        assert_eq!(std::fs::read(&path).expect("is there"), b"{");
    }
}
