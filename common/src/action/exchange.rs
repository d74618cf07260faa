//! HTTP calls in order, as one action: what an earlier call was answered, later ones use.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DbTarget;
use crate::duration;

/// HTTP calls in order. All of them are made again from the first one until they hold or time is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The calls.
    pub calls: Vec<Call>,
    /// What a database says of a value that a call was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<ExchangeQuery>,
    /// Which collected values must be among which others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<Covers>,
    /// Whether its calls change something that stays: those of a hook do, unless they only ask.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changes: bool,
    /// How long to try.
    #[serde(with = "duration::text")]
    pub within: Duration,
}

/// Method of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET.
    #[default]
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl HttpMethod {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The word of the protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a call of this method only asks (RFC 9110, 9.2.1).
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }

    /// Whether a call of this method may have a body.
    #[must_use]
    pub fn has_body(self) -> bool {
        !self.is_safe()
    }
}

/// One call. URL, headers, form and body may hold `$(NAME)`: a value that an earlier call captured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its name, for evidence.
    pub name: String,
    /// Texts for which the call is made one after the other; `$(each)` stands for them. None: it is made once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<String>,
    /// `http://` or `https://` URL. A captured value is percent-encoded in it.
    pub url: String,
    /// Method.
    #[serde(default)]
    pub method: HttpMethod,
    /// Headers beside Host, Accept and User-Agent, which they may replace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// `USER:PASSWORD` of basic authentication, as a rule a secret marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<String>,
    /// Fields of a form, which is the body.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub form: BTreeMap<String, String>,
    /// The body; its type stands in `headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Accepted status codes.
    pub status: Vec<u16>,
    /// Regular expression that the answer's body must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// Regular expression that the answer's body must not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbid: Option<String>,
    /// By name: regular expression whose first group is the value, in the answer's body. Values are secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, String>,
    /// By name: regular expression whose first group is a value, at each of its matches in the answer's body. Such values are
    /// told in evidence; no call can send them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub collect: BTreeMap<String, String>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
}

/// A captured value that a database must confirm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExchangeQuery {
    /// Where.
    pub database: DbTarget,
    /// A SELECT; the first column of its first row counts, as text.
    pub select: String,
    /// Name of the captured value that it must equal.
    pub equals: String,
}

/// One answer must hold everything that another one asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covers {
    /// What is compared, for evidence: "APIs".
    pub what: String,
    /// Name of the collected values that must all be there; none at all does not hold.
    pub wanted: String,
    /// Name of the collected values among which they must be.
    pub among: String,
}

/// A text with `$(NAME)` in it, cut into literal parts and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'t> {
    /// As it stands.
    Literal(&'t str),
    /// Name of a captured value.
    Captured(&'t str),
}

/// The name that stands for the texts of a call's `each`.
pub const EACH: &str = "each";

/// Whether a captured value may have this name: letters, digits, `_`.
#[must_use]
pub fn is_capture_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The parts of a text. `$(` that is not followed by a name and `)` is literal.
#[must_use]
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let (mut literal, mut at) = (0, 0);
    while let Some(offset) = text[at..].find("$(") {
        let begin = at + offset;
        let rest = &text[begin + 2..];
        match rest.find(')').map(|end| &rest[..end]).filter(|name| is_capture_name(name)) {
            Some(name) => {
                if begin > literal {
                    found.push(Part::Literal(&text[literal..begin]));
                }
                found.push(Part::Captured(name));
                at = begin + 2 + name.len() + 1;
                literal = at;
            }
            None => at = begin + 2,
        }
    }
    if literal < text.len() {
        found.push(Part::Literal(&text[literal..]));
    }
    found
}

impl Call {
    /// All texts in which captured values may stand.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let one = [Some(&self.url), self.basic.as_ref(), self.body.as_ref()].into_iter().flatten();
        one.chain(self.headers.values()).chain(self.form.values()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_names_are_found_and_everything_else_is_literal() {
        use Part::{Captured, Literal};
        assert_eq!(parts("Bearer $(token)"), [Literal("Bearer "), Captured("token")]);
        assert_eq!(parts("$(a)$(b_2)x"), [Captured("a"), Captured("b_2"), Literal("x")]);
        assert_eq!(parts("$(a b) $( $(c)"), [Literal("$(a b) $( "), Captured("c")]);
        assert_eq!(parts("$("), [Literal("$(")]);
        assert!(parts("").is_empty());
    }
}
