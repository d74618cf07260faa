//! Calls to other servers, with any certificate: trust is the upgrade's business, not that of the stand-ins.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::http;

/// An address out of a URL such as `https://is:9443/services/` or `tcp://tm:5672`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether the scheme is `https` or `ssl`.
    pub tls: bool,
    /// Name or number.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads a URL; none when it names no port and its scheme has none.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let tls = matches!(scheme, "https" | "ssl");
        let authority = rest.split('/').next()?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (authority, if tls { 443 } else { 80 }),
        };
        Some(Self { tls, host: host.trim_matches(['[', ']']).to_owned(), port })
    }

    /// Opens a connection, at most 30 s.
    ///
    /// # Errors
    ///
    /// When nobody answers there.
    pub async fn connect(&self) -> anyhow::Result<TcpStream> {
        let connected = timeout(Duration::from_secs(30), TcpStream::connect((self.host.as_str(), self.port))).await;
        Ok(connected.context("no answer within 30 s")??)
    }

    /// Sends a request; `headers` are whole lines. At most 60 s.
    ///
    /// # Errors
    ///
    /// When nobody answers in HTTP.
    pub async fn ask(&self, method: &str, path: &str, headers: &[String], body: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n", self.host, self.port);
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let exchange = async {
            let stream = self.connect().await?;
            if !self.tls {
                return http::ask(stream, &head, body.as_bytes()).await;
            }
            let connector = TlsConnector::from(Arc::new(any_certificate()?));
            let stream = connector.connect(ServerName::try_from(self.host.clone())?, stream).await?;
            http::ask(stream, &head, body.as_bytes()).await
        };
        timeout(Duration::from_secs(60), exchange).await.context("no answer within 60 s")?
    }
}

fn any_certificate() -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_a_toml_are_addresses() {
        let address = |url| Address::of_url(url).map(|address| (address.tls, address.host, address.port));
        assert_eq!(address("https://is-1:9446/services/"), Some((true, "is-1".to_owned(), 9446)));
        assert_eq!(address("tcp://127.0.0.1:5672"), Some((false, "127.0.0.1".to_owned(), 5672)));
        assert_eq!(address("https://is.example.com/services/"), Some((true, "is.example.com".to_owned(), 443)));
        assert_eq!(address("is-1:9443"), None);
        assert_eq!(address("https://is-1:x/"), None);
    }
}
