//! One shape of error for everything a person meets: a stable code, one sentence, where, and what was changed.
//!
//! Libraries keep their own `thiserror` enums with `#[source]`; at the border to a person or to the wire they become a
//! [`Fault`]. The remedy belongs to the code, not to the message: `docs/errors` and `cavalcade explain` print it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stable error code, printed as `CVL-1107`. Numbers are never used twice; see [`crate::codes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CVL-{:04}", self.0)
    }
}

/// A place in a file that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file as the person named it.
    pub file: String,
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 where the line as a whole is meant.
    pub column: u32,
    /// Length of the marked text in characters; 0 where it is unknown.
    pub length: u32,
}

/// What went wrong, where, and what is known of its effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The stable code.
    pub code: Code,
    /// One sentence. Never holds a secret.
    pub message: String,
    /// Where in a file, if in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The node, if one is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The step, if one is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// A hint for this very case, beyond the code's remedy ("`user_store` exists").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Fault {
    /// A fault with a code and a sentence.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place: None, node: None, step: None, help: None }
    }
    /// Adds the place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
    /// Adds the node.
    #[must_use]
    pub fn on(mut self, node: impl fmt::Display) -> Self {
        self.node = Some(node.to_string());
        self
    }
    /// Adds the step.
    #[must_use]
    pub fn in_step(mut self, step: impl fmt::Display) -> Self {
        self.step = Some(step.to_string());
        self
    }
    /// Adds a hint.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(p) = &self.place {
            write!(f, " ({}:{}:{})", p.file, p.line, p.column)?;
        }
        if let Some(n) = &self.node {
            write!(f, " [node {n}]")?;
        }
        if let Some(s) = &self.step {
            write!(f, " [step {s}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// Several faults at once: everything found, not only the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }
    /// Whether none was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// `Ok(value)` if none was found, else all of them.
    ///
    /// # Errors
    /// The faults themselves.
    pub fn into_result<T>(self, value: T) -> Result<T, Faults> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl From<Fault> for Faults {
    fn from(f: Fault) -> Self {
        Self(vec![f])
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}
