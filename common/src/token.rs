//! The text of an enrolment token: `cvl1:HOST:SECRET:PIN`.
//!
//! The secret opens one enrolment of this host; the pin is the digest of the controller's CA certificate, so that the
//! agent knows the right controller before it trusts anyone.

use std::fmt;

use crate::id::{Digest, HostId};
use crate::secret::SecretValue;

/// First word of a token; another form of token gets another one.
const FORM: &str = "cvl1";

/// Length of the secret in hex digits: 128 bits.
pub const SECRET_DIGITS: usize = 32;

/// A token. `Debug` hides the secret.
#[derive(Clone)]
pub struct EnrolmentToken {
    /// The host that it is for.
    pub host: HostId,
    /// The secret.
    pub secret: SecretValue,
    /// SHA-256 of the CA's certificate, DER.
    pub pin: Digest,
}

/// A text that is no token. Never holds the text: it may hold most of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no enrolment token of the form {FORM}:HOST:SECRET:PIN")]
pub struct TokenFormError;

impl EnrolmentToken {
    /// Reads a token; spaces and line ends around it are dropped.
    ///
    /// # Errors
    /// [`TokenFormError`] for everything else.
    pub fn read(text: &str) -> Result<Self, TokenFormError> {
        let mut parts = text.trim().split(':');
        let (Some(FORM), Some(host), Some(secret), Some(pin), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenFormError);
        };
        if secret.len() != SECRET_DIGITS || !secret.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(TokenFormError);
        }
        Ok(Self {
            host: HostId::new(host).map_err(|_| TokenFormError)?,
            secret: SecretValue::new(secret.to_owned()),
            pin: Digest::new(pin).map_err(|_| TokenFormError)?,
        })
    }

    /// The token's text, a secret.
    #[must_use]
    pub fn text(&self) -> SecretValue {
        SecretValue::new(format!("{FORM}:{}:{}:{}", self.host, self.secret.expose(), self.pin))
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken").field("host", &self.host).field("pin", &self.pin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_the_same_and_nothing_else_is() {
        let pin = Digest::of(b"ca");
        let text = format!("cvl1:am-host.1:{}:{pin}", "0123456789abcdef".repeat(2));
        let token = EnrolmentToken::read(&format!(" {text}\n")).expect("is a token");
        assert_eq!(token.text().expose(), text);
        assert!(!format!("{token:?}").contains("0123456789abcdef"));
        for bad in ["", "cvl1", &text[1..], &text[..text.len() - 1], &format!("{text}:x"), &text.replace("am-host.1", "../x")] {
            assert!(EnrolmentToken::read(bad).is_err(), "{bad}");
        }
    }
}
