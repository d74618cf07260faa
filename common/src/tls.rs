//! What both sides know about TLS: the one crypto provider, and how a certificate names its host.
//!
//! TLS 1.3 only, on every listener and from every client.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::id::{Digest, HostId, NameError};

/// Name of the ALPN protocol of gRPC.
pub const ALPN_H2: &[u8] = b"h2";

/// Start of the URI that names a host in its certificate.
const HOST_URI: &str = "cavalcade://host/";

/// Why a certificate names no host.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It is no X.509 certificate.
    #[error("the certificate cannot be read")]
    Certificate(#[source] x509_parser::nom::Err<x509_parser::error::X509Error>),
    /// Its alternative names cannot be read.
    #[error("the certificate's alternative names cannot be read")]
    Names(#[source] x509_parser::error::X509Error),
    /// It holds not exactly one host name of ours.
    #[error("the certificate names {0} hosts, exactly one is needed")]
    Count(usize),
    /// The host's name is outside the grammar.
    #[error("the certificate names a host outside the grammar of names")]
    Name(#[source] NameError),
}

/// The crypto provider of every connection.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The URI that stands for a host in its certificate.
#[must_use]
pub fn host_uri(host: &HostId) -> String {
    format!("{HOST_URI}{host}")
}

/// The host that a certificate names: exactly one URI `cavalcade://host/NAME`. The subject is for people and not read.
///
/// # Errors
/// See [`IdentityError`].
pub fn certificate_host(certificate: &CertificateDer<'_>) -> Result<HostId, IdentityError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(IdentityError::Certificate)?;
    let names = parsed.subject_alternative_name().map_err(IdentityError::Names)?;
    let mut hosts = Vec::new();
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        if let GeneralName::URI(uri) = name
            && let Some(host) = uri.strip_prefix(HOST_URI)
        {
            hosts.push(host);
        }
    }
    match hosts.as_slice() {
        [host] => HostId::new(*host).map_err(IdentityError::Name),
        _ => Err(IdentityError::Count(hosts.len())),
    }
}

/// Identity of one certificate: the digest of its DER form. The pin of a CA is the same.
#[must_use]
pub fn certificate_digest(certificate: &CertificateDer<'_>) -> Digest {
    Digest::of(certificate)
}
