//! `exchange` against a real TLS server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cavalcade_common::action::Action;
use cavalcade_common::codes::server as codes;
use cavalcade_common::report::Verdict;
use cavalcade_common::secret::{SecretBook, SecretValue};
use cavalcade_common::step::{Names, read_steps, secret_values};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::real_kit::{Machine, fault};
use super::{Context, of};

const TOKEN: &str = "eyJ4NXQiOiJ0b2tlbi1vZi10aGUtdGVzdCJ9.c2ln";
const SECRET: &str = "s3cr3t-of-the-client";

/// What the server was asked, whole.
type Asked = Arc<Mutex<Vec<String>>>;

/// A token endpoint, an introspection endpoint and a gateway, like those of the products. The first `refusals` requests
/// for a token are refused.
async fn server(refusals: usize) -> (String, Asked) {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], private).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let asked: Asked = Arc::default();
    let (seen, left) = (asked.clone(), AtomicUsize::new(refusals));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let Some(request) = request(&mut stream).await else { continue };
            let (status, body) = answer(&request, &left);
            seen.lock().unwrap().push(request);
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nLocation: {TOKEN}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (base, asked)
}

async fn request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<String> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(read).ok()?;
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).ok()?)
}

fn answer(request: &str, refusals: &AtomicUsize) -> (u16, String) {
    let line = request.lines().next().unwrap_or_default();
    let bearer = request.contains(&format!("authorization: Bearer {TOKEN}"));
    if line.starts_with("POST /oauth2/token ") {
        if refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            return (401, format!(r#"{{"error":"not yet, {TOKEN}"}}"#));
        }
        return (200, format!(r#"{{"access_token":"{TOKEN}","expires_in":3600}}"#));
    }
    match line {
        l if l.starts_with("POST /oauth2/introspect ") && request.ends_with(&format!("token={TOKEN}")) => {
            (200, r#"{"active":true}"#.to_owned())
        }
        l if l.starts_with("GET /pizza/menu ") && bearer => (200, "[\"margherita\"]".to_owned()),
        l if l.starts_with("GET /count ") => (200, r#"{"count":7,"pagination":{}}"#.to_owned()),
        l if l.starts_with("GET /wanted ") => (200, r#"[{"context":"/a/1"},{"context":"/b/1"}]"#.to_owned()),
        l if l.starts_with("GET /more ") => {
            (200, "<context>/b/1</context><context>/a/1</context><context>/t</context>".to_owned())
        }
        l if l.starts_with("GET /wanted?label=Production%20and%20Sandbox ") => (200, r#"[{"context":"/a/1"}]"#.to_owned()),
        l if l.starts_with("GET /wanted?label=Default ") => (200, r#"[{"context":"/b/1"}]"#.to_owned()),
        l if l.starts_with("GET /fewer ") => (200, "<context>/t</context><context>/b/1</context>".to_owned()),
        l if l.starts_with("GET /long ") => (200, "x".repeat(3 << 20)),
        l if l.starts_with("GET /moved ") => (302, String::new()),
        l if l.starts_with(&format!("GET /by/{} ", TOKEN.replace('=', "%3D"))) => (200, "here".to_owned()),
        _ => (404, format!("nothing here for {TOKEN}")),
    }
}

/// The step as it is written, read, with the secret in its place.
fn exchange(machine: &Machine, yaml: &str) -> (Context, Action) {
    let names: Names = serde_json::from_value(json!({
        "node": "is-1", "host": "h-1", "values": { "secrets": secret_values(["client"].into_iter()) },
    }))
    .unwrap();
    let list = read_steps(yaml.as_bytes(), "steps.yaml", &names).unwrap_or_else(|faults| panic!("{faults}"));
    let mut secrets = SecretBook::default();
    secrets.insert("client", SecretValue::new(format!("client-id:{SECRET}")));
    let mut cx = machine.context(1, false);
    cx.secrets = Arc::new(secrets);
    (cx, list.steps[0].action.clone())
}

fn written(base: &str, calls: &str, within: &str) -> String {
    format!("- step: verify\n  exchange:\n    within: {within}\n    calls:\n{}", calls.replace("BASE", base))
}

const TOKEN_CALL: &str = r#"
      - name: token
        url: "BASE/oauth2/token"
        method: POST
        headers: { Accept: application/json }
        basic: "{{ secrets.client }}"
        form: { grant_type: client_credentials, scope: "a b&c" }
        expect: '"access_token"'
        forbid: '"error"'
        capture: { token: '"access_token"\s*:\s*"([^"]+)"' }
"#;

const OTHER_CALLS: &str = r#"
      - name: introspection
        url: "BASE/oauth2/introspect"
        method: POST
        basic: { user: client-id, password: "{{ secrets.client }}" }
        form: { token: "$(token)" }
        expect: '"active"\s*:\s*true'
      - name: gateway
        url: "BASE/pizza/menu"
        headers: { Authorization: "Bearer $(token)" }
        status: [200, 201]
      - name: by-url
        url: "BASE/by/$(token)"
        expect: here
"#;

/// Nothing that was said tells the token or the client's secret.
fn tells_nothing(machine: &Machine, said: &str) {
    let progress: Vec<String> = machine.heard.progress.lock().unwrap().iter().map(|p| p.label.clone()).collect();
    let lines = format!("{:?}", machine.heard.lines.lock().unwrap());
    for hidden in [TOKEN, SECRET, "c2VjcmV0", "Y2xpZW50LWlkOn"] {
        assert!(!said.contains(hidden) && !lines.contains(hidden), "{hidden} is told: {said}");
        assert!(!progress.iter().any(|p| p.contains(hidden)), "{progress:?}");
    }
}

#[tokio::test]
async fn a_token_is_issued_and_used_by_later_calls_and_never_told() {
    let machine = Machine::new("");
    let (base, asked) = server(1).await;
    let (cx, action) = exchange(&machine, &written(&base, &format!("{TOKEN_CALL}{OTHER_CALLS}"), "30s"));
    let preview = of(&action).inspect(&cx).await.unwrap();
    assert_eq!(preview.verdict, Verdict::Opaque);
    assert!(asked.lock().unwrap().is_empty(), "a preview calls nobody");
    let applied = of(&action).apply(&cx).await.unwrap();
    assert!(!applied.changed);
    assert_eq!(applied.evidence.len(), 4);
    assert!(applied.evidence.iter().all(|e| e.holds), "{:?}", applied.evidence);
    assert!(applied.evidence[0].what.starts_with("token: POST https://localhost:"), "{:?}", applied.evidence);
    assert!(applied.evidence[3].what.ends_with("/by/$(token)"), "{:?}", applied.evidence);
    tells_nothing(&machine, &format!("{applied:?} {preview:?}"));
    let progress = machine.heard.progress.lock().unwrap().clone();
    assert!(progress.iter().any(|p| p.label.contains("status 401")), "the first try was refused: {progress:?}");
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 5, "the whole is tried again");
    assert!(asked[1].ends_with("grant_type=client_credentials&scope=a%20b%26c"), "{}", asked[1]);
    let basic = "authorization: Basic Y2xpZW50LWlkOnMzY3IzdC1vZi10aGUtY2xpZW50";
    assert!(asked[1].contains(basic) && asked[1].contains("accept: application/json"), "{}", asked[1]);
    assert!(asked[1].contains("content-type: application/x-www-form-urlencoded"), "{}", asked[1]);
}

#[tokio::test]
async fn what_does_not_hold_in_time_fails_and_tells_no_body() {
    let machine = Machine::new("");
    let (base, _) = server(0).await;
    let cases = [
        ("url: \"BASE/count\"\n        status: 201", "status 200, 27 bytes"),
        ("url: \"BASE/count\"\n        expect: '\"count\":8'", "does not match"),
        ("url: \"BASE/count\"\n        forbid: '\"count\":7'", "which it must not"),
        ("url: \"BASE/count\"\n        capture: { n: '\"total\":(\\d+)' }", "nothing in the body gives `n`"),
        ("url: \"BASE/long\"", "a body of more than 1048576 bytes"),
        ("url: \"BASE/moved\"", "status 302"),
        ("url: \"BASE/count\"\n        insecure: false", ""),
        ("url: \"BASE/nowhere/$(token)\"", "status 404"),
        ("url: \"BASE/x\"\n        headers: { X-Bad: \"a\\nb\" }", "no header may have"),
    ];
    for (call, says) in cases {
        let calls = format!("{TOKEN_CALL}\n      - name: bad\n        {call}\n");
        let (cx, action) = exchange(&machine, &written(&base, &calls, "1ms"));
        let (fault, changed) = fault(of(&action).apply(&cx).await);
        assert_eq!((fault.code, changed), (codes::GATE_CLOSED, false), "{call}: {fault}");
        assert!(fault.message.contains(says) && fault.message.starts_with("bad: "), "{call}: {fault}");
        tells_nothing(&machine, &fault.to_string());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_until_the_time_is_over() {
    let machine = Machine::new("");
    // Bound, so that nobody else gets the port meanwhile, and not listening.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("https://{}", closed.local_addr().unwrap());
    let (cx, action) = exchange(&machine, &written(&base, "      - { name: up, url: \"BASE/\" }\n", "2500ms"));
    let began = std::time::Instant::now();
    let (fault, _) = fault(of(&action).apply(&cx).await);
    assert_eq!(fault.code, codes::GATE_CLOSED);
    // The host's clock has steps of 10 ms.
    assert!(began.elapsed() >= std::time::Duration::from_millis(2480));
    assert!(!machine.heard.progress.lock().unwrap().is_empty(), "a try before the last one");
}

#[tokio::test]
async fn what_one_answer_lists_must_stand_in_the_other() {
    let machine = Machine::new("");
    let (base, _) = server(0).await;
    let calls = |wanted: &str, served: &str| {
        let wanted =
            format!("      - {{ name: hub, url: \"BASE/{wanted}\", collect: {{ wanted: '\"context\":\"([^\"]+)\"' }} }}\n");
        let served = format!("      - {{ name: gateway, url: \"BASE/{served}\", collect: {{ served: '<context>([^<]+)<' }} }}\n");
        let covers = "    covers: [{ what: APIs, wanted: wanted, among: served }]\n";
        written(&base, &format!("{wanted}{served}{covers}"), "1ms")
    };
    let (cx, action) = exchange(&machine, &calls("wanted", "more"));
    let applied = of(&action).apply(&cx).await.unwrap();
    assert_eq!((applied.evidence[2].what.as_str(), applied.evidence[2].found.as_str()), ("all APIs are there", "2 of 2"));
    for (wanted, served, says) in [
        ("wanted", "fewer", "all APIs are there: 1 of 2; missing: /a/1"),
        ("count", "more", "all APIs are there: no APIs were named that should be there"),
        ("wanted", "count", "all APIs are there: 0 of 2; missing: /a/1, /b/1"),
    ] {
        let (cx, action) = exchange(&machine, &calls(wanted, served));
        let (fault, _) = fault(of(&action).apply(&cx).await);
        assert_eq!((fault.code, fault.message.as_str()), (codes::GATE_CLOSED, says));
    }
}

#[tokio::test]
async fn a_call_is_made_for_each_text_and_collects_from_all() {
    let machine = Machine::new("");
    let (base, _) = server(0).await;
    let calls = r#"      - name: hub
        each: [Production and Sandbox, Default]
        url: "BASE/wanted?label=$(each)"
        collect: { wanted: '"context":"([^"]+)"' }
      - { name: gateway, url: "BASE/more", collect: { served: '<context>([^<]+)<' } }
    covers: [{ what: APIs, wanted: wanted, among: served }]
"#;
    let (cx, action) = exchange(&machine, &written(&base, calls, "1ms"));
    let evidence = of(&action).apply(&cx).await.unwrap().evidence;
    assert!(evidence[0].what.starts_with("hub (Production and Sandbox): GET "), "{evidence:?}");
    assert_eq!((evidence.len(), evidence[3].found.as_str()), (4, "2 of 2"));
}
