//! The control stream: order, bounds, hostile messages, broken and half-open connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cavalcade_agent::link::dial::LinkConfig;
use cavalcade_common::id::NodeId;
use cavalcade_common::message::{Answer, FromAgent, Heartbeat, ToAgent};
use cavalcade_common::transport::{Keepalive, SESSION_QUEUE};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::site::{Site, Wanted, address, dial, name, soon};

fn beat(count: u64) -> FromAgent {
    FromAgent::Heartbeat(Heartbeat { count, running: 0, resident_kib: 0, unconfirmed: Vec::new() })
}

fn facts(bytes: usize) -> FromAgent {
    let facts = BTreeMap::from([(NodeId::new("is-1").expect("a name"), serde_json::Value::from("x".repeat(bytes)))]);
    FromAgent::Answer { id: 4, answer: Ok(Answer::Facts(facts)) }
}

#[tokio::test]
async fn messages_keep_their_order_also_around_a_large_one() {
    let mut site = Site::new().await;
    let (to, _from) = dial(&site.agent("am-1").await).await.expect("a session");
    let mut accepted = site.accepted().await;
    let sent: Vec<_> = (0..200).map(beat).chain([facts(5 << 20)]).chain((200..400).map(beat)).collect();
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            for message in sent {
                to.send(message).await.expect("is sent");
            }
        }
    });
    for message in sent {
        assert_eq!(soon(accepted.from.recv()).await, Some(message));
    }
    sending.await.expect("ends");
    assert_eq!(soon(accepted.from.recv()).await, None, "the agent dropped its end");
}

#[tokio::test]
async fn what_the_logic_said_last_still_arrives() {
    let mut site = Site::new().await;
    let (_to, mut from) = dial(&site.agent("am-1").await).await.expect("a session");
    let accepted = site.accepted().await;
    let refuse = ToAgent::Refuse { why: "another version".to_owned() };
    accepted.to.send(refuse.clone()).await.expect("is sent");
    drop(accepted);
    assert_eq!(soon(from.recv()).await, Some(refuse));
    assert_eq!(soon(from.recv()).await, None);
}

#[tokio::test]
async fn a_logic_that_stops_reading_makes_the_peer_wait_and_loses_nothing() {
    let mut site = Site::new().await;
    let (to, _from) = dial(&site.agent("am-1").await).await.expect("a session");
    let mut accepted = site.accepted().await;
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    const ALL: usize = 300;
    let sending = tokio::spawn({
        let sent = std::sync::Arc::clone(&sent);
        async move {
            for _ in 0..ALL {
                to.send(facts(60 << 10)).await.expect("is sent");
                sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    // Wait until the queue is full and nothing has moved for a second.
    let (mut before, mut still) = (0, 0);
    while before < SESSION_QUEUE || still < 5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = sent.load(std::sync::atomic::Ordering::SeqCst);
        still = if now == before { still + 1 } else { 0 };
        before = now;
    }
    assert!(before < ALL, "all {before} were taken although nobody read");
    for _ in 0..ALL {
        assert_eq!(soon(accepted.from.recv()).await, Some(facts(60 << 10)));
    }
    sending.await.expect("ends");
}

#[tokio::test]
async fn a_newer_session_of_the_same_host_ends_the_older_one_first() {
    let mut site = Site::new().await;
    let config = site.agent("am-1").await;
    let (_to, mut from) = dial(&config).await.expect("a session");
    let mut older = site.accepted().await;
    let redialled = tokio::spawn(async move { dial(&config).await });
    assert_eq!(soon(older.from.recv()).await, None, "the older session is told to end");
    assert_eq!(soon(from.recv()).await, None);
    drop(older);
    let (to, _from) = redialled.await.expect("ends").expect("a session");
    let mut newer = site.accepted().await;
    to.send(beat(1)).await.expect("is sent");
    assert_eq!(soon(newer.from.recv()).await, Some(beat(1)));
}

mod hostile {
    use cavalcade_proto::v1;
    use cavalcade_proto::v1::agent_link_client::AgentLinkClient;
    use tokio_stream::StreamExt;
    use tonic::Code;
    use tonic::transport::Endpoint;

    use super::*;

    /// Sends one raw message over good TLS: how the stream ends.
    async fn answer_to(site: &mut Site, message: v1::FromAgent) -> tonic::Status {
        let channel = raw_channel(site).await;
        let mut client = AgentLinkClient::new(channel);
        let outbound = tokio_stream::iter([message]).chain(tokio_stream::pending());
        let mut inbound = soon(client.session(outbound)).await.expect("a session").into_inner();
        let mut accepted = site.accepted().await;
        let ended = soon(inbound.message()).await.expect_err("is ended with a reason");
        assert_eq!(soon(accepted.from.recv()).await, None, "the logic saw nothing of it");
        ended
    }

    async fn raw_channel(site: &Site) -> tonic::transport::Channel {
        let state = tempfile::tempdir().expect("a folder");
        site.enrol(&site.token("evil"), state.path()).await.expect("is enrolled");
        let text = std::fs::read(state.path().join("identity.json")).expect("is read");
        let stored: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let part = |name: &str| hex::decode(stored[name].as_str().expect("text")).expect("hex");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(part("ca").into()).expect("a root");
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(part("key"));
        let mut tls = rustls::ClientConfig::builder_with_provider(cavalcade_common::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![part("certificate").into()], key.into())
            .expect("an identity");
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(site.agents).await.expect("connects");
        let server = rustls_pki_types::ServerName::try_from("127.0.0.1").expect("a name");
        let stream = tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls)).connect(server, tcp).await.expect("TLS");
        let mut once = Some(hyper_util::rt::TokioIo::new(stream));
        let connector = tower::service_fn(move |_| {
            std::future::ready(once.take().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)))
        });
        Endpoint::from_static("http://controller").connect_with_connector(connector).await.expect("HTTP/2")
    }

    #[tokio::test]
    async fn malformed_messages_end_the_session_with_a_code() {
        let mut site = Site::new().await;
        let missing = answer_to(&mut site, v1::FromAgent { message: None }).await;
        assert_eq!(missing.code(), Code::InvalidArgument);
        assert!(missing.message().starts_with("CVL-2010"), "{missing}");

        let attempt = v1::AttemptId { run: "r".to_owned(), stage: 1, step: 1, node: "n".to_owned(), number: 1 };
        let moment = v1::Instant { seconds: 0, nanos: 0 };
        let outcome = v1::Outcome { ending: 77, began: Some(moment), ended: Some(moment), ..Default::default() };
        let report = v1::SequencedReport {
            seq: 1,
            attempt: Some(attempt),
            mark: String::new(),
            report: Some(v1::sequenced_report::Report::Ended(Box::new(outcome))),
        };
        let unknown = v1::FromAgent { message: Some(v1::from_agent::Message::Report(Box::new(report))) };
        let unknown = answer_to(&mut site, unknown).await;
        assert!(unknown.message().contains("outcome.ending has the unknown value 77"), "{unknown}");
    }

    #[tokio::test]
    async fn an_oversized_message_ends_the_session() {
        let mut site = Site::new().await;
        let ask = v1::AskPermit { nonce: "x".repeat(300 << 10), attempt: None };
        let message = v1::FromAgent { message: Some(v1::from_agent::Message::AskPermit(ask)) };
        let ended = answer_to(&mut site, message).await;
        assert_ne!(ended.code(), Code::Ok, "{ended}");
        // The listener is as good as before.
        dial(&site.agent("am-1").await).await.expect("a session");
        assert_eq!(site.accepted().await.host, name("am-1"));
    }

    #[tokio::test]
    async fn methods_of_other_roles_are_denied() {
        let site = Site::new().await;
        let channel = raw_channel(&site).await;
        let mut enrolment = v1::enrolment_client::EnrolmentClient::new(channel.clone());
        let denied = enrolment.enrol(v1::EnrolRequest::default()).await.expect_err("is denied");
        assert_eq!(denied.code(), Code::PermissionDenied);
        let mut operator = v1::operator_client::OperatorClient::new(channel);
        let denied = operator.apply(v1::Json::default()).await.expect_err("is denied");
        assert_eq!(denied.code(), Code::PermissionDenied);
    }
}

/// Forwards bytes while `open` is true; then it holds both connections and forwards nothing: a half-open link.
async fn proxy(to: SocketAddr, open: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let at = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.expect("connects");
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            tokio::spawn(pipe(near_read, far_write, open.clone()));
            tokio::spawn(pipe(far_read, near_write, open.clone()));
        }
    });
    at
}

async fn pipe(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut open: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        open.wait_for(|open| *open).await.expect("the test goes on");
        let read = tokio::select! {
            biased;
            _ = open.wait_for(|open| !*open) => continue,
            read = from.read(&mut buffer) => read,
        };
        match read {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn half_open(keepalive: Keepalive) -> (Duration, Duration) {
    let mut site = Site::with(Wanted { keepalive, ..Wanted::default() }).await;
    let (switch, open) = watch::channel(true);
    let through = proxy(site.agents, open).await;
    let config = LinkConfig { address: address(through), ..site.agent("am-1").await };
    let (to, mut from) = dial(&config).await.expect("a session");
    let mut accepted = site.accepted().await;
    to.send(beat(1)).await.expect("is sent");
    assert_eq!(soon(accepted.from.recv()).await, Some(beat(1)));
    // Silence alone ends nothing: pings are answered. Pings without an answer would have ended it by now.
    tokio::time::sleep(keepalive.interval + keepalive.timeout + Duration::from_secs(1)).await;
    to.send(beat(2)).await.expect("is sent");
    assert_eq!(soon(accepted.from.recv()).await, Some(beat(2)));
    switch.send(false).expect("the proxy is there");
    let since = Instant::now();
    let agent = async {
        assert_eq!(from.recv().await, None);
        since.elapsed()
    };
    let controller = async {
        assert_eq!(accepted.from.recv().await, None);
        since.elapsed()
    };
    let noticed = tokio::time::timeout(Duration::from_secs(120), async { tokio::join!(agent, controller) });
    noticed.await.expect("is noticed")
}

#[tokio::test]
async fn both_sides_notice_a_half_open_link() {
    let keepalive = Keepalive { interval: Duration::from_secs(1), timeout: Duration::from_secs(5) };
    let (agent, controller) = half_open(keepalive).await;
    for noticed in [agent, controller] {
        assert!(noticed < Duration::from_secs(60), "{agent:?} {controller:?}");
    }
}

#[tokio::test]
#[ignore = "takes a minute of real time: the true keepalive"]
async fn both_sides_notice_a_half_open_link_within_25_s() {
    let (agent, controller) = half_open(Keepalive::default()).await;
    println!("noticed after {agent:?} (agent), {controller:?} (controller)");
    for noticed in [agent, controller] {
        assert!(noticed < Duration::from_secs(25), "{agent:?} {controller:?}");
    }
}

mod flood {
    use super::super::certificates::{begin, identity};
    use super::*;

    /// One HTTP/2 frame.
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    #[tokio::test]
    async fn a_flood_of_resets_ends_its_connection_and_nothing_else() {
        let mut site = Site::new().await;
        let config = site.agent("am-1").await;
        let mut stream = begin(&site, Some(identity(&site, "evil"))).await;
        let path = b"/cavalcade.v1.AgentLink/Session";
        // POST, http, and the path as a literal that is not indexed.
        let headers = [&[0x83, 0x86, 0x04, path.len() as u8], path.as_slice()].concat();
        let mut flood = Vec::new();
        for stream in (1..4000).step_by(2) {
            flood.extend(frame(1, 0x4, stream, &headers));
            flood.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
        }
        // The server may close before it took everything.
        stream.write_all(&flood).await.ok();
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.ok();
        let mut rest = answer.as_slice();
        let mut last = None;
        while let [a, b, c, kind, _flags, _s1, _s2, _s3, _s4, more @ ..] = rest {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            let Some((payload, after)) = more.split_at_checked(length) else { break };
            last = Some((*kind, payload.to_vec()));
            rest = after;
        }
        let (kind, payload) = last.expect("a frame");
        assert_eq!(kind, 7, "the last frame is GOAWAY");
        assert_eq!(payload[4..8], 11_u32.to_be_bytes(), "ENHANCE_YOUR_CALM");
        dial(&config).await.expect("others are served");
        while site.accepted().await.host != name("am-1") {}
    }

    #[tokio::test]
    async fn those_who_dawdle_before_their_handshake_hold_up_nobody() {
        let mut site = Site::new().await;
        let config = site.agent("am-1").await;
        let mut idle = Vec::new();
        for _ in 0..100 {
            idle.push(TcpStream::connect(site.agents).await.expect("connects"));
        }
        // The best of three: the machine may stand still in any one of them.
        let mut took = Duration::MAX;
        for _ in 0..3 {
            let since = Instant::now();
            let ended = dial(&config).await.expect("a session");
            site.accepted().await;
            took = took.min(since.elapsed());
            drop(ended);
        }
        assert!(took < Duration::from_secs(5), "{took:?}");
        drop(idle);
    }

    #[tokio::test]
    async fn one_host_has_a_few_connections_and_no_more() {
        let mut site = Site::new().await;
        let (config, evil) = (site.agent("am-1").await, identity(&site, "evil"));
        let mut open = Vec::new();
        let mut first = [0; 9];
        for _ in 0..8 {
            let mut stream = begin(&site, Some(evil.clone())).await;
            soon(stream.read_exact(&mut first)).await.expect("is served");
            open.push(stream);
        }
        let mut ninth = begin(&site, Some(evil.clone())).await;
        soon(ninth.read_exact(&mut first)).await.expect_err("is dropped");
        dial(&config).await.expect("other hosts are served");
        site.accepted().await;
        drop(open);
    }
}
