//! Keystores of the old homes: keys that are strong enough, certificates that are still valid.

use cavalcade_common::finding::Severity;
use jiff::Timestamp;
use serde_json::Value;

use super::{Check, Looks, Seen};

/// An RSA key with fewer bits is weak.
const WEAK: u64 = 2048;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "keystores-readable",
        area: "keystores",
        severity: Severity::Warning,
        about: "The node's own keytool can read the old keystores, so that the plan knows of weak keys.",
        remedy: "see facts-readable for the reason; the password stands in the old deployment.toml or its vault",
        look: readable,
    },
    Check {
        name: "weak-key",
        area: "keystores",
        severity: Severity::Warning,
        about: "RSA keys of the old keystores have at least 2048 bits. A weaker one goes on as the internal key alone, and \
                the primary one is another.",
        remedy: "see which keystore the plan makes the primary one, and who trusts its certificate",
        look: weak,
    },
    Check {
        name: "certificate-expired",
        area: "keystores",
        severity: Severity::Warning,
        about: "No certificate of the old keystores has expired: clients would refuse the new servers.",
        remedy: "renew it before the upgrade",
        look: expired,
    },
];

fn readable(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    for (node, facts) in seen.old() {
        match facts.pointer("/old/keystores") {
            Some(Value::Array(_)) => looks.ok(),
            Some(Value::Null) => looks.find(&node.id, "keytool cannot tell what is in the keystores"),
            Some(_) | None => looks.unseen(&node.id, "facts.old.keystores"),
        }
    }
}

/// Each key of each old home that tells of some.
fn keys(seen: &Seen<'_>, mut say: impl FnMut(&str, &str, &Value)) {
    for (node, facts) in seen.old() {
        for key in facts.pointer("/old/keystores").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or("?");
            say(node.id.as_str(), &format!("{} in {}", text("alias"), text("path")), key);
        }
    }
}

fn weak(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    keys(seen, |node, name, key| {
        let rsa = key.get("algorithm").and_then(Value::as_str).is_some_and(|a| a.to_uppercase().contains("RSA"));
        let Some(bits) = looks.see(node, key, "/bits").and_then(Value::as_u64).filter(|_| rsa) else { return };
        looks.expect(bits >= WEAK, node, || format!("the RSA key {name} has {bits} bits"));
    });
}

fn expired(seen: &Seen<'_>, looks: &mut Looks<'_>) {
    let now = seen.input.now;
    keys(seen, |node, name, key| {
        let expires = looks.see_text(node, key, "/expires").and_then(|text| text.parse::<Timestamp>().ok());
        let Some(expires) = expires else { return };
        looks.expect(expires > now, node, || format!("the certificate of {name} expired at {expires}"));
    });
}
