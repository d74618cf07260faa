//! Identifiers as types: a node is never passed where a host is meant.
//!
//! Every name that a person, a peer or a file can supply goes through [`Name`]'s grammar, so that no id can ever act as
//! a path, a shell word or a terminal escape.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest accepted name, in bytes.
pub const MAX_NAME: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than [`MAX_NAME`] bytes.
    #[error("a name has at most {MAX_NAME} bytes, this one has {0}")]
    TooLong(usize),
    /// The text holds a character outside the grammar.
    #[error("a name starts with a letter or digit and goes on with letters, digits, `.`, `_` or `-`; {0:?} is not allowed")]
    Grammar(char),
}

/// Checks the grammar `[A-Za-z0-9][A-Za-z0-9._-]*`, without `..`.
///
/// # Errors
/// [`NameError`] says which rule was broken.
pub fn check_name(text: &str) -> Result<(), NameError> {
    let Some(first) = text.chars().next() else { return Err(NameError::Empty) };
    if text.len() > MAX_NAME {
        return Err(NameError::TooLong(text.len()));
    }
    if !first.is_ascii_alphanumeric() {
        return Err(NameError::Grammar(first));
    }
    if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return Err(NameError::Grammar(bad));
    }
    if text.contains("..") {
        return Err(NameError::Grammar('.'));
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads a name. Errors: see [`NameError`].
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                check_name(&text)?;
                Ok(Self(text))
            }
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Self::new(s)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(s: String) -> Result<Self, Self::Error> {
                Self::new(s)
            }
        }
        impl From<$name> for String {
            fn from(n: $name) -> String {
                n.0
            }
        }
    };
}

name_type!(
    /// One server of the fleet: one old home and one new home.
    NodeId
);
name_type!(
    /// One machine with one agent; it may serve several nodes. The certificate carries this name.
    HostId
);
name_type!(
    /// A stage of a recipe.
    StageId
);
name_type!(
    /// A step's name inside its stage.
    StepName
);
name_type!(
    /// One run of one plan.
    RunId
);

/// A step on one node: `3.2@is-1` is step 2 of stage 3 on node `is-1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StepKey {
    /// Number of the stage in the plan, from 1.
    pub stage: u32,
    /// Number of the step in its stage, from 1.
    pub step: u32,
    /// The node it runs on.
    pub node: NodeId,
}

/// A text that is no step key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no step: write STAGE.STEP@NODE, for example 3.2@is-1")]
pub struct StepKeyError(pub String);

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}@{}", self.stage, self.step, self.node)
    }
}

impl FromStr for StepKey {
    type Err = StepKeyError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || StepKeyError(s.chars().take(80).collect());
        let (number, node) = s.split_once('@').ok_or_else(bad)?;
        let (stage, step) = number.split_once('.').ok_or_else(bad)?;
        Ok(Self {
            stage: stage.parse().map_err(|_| bad())?,
            step: step.parse().map_err(|_| bad())?,
            node: NodeId::new(node).map_err(|_| bad())?,
        })
    }
}

impl TryFrom<String> for StepKey {
    type Error = StepKeyError;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<StepKey> for String {
    fn from(k: StepKey) -> String {
        k.to_string()
    }
}

/// One approved attempt of one step of one run. The agent's ledger and the journal are keyed by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The run.
    pub run: RunId,
    /// The step on its node.
    pub step: StepKey,
    /// From 1; a person's decision (retry, resolve) or a policy retry opens the next.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}", self.run, self.step, self.number)
    }
}

/// A text that is no attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no attempt: RUN/STAGE.STEP@NODE#NUMBER")]
pub struct AttemptIdError(pub String);

impl FromStr for AttemptId {
    type Err = AttemptIdError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || AttemptIdError(s.chars().take(120).collect());
        let (run, rest) = s.split_once('/').ok_or_else(bad)?;
        let (step, number) = rest.rsplit_once('#').ok_or_else(bad)?;
        Ok(Self {
            run: RunId::new(run).map_err(|_| bad())?,
            step: step.parse().map_err(|_| bad())?,
            number: number.parse().map_err(|_| bad())?,
        })
    }
}

impl AttemptId {
    /// A file-system safe form, for the attempt's folder: no separator can be in it, since every part obeys the
    /// grammar of names.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}_{}.{}_{}_{}", self.run, self.step.stage, self.step.step, self.step.node, self.number)
    }
}

/// Identity of an effect that must happen at most once: the recipe's stable name for it, with what it changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectKey(pub String);

/// Stands in an effect's key in front of the home that it changes, as the last part.
const OF_HOME: &str = "|home:";

impl EffectKey {
    /// The key of an effect: the recipe's name for it, the databases and the home (host, path) that it changes.
    #[must_use]
    pub fn new(effect: &str, databases: &[String], home: Option<(&HostId, &str)>) -> Self {
        let mut key = effect.to_owned();
        for database in databases {
            key.push('|');
            key.push_str(database);
        }
        if let Some((host, path)) = home {
            key.push_str(&format!("{OF_HOME}{host}:{path}"));
        }
        Self(key)
    }

    /// The key without the home: what was done to databases from one home is done, whatever home it is begun in again.
    /// An effect without databases is its home's alone.
    #[must_use]
    pub fn on_databases(&self) -> &str {
        match self.0.split_once(OF_HOME) {
            Some((key, _)) if key.contains('|') => key,
            Some(_) | None => &self.0,
        }
    }
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Number of a controller's term. Every start of a controller takes a new one; agents refuse older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// Number of a superseding plan inside a fleet's runs; agents refuse older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Generation(pub u64);

/// Random identity of an agent's ledger, made at enrolment only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub String);

/// Digest of an agent's ledger from its first record up to one report, 32 hex digits: two ledgers that give it for the same
/// report have the same past. Taken over the bytes as they lie in the file, so that it does not change with the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark(pub String);

/// SHA-256 of some content, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A text that is no SHA-256 in hex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no SHA-256: 64 hex digits are needed")]
pub struct DigestError(pub String);

impl Digest {
    /// Reads 64 hex digits, any case.
    ///
    /// # Errors
    /// [`DigestError`] when the text is anything else.
    pub fn new(text: &str) -> Result<Self, DigestError> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(DigestError(text.chars().take(80).collect()))
        }
    }

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(hex::encode(sha2::Sha256::digest(bytes)))
    }

    /// From a finished hasher.
    #[must_use]
    pub fn from_hasher(hasher: sha2::Sha256) -> Self {
        use sha2::Digest as _;
        Self(hex::encode(hasher.finalize()))
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, for screens.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(&s)
    }
}

impl From<Digest> for String {
    fn from(d: Digest) -> String {
        d.0
    }
}
