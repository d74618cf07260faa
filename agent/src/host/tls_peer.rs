//! The certificate that a server presents. Nothing is trusted and nothing is sent: the handshake is made to look.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What was seen of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Whether it accepted the connection.
    pub(crate) connected: bool,
    /// Its certificate and those that it presents with it (DER), where it came so far.
    pub(crate) chain: Vec<Vec<u8>>,
    /// What went wrong.
    pub(crate) problem: Option<String>,
}

/// Connects to `host:port` and begins TLS, both together within `limit`.
pub(crate) async fn look(address: &str, limit: Duration) -> Peer {
    let shown = Arc::new(Shown::default());
    let mut connected = false;
    let result = tokio::time::timeout(limit, handshake(address, shown.clone(), &mut connected)).await;
    let problem = match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {}", cavalcade_common::duration::format(limit))),
    };
    let chain = std::mem::take(&mut *shown.chain.lock().unwrap_or_else(PoisonError::into_inner));
    Peer { connected, chain, problem }
}

async fn handshake(address: &str, shown: Arc<Shown>, connected: &mut bool) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    *connected = true;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_start_matches('[').trim_end_matches(']');
    // A name that TLS cannot send is left out, as Java does.
    let name = ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let provider = shown.provider.clone();
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(shown).with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(drop)
}

/// Keeps the certificates and says yes to everything: a key of 1024 bits, too, is to be seen.
#[derive(Debug)]
struct Shown {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<Vec<u8>>>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { provider: Arc::new(rustls::crypto::ring::default_provider()), chain: Mutex::default() }
    }
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = [end_entity].into_iter().chain(intermediates).map(|certificate| certificate.to_vec());
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = presented.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
