//! Real handshakes with real certificates.

use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A server on 127.0.0.1 that presents a certificate with these names.
async fn server(names: &[&str], common_name: &str) -> String {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_after = rcgen::date_time_ymd(2031, 5, 6);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().expect("a key"))
        .expect("fits");
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.expect("binds"));
    let address = listener.local_addr().expect("has one").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client goes away as soon as it has seen the certificate.
            let _ = acceptor.accept(stream).await;
        }
    });
    address
}

/// A noisy machine may take its time.
const PATIENT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn certificates_are_seen_as_presented() {
    let own = server(&["is.example.com", "127.0.0.1"], "x").await;
    let other = server(&["is.example.com", "*.gw.example.com"], "127.0.0.1").await;
    let bare = server(&[], "localhost").await;
    let bare_by_name = bare.replace("127.0.0.1", "localhost");
    // Bound, so that nobody else gets the port meanwhile, and not listening.
    let bound = TcpSocket::new_v4().expect("a socket");
    bound.bind("127.0.0.1:0".parse().expect("an address")).expect("binds");
    let closed = bound.local_addr().expect("has one").to_string();
    let addresses = [own, other, bare, bare_by_name, closed];
    let found = gather_within(&addresses, None, PATIENT).await;
    let found = found.as_array().expect("a list");
    let of = |at: usize, key: &str| found[at][key].clone();
    assert_eq!(of(0, "names"), json!(["is.example.com", "127.0.0.1"]));
    assert_eq!((of(0, "matches"), of(0, "connected"), of(0, "problem")), (json!(true), json!(true), Value::Null));
    assert_eq!(of(0, "expires"), json!("2031-05-06T00:00:00Z"));
    assert_eq!(of(0, "trusted"), Value::Null, "nobody knows what this node trusts");
    let certificate = tls_peer::look(&addresses[0], PATIENT).await.chain;
    let trusts = async |anchors: &[Vec<u8>]| gather_within(&addresses[..2], Some(anchors), PATIENT).await;
    let (known, unknown) = (trusts(&certificate).await, trusts(&[]).await);
    assert_eq!((&known[0]["trusted"], &known[1]["trusted"]), (&json!(true), &json!(false)));
    assert_eq!(unknown[0]["trusted"], json!(false));
    assert_eq!((of(1, "matches"), of(1, "problem")), (json!(false), Value::Null), "a common name counts only alone");
    assert_eq!((of(2, "matches"), of(3, "matches"), of(3, "names")), (json!(false), json!(true), json!(["localhost"])));
    assert_eq!((of(4, "connected"), of(4, "matches")), (json!(false), json!(false)));
    assert!(of(4, "problem").is_string() && of(4, "expires").is_null());
    assert_eq!(of(4, "address"), json!(addresses[4]));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_until_the_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let at = silent.local_addr().expect("has one").to_string();
    let found = gather_within(&[at], None, Duration::from_secs(1)).await;
    assert_eq!((&found[0]["connected"], &found[0]["matches"], &found[0]["names"]), (&json!(true), &json!(false), &json!([])));
    assert_eq!(found[0]["problem"], json!("no answer within 1s"));
}

#[test]
fn names_stand_for_hosts_as_java_reads_them() {
    for (name, host, stands) in [
        ("IS.example.com", "is.Example.com.", true),
        ("*.example.com", "is.example.com", true),
        ("*.example.com", "a.is.example.com", false),
        ("*.example.com", "example.com", false),
        ("*.0.0.1", "127.0.0.1", false),
        ("::1", "0:0:0:0:0:0:0:1", true),
        ("localhost", "is", false),
    ] {
        assert_eq!(stands_for(name, host), stands, "{name} {host}");
    }
}
