//! One HTTP request, one TCP connection: what gates and probes look at.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cavalcade_common::action::{HttpCheck, HttpMethod};
use cavalcade_common::secret::SecretValue;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{HttpAnswer, HttpRequest};

/// Most bytes of a body that are kept for a check.
const BODY_LIMIT: usize = 64 << 10;

/// Where systems keep the certificates that they trust.
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.into())
}

fn late(limit: Duration) -> io::Error {
    let limit = cavalcade_common::duration::format(limit);
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit}"))
}

/// One connection to `host:port`.
///
/// # Errors
/// Those of the connection; a limit that ran out.
pub(crate) async fn tcp_connect(address: &str, limit: Duration) -> io::Result<()> {
    match tokio::time::timeout(limit, TcpStream::connect(address)).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(late(limit)),
    }
}

/// One GET without redirects.
///
/// # Errors
/// Those of the URL, the connection and the protocol; a limit that ran out.
pub(crate) async fn http_get(check: &HttpCheck, limit: Duration) -> io::Result<HttpAnswer> {
    let request = HttpRequest {
        url: SecretValue::new(check.url.clone()),
        method: HttpMethod::Get,
        headers: Vec::new(),
        body: SecretValue::new(String::new()),
        insecure: check.insecure,
        most: BODY_LIMIT,
    };
    http_request(&request, limit).await
}

/// One request without redirects.
///
/// # Errors
/// Those of the URL, the connection and the protocol; a limit that ran out. None of them repeats the request.
pub(crate) async fn http_request(request: &HttpRequest, limit: Duration) -> io::Result<HttpAnswer> {
    match tokio::time::timeout(limit, asked(request)).await {
        Ok(answer) => answer,
        Err(_) => Err(late(limit)),
    }
}

async fn asked(request: &HttpRequest) -> io::Result<HttpAnswer> {
    let uri: Uri = request.url.expose().parse().map_err(|e| invalid(format!("this is no URL: {e}")))?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) | None => return Err(invalid("an http or https URL is needed")),
    };
    let authority = uri.authority().ok_or_else(|| invalid("the URL names no host"))?.clone();
    if authority.as_str().contains('@') {
        return Err(invalid("a URL with a user or password in it is refused"));
    }
    let written = written(request, &uri, authority.as_str())?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    if !tls {
        return exchange(stream, written, request.most).await;
    }
    let name = ServerName::try_from(host).map_err(|e| invalid(format!("the URL's host is none: {e}")))?;
    let config = if request.insecure { any_certificate()? } else { trusted_certificates()? };
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    exchange(stream, written, request.most).await
}

/// The request as it is sent.
fn written(request: &HttpRequest, uri: &Uri, authority: &str) -> io::Result<Request<Full<Bytes>>> {
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(authority).map_err(|_| invalid("the URL's host is none"))?);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("cavalcade-agent"));
    for (name, value) in &request.headers {
        let key = HeaderName::try_from(name.as_str()).map_err(|_| invalid(format!("{name:?} is no name of a header")))?;
        // A line break in a value would begin another header.
        let mut value = HeaderValue::from_str(value.expose())
            .map_err(|_| invalid(format!("the value of the header {name} holds a character that no header may have")))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let body = Full::new(Bytes::copy_from_slice(request.body.expose().as_bytes()));
    let mut written = Request::builder().method(request.method.as_str()).uri(path).body(body).map_err(io::Error::other)?;
    *written.headers_mut() = headers;
    Ok(written)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>, most: usize) -> io::Result<HttpAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = limited(response.into_body(), most).await?;
        Ok(HttpAnswer { status, body })
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // The connection may end before its last answer is read; an error of it shows in the exchange too.
        _ = &mut connection => exchange.await,
    }
}

async fn limited(mut body: impl Body<Data = Bytes, Error = hyper::Error> + Unpin, most: usize) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        let room = most - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if kept.len() == most {
            break;
        }
    }
    Ok(kept)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> io::Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(io::Error::other)
}

fn any_certificate() -> io::Result<ClientConfig> {
    let verifier = Arc::new(AnyCertificate { provider: provider() });
    Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn trusted_certificates() -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for file in TRUSTED {
        let Ok(certificates) = CertificateDer::pem_file_iter(file) else { continue };
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        if !roots.is_empty() {
            break;
        }
    }
    if roots.is_empty() {
        let why = format!("this host keeps no trusted certificates in {}", TRUSTED.join(", "));
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

/// Accepts every certificate, since the products ship a self-signed one. The handshake's signatures are still checked:
/// the peer has the key of the certificate that it shows.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

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
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn check(url: String) -> HttpCheck {
        HttpCheck { url, status: vec![200], body: None, insecure: true }
    }

    /// Answers every connection with this text, after it read the request's head.
    async fn answering(text: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                // A client that has read enough may be gone.
                let _ = stream.write_all(&text).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_status_and_a_body_come_back_and_the_body_is_cut() {
        let address = answering(b"HTTP/1.1 503 no\r\nContent-Length: 4\r\n\r\nbusy".to_vec()).await;
        let answer = http_get(&check(format!("http://{address}/health?x=1")), LIMIT).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (503, b"busy".as_slice()));

        let mut long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 3 * BODY_LIMIT).into_bytes();
        long.resize(long.len() + 3 * BODY_LIMIT, b'x');
        let address = answering(long).await;
        assert_eq!(http_get(&check(format!("http://{address}")), LIMIT).await.unwrap().body.len(), BODY_LIMIT);
    }

    #[tokio::test]
    async fn what_never_answers_runs_into_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let late = http_get(&check(format!("http://{address}/")), Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        tcp_connect(&address.to_string(), LIMIT).await.unwrap();
        // Bound, so that nobody else gets the port meanwhile, and not listening.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = closed.local_addr().unwrap();
        assert_eq!(tcp_connect(&address.to_string(), LIMIT).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn urls_that_are_none_are_refused() {
        for url in ["", "ftp://host/", "https://", "http://admin:pw@host/", "/path"] {
            let refused = http_get(&check(url.to_owned()), LIMIT).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{url}");
            assert!(!refused.to_string().contains("pw@"));
        }
    }
}
