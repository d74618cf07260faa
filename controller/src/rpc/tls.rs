//! TLS of the listeners. TLS 1.3 only; no session is ever resumed, since a resumed session skips the certificate and
//! with it the check for revocation.

use std::sync::Arc;

use cavalcade_common::tls::{ALPN_H2, certificate_digest, certificate_host, provider};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::ca::certificates::Certificates;
use crate::ca::{Ca, ServerIdentity};

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// Certificate, key or authority are not usable.
    #[error("the listeners' certificate cannot be used")]
    Certificate(#[source] Error),
    /// The authority cannot verify clients.
    #[error("the authority cannot be used to verify agents")]
    Verifier(#[source] VerifierBuilderError),
}

/// TLS of the enrolment listener: the server alone shows a certificate, with the authority beside it for the pin.
///
/// # Errors
/// [`TlsSetupError::Certificate`].
pub fn enrolment(identity: &ServerIdentity) -> Result<Arc<ServerConfig>, TlsSetupError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsSetupError::Certificate)?
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(TlsSetupError::Certificate)?;
    Ok(finished(config))
}

/// TLS of the agents' listener: both sides show a certificate of the authority.
///
/// # Errors
/// See [`TlsSetupError`].
pub fn agents(ca: &Ca, identity: &ServerIdentity, certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().clone()).map_err(TlsSetupError::Certificate)?;
    let chain =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().map_err(TlsSetupError::Verifier)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsSetupError::Certificate)?
        .with_client_cert_verifier(Arc::new(AgentVerifier { chain, certificates }))
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(TlsSetupError::Certificate)?;
    Ok(finished(config))
}

fn finished(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// The usual verification, then: the certificate names a host, and is not revoked.
#[derive(Debug)]
struct AgentVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    certificates: Arc<Certificates>,
}

impl ClientCertVerifier for AgentVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        if certificate_host(end_entity).is_err() {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        if self.certificates.is_revoked(&certificate_digest(end_entity)) {
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
