//! Which certificates the agents' listener takes, and which it does not.

use std::path::Path;
use std::sync::Arc;

use cavalcade_agent::link::dial::{DialError, LinkConfig, connect};
use cavalcade_agent::link::identity::{IDENTITY_FILE, Identity};
use cavalcade_common::codes::link as codes;
use cavalcade_common::tls::{host_uri, provider};
use cavalcade_controller::ca::{Ca, HostRequest, LEAF_LIFE};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::site::{Site, address, dial, name, now, soon};

/// An agent's state folder with this key and certificate.
fn state(key: &KeyPair, certificate: &CertificateDer<'_>, ca: &Ca) -> TempDir {
    let state = tempfile::tempdir().expect("a folder");
    let file = serde_json::json!({
        "schema": "cavalcade.identity/1",
        "key": hex::encode(key.serialized_der()),
        "certificate": hex::encode(certificate),
        "ca": hex::encode(ca.certificate()),
    });
    cavalcade_common::private_file::write_private(&state.path().join(IDENTITY_FILE), file.to_string().as_bytes())
        .expect("is written");
    state
}

fn request(key: &KeyPair) -> HostRequest {
    let csr = CertificateParams::default().serialize_request(key).expect("a request");
    HostRequest::read(csr.der()).expect("is good")
}

/// The authority of a site, to sign what it never would.
fn issuer(state: &Path) -> Issuer<'static, KeyPair> {
    let text = std::fs::read_to_string(state.join("ca/authority.pem")).expect("is read");
    let key = KeyPair::from_pem(&text).expect("a key");
    let start = text.find("-----BEGIN CERTIFICATE").expect("a certificate");
    Issuer::from_ca_cert_pem(&text[start..], key).expect("an issuer")
}

fn crafted(site: &Site, usage: ExtendedKeyUsagePurpose, uris: &[&str]) -> (KeyPair, CertificateDer<'static>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![usage];
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("text"))).collect();
    let signed = params.signed_by(&key, &issuer(site.state.path())).expect("is signed");
    (key, signed.der().clone())
}

async fn refused(site: &mut Site, config: &LinkConfig, alert: AlertDescription) {
    match dial(config).await {
        Err(error @ DialError::Tls { .. }) => {
            assert_eq!(error.fault().code, codes::TLS_REFUSED);
            let DialError::Tls { source, .. } = error else { unreachable!("matched above") };
            assert_eq!(source, rustls::Error::AlertReceived(alert));
        }
        other => panic!("{other:?}"),
    }
    assert!(site.sessions.try_recv().is_err(), "the logic saw nothing of it");
}

#[tokio::test]
async fn only_good_certificates_of_this_authority_get_a_session() {
    let mut site = Site::new().await;
    let today = now();
    let day = SignedDuration::from_hours(24);
    let key = KeyPair::generate().expect("a key");
    let own = |site: &Site, at: Timestamp| {
        let certificate = site.desk.ca.issue_host(&request(&key), &name("am-1"), at).expect("is signed");
        site.config(state(&key, &certificate, &site.desk.ca).path())
    };
    let (good, expired, early) = (own(&site, today), own(&site, today - LEAF_LIFE - day), own(&site, today + day * 3));
    dial(&good).await.expect("a good one is taken");
    site.accepted().await;
    refused(&mut site, &expired, AlertDescription::CertificateExpired).await;
    // TLS has one alert for both.
    refused(&mut site, &early, AlertDescription::CertificateExpired).await;

    // Signed by another authority; the agent itself trusts the right one.
    let other = Site::new().await;
    let foreign = other.desk.ca.issue_host(&request(&key), &name("am-1"), today).expect("is signed");
    let foreign = site.config(state(&key, &foreign, &site.desk.ca).path());
    refused(&mut site, &foreign, AlertDescription::UnknownCA).await;
}

#[tokio::test]
async fn a_certificate_for_another_use_is_refused() {
    let mut site = Site::new().await;
    let uri = host_uri(&name("am-1"));
    let (key, certificate) = crafted(&site, ExtendedKeyUsagePurpose::ServerAuth, &[&uri]);
    let config = site.config(state(&key, &certificate, &site.desk.ca).path());
    refused(&mut site, &config, AlertDescription::UnsupportedCertificate).await;
}

#[tokio::test]
async fn a_certificate_names_exactly_one_host_inside_the_grammar() {
    let site = Site::new().await;
    let (good, other) = (host_uri(&name("am-1")), host_uri(&name("am-2")));
    let cases: [&[&str]; 6] = [
        &[],
        &["https://example"],
        &[&good, &other],
        &["cavalcade://host/../x"],
        &["cavalcade://host/"],
        &["cavalcade://host/a/b"],
    ];
    for uris in cases {
        let (key, certificate) = crafted(&site, ExtendedKeyUsagePurpose::ClientAuth, uris);
        // The agent refuses such an identity itself; the controller must not depend on that.
        assert!(Identity::load(state(&key, &certificate, &site.desk.ca).path()).is_err(), "{uris:?}");
        let alert = raw(&site, Some((key.into(), certificate))).await;
        assert_eq!(alert, Some(rustls::Error::AlertReceived(AlertDescription::AccessDenied)), "{uris:?}");
    }
    let (key, certificate) = crafted(&site, ExtendedKeyUsagePurpose::ClientAuth, &[&good]);
    assert_eq!(raw(&site, Some((key.into(), certificate))).await, None);
}

#[tokio::test]
async fn without_a_certificate_nothing_is_taken() {
    let site = Site::new().await;
    assert_eq!(raw(&site, None).await, Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)));
}

#[tokio::test]
async fn older_tls_is_refused() {
    let site = Site::new().await;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2")
        .with_root_certificates(roots(&site))
        .with_no_client_auth();
    for at in [site.agents, site.enrolment] {
        let tcp = TcpStream::connect(at).await.expect("connects");
        let server = ServerName::try_from("127.0.0.1").expect("a name");
        let error = TlsConnector::from(Arc::new(config.clone())).connect(server, tcp).await.expect_err("is refused");
        let error = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()).expect("a TLS error");
        assert_eq!(*error, rustls::Error::AlertReceived(AlertDescription::ProtocolVersion));
    }
}

#[tokio::test]
async fn an_agent_refuses_a_controller_of_another_authority() {
    let (site, other) = (Site::new().await, Site::new().await);
    let mut config = site.agent("am-1").await;
    config.address = address(other.agents);
    match connect(&config).await {
        Err(DialError::Tls { source, .. }) => assert!(matches!(source, rustls::Error::InvalidCertificate(_)), "{source:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_revoked_host_is_cut_at_once_and_stays_out() {
    let mut site = Site::new().await;
    let config = site.agent("am-1").await;
    let bystander = site.agent("am-2").await;
    let (_to, mut from) = dial(&config).await.expect("a session");
    let mut accepted = site.accepted().await;
    let (_to_two, mut from_two) = dial(&bystander).await.expect("a session");
    let accepted_two = site.accepted().await;
    assert_eq!(site.desk.connections.hosts(), [name("am-1"), name("am-2")]);
    let revoked = site.desk.revoke(&name("am-1"), "alice: sold", now()).expect("is revoked");
    assert_eq!((revoked.certificates, revoked.connections), (1, 1));
    assert_eq!(soon(from.recv()).await, None);
    assert_eq!(soon(accepted.from.recv()).await, None);
    match dial(&config).await {
        Err(error @ DialError::Revoked { .. }) => assert_eq!(error.fault().code, codes::REVOKED),
        other => panic!("{other:?}"),
    }
    let alive = cavalcade_common::message::ToAgent::Heartbeat { count: 9 };
    accepted_two.to.send(alive.clone()).await.expect("is sent");
    assert_eq!(soon(from_two.recv()).await, Some(alive), "others are not touched");
}

#[tokio::test]
async fn the_sweep_cuts_what_was_revoked_without_a_cut() {
    let mut site = Site::new().await;
    let config = site.agent("am-1").await;
    let (_to, mut from) = dial(&config).await.expect("a session");
    let _accepted = site.accepted().await;
    site.desk.certificates.revoke(&name("am-1"), "alice: sold", now()).expect("is revoked");
    let stop = tokio_util::sync::CancellationToken::new();
    let connections = Arc::clone(&site.desk.connections);
    let sweeping = tokio::spawn({
        let stop = stop.clone();
        async move { connections.keep_sweeping(stop).await }
    });
    assert_eq!(soon(from.recv()).await, None);
    stop.cancel();
    soon(sweeping).await.expect("ends");
    assert!(cavalcade_controller::rpc::connections::SWEEP <= std::time::Duration::from_secs(60));
}

fn roots(site: &Site) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(site.desk.ca.certificate().clone()).expect("a root");
    roots
}

/// A key with its certificate, as bare TLS takes them.
pub(super) type Shown = (Arc<KeyPair>, CertificateDer<'static>);

/// A good identity of this host, signed without enrolment.
pub(super) fn identity(site: &Site, host: &str) -> Shown {
    let key = KeyPair::generate().expect("a key");
    let certificate = site.desk.ca.issue_host(&request(&key), &name(host), now()).expect("is signed");
    (Arc::new(key), certificate)
}

/// Connects with bare TLS and begins HTTP/2.
pub(super) async fn begin(site: &Site, shown: Option<Shown>) -> TlsStream<TcpStream> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots(site));
    let mut config = match shown {
        Some((key, certificate)) => {
            let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
            builder.with_client_auth_cert(vec![certificate], key.into()).expect("an identity")
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(site.agents).await.expect("connects");
    let server = ServerName::try_from("127.0.0.1").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(server, tcp).await.expect("the server's half is good");
    // The write may fail already: the alert is read all the same.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.ok();
    stream
}

/// The alert that comes back, or none.
async fn raw(site: &Site, shown: Option<Shown>) -> Option<rustls::Error> {
    let mut first = [0; 9];
    match soon(begin(site, shown).await.read_exact(&mut first)).await {
        Ok(_) => None,
        Err(error) => Some(error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()).expect("a TLS error").clone()),
    }
}
