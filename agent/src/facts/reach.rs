//! TLS handshakes with the servers that the new one must reach, and what their certificates say.

use core::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::trust;
use crate::host::tls_peer::{self, Peer};

/// One address, connection and handshake together.
const LIMIT: Duration = Duration::from_secs(3);
/// Handshakes at a time.
const TOGETHER: usize = 64;

/// What a certificate says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Certificate {
    /// Alternative names; the subject's common name where there are none, as Java reads it.
    names: Vec<String>,
    expires: Option<Timestamp>,
}

/// `[ { address, connected, names, matches, expires, trusted, problem } ]` in the order of the addresses. `anchors`: what
/// this node trusts, where that is known.
pub(super) async fn gather(addresses: &[String], anchors: Option<&[Vec<u8>]>) -> Value {
    gather_within(addresses, anchors, LIMIT).await
}

/// The same with this much time for each address.
async fn gather_within(addresses: &[String], anchors: Option<&[Vec<u8>]>, limit: Duration) -> Value {
    let looks = stream::iter(addresses.to_vec()).map(|address| async move {
        let peer = tls_peer::look(&address, limit).await;
        facts(&address, peer, anchors)
    });
    Value::Array(looks.buffered(TOGETHER).collect().await)
}

fn facts(address: &str, peer: Peer, anchors: Option<&[Vec<u8>]>) -> Value {
    let trusted = anchors.and_then(|anchors| trust::trusted(&peer.chain, anchors));
    let (certificate, unread) = match peer.chain.first().map(|own| read(own)) {
        None => (Certificate::default(), None),
        Some(Ok(certificate)) => (certificate, None),
        Some(Err(why)) => (Certificate::default(), Some(why)),
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_start_matches('[').trim_end_matches(']');
    json!({
        "address": address,
        "connected": peer.connected,
        "matches": certificate.names.iter().any(|name| stands_for(name, host)),
        "names": certificate.names,
        "expires": certificate.expires,
        "trusted": trusted,
        "problem": unread.or(peer.problem),
    })
}

fn read(der: &[u8]) -> Result<Certificate, String> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|_| "its certificate cannot be read".to_owned())?;
    let alternative = parsed.subject_alternative_name().map_err(|_| "its alternative names cannot be read".to_owned())?;
    let mut names: Vec<String> = alternative.iter().flat_map(|n| &n.value.general_names).filter_map(name).collect();
    if names.is_empty() {
        names.extend(parsed.subject().iter_common_name().filter_map(|cn| cn.as_str().ok()).map(str::to_owned));
    }
    let expires = Timestamp::from_second(parsed.validity().not_after.timestamp()).ok();
    Ok(Certificate { names, expires })
}

/// A name that a host can have.
fn name(general: &GeneralName<'_>) -> Option<String> {
    match general {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a certificate's name stands for a host. A star stands for exactly one label, and never for an address.
fn stands_for(name: &str, host: &str) -> bool {
    let (name, host) = (name.trim_end_matches('.').to_ascii_lowercase(), host.trim_end_matches('.').to_ascii_lowercase());
    if let Ok(address) = host.parse::<IpAddr>() {
        return name.parse() == Ok(address);
    }
    match name.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == domain),
        None => name == host,
    }
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
