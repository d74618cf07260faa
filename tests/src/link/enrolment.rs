//! Enrolment from token to certificate.

use std::os::unix::fs::PermissionsExt;

use cavalcade_agent::link::dial::DialError;
use cavalcade_agent::link::enrol::{EnrolError, enrol};
use cavalcade_agent::link::identity::{IDENTITY_FILE, Identity, LoadError};
use cavalcade_common::codes::link as codes;
use cavalcade_common::message::{FromAgent, Heartbeat, ToAgent};
use cavalcade_common::token::EnrolmentToken;
use cavalcade_controller::token::DEFAULT_LIFE;
use jiff::SignedDuration;

use super::site::{Site, Wanted, address, dial, name, now};

#[tokio::test]
async fn a_token_gives_a_host_its_certificate_and_a_session() {
    let mut site = Site::new().await;
    let state = tempfile::tempdir().expect("a folder");
    let dir = state.path().join("agent");
    let token = site.token("am-1");
    let mut ledger_made_without_identity = false;
    let at = address(site.enrolment);
    let host = enrol(&token, &at, &dir, |host| {
        assert_eq!(host, &name("am-1"));
        ledger_made_without_identity = !Identity::exists(&dir)?;
        Ok(())
    });
    assert_eq!(host.await.expect("is enrolled"), name("am-1"));
    assert!(ledger_made_without_identity, "the ledger comes before the identity");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&dir.join(IDENTITY_FILE)), 0o600);
    assert_eq!(mode(&dir), 0o700);

    let (to, mut from) = dial(&site.config(&dir)).await.expect("a session");
    let mut accepted = site.accepted().await;
    assert_eq!(accepted.host, name("am-1"));
    let heartbeat = FromAgent::Heartbeat(Heartbeat { count: 1, running: 2, resident_kib: 3, unconfirmed: Vec::new() });
    to.send(heartbeat.clone()).await.expect("is sent");
    assert_eq!(accepted.from.recv().await, Some(heartbeat));
    accepted.to.send(ToAgent::Heartbeat { count: 1 }).await.expect("is sent");
    assert_eq!(from.recv().await, Some(ToAgent::Heartbeat { count: 1 }));

    let again = site.enrol(&site.token("am-1"), &dir).await;
    assert!(matches!(again, Err(EnrolError::Already)));
}

#[tokio::test]
async fn a_failed_ledger_leaves_no_identity() {
    let site = Site::new().await;
    let state = tempfile::tempdir().expect("a folder");
    let full = |_: &_| Err(std::io::ErrorKind::StorageFull.into());
    let failed = enrol(&site.token("am-1"), &address(site.enrolment), state.path(), full).await;
    assert!(matches!(failed, Err(EnrolError::Store(_))));
    assert!(matches!(Identity::load(state.path()), Err(LoadError::Missing(_))));
}

#[tokio::test]
async fn used_expired_foreign_and_unknown_tokens_are_refused_with_one_and_the_same_answer() {
    let site = Site::new().await;
    let state = tempfile::tempdir().expect("a folder");
    let used = site.token("am-1");
    let enrolled = tempfile::tempdir().expect("a folder");
    site.enrol(&used, enrolled.path()).await.expect("is enrolled");
    let expired = site.token_for("am-1", None, now() - DEFAULT_LIFE - SignedDuration::from_secs(1));
    let mut foreign = site.token("am-2");
    foreign.host = name("am-1");
    let mut unknown = site.token("am-1");
    unknown.secret = EnrolmentToken::read(&format!("cvl1:am-1:{}:{}", "0".repeat(32), unknown.pin)).expect("a token").secret;
    let mut answers = Vec::new();
    for token in [used, expired, foreign, unknown] {
        match site.enrol(&token, state.path()).await {
            Err(EnrolError::Refused(fault)) => answers.push(fault),
            other => panic!("{other:?}"),
        }
    }
    assert!(answers.iter().all(|fault| *fault == answers[0]), "{answers:?}");
    assert_eq!(answers[0].code, codes::TOKEN_REFUSED);
    assert!(!Identity::exists(state.path()).expect("is read"));
}

#[tokio::test]
async fn of_two_agents_that_race_with_one_token_one_wins() {
    let site = Site::new().await;
    for _ in 0..5 {
        let token = site.token("am-1");
        let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (first, second) = tokio::join!(site.enrol(&token, one.path()), site.enrol(&token, other.path()));
        assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1, "{first:?} {second:?}");
    }
}

#[tokio::test]
async fn a_false_controller_never_sees_the_secret() {
    let (right, wrong) = (Site::new().await, Site::new().await);
    let state = tempfile::tempdir().expect("a folder");
    let token = right.token("am-1");
    match wrong.enrol(&token, state.path()).await {
        Err(error @ EnrolError::Dial(DialError::Tls { .. })) => assert_eq!(error.fault().code, codes::WRONG_CONTROLLER),
        other => panic!("{other:?}"),
    }
    right.enrol(&token, state.path()).await.expect("the token is still good");
}

#[tokio::test]
async fn a_controller_whose_certificate_lacks_the_dialled_name_is_refused() {
    let site = Site::with(Wanted { names: vec!["controller.example".to_owned()], ..Wanted::default() }).await;
    let state = tempfile::tempdir().expect("a folder");
    let refused = site.enrol(&site.token("am-1"), state.path()).await;
    assert!(matches!(refused, Err(EnrolError::Dial(DialError::Tls { .. }))), "{refused:?}");
}

#[tokio::test]
async fn an_address_with_many_refused_tokens_waits() {
    let site = Site::new().await;
    let state = tempfile::tempdir().expect("a folder");
    let mut foreign = site.token("am-2");
    foreign.host = name("am-1");
    for _ in 0..10 {
        assert!(matches!(site.enrol(&foreign, state.path()).await, Err(EnrolError::Refused(_))));
    }
    match site.enrol(&site.token("am-1"), state.path()).await {
        Err(EnrolError::Refused(fault)) => assert_eq!(fault.code, codes::ENROLMENT_BUSY),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_newer_enrolment_cuts_the_older_certificate_off() {
    let mut site = Site::new().await;
    let old = site.agent("am-1").await;
    let (_to, mut from) = dial(&old).await.expect("a session");
    let mut accepted = site.accepted().await;
    let new = site.agent("am-1").await;
    assert_eq!(super::site::soon(from.recv()).await, None, "the old session is cut");
    assert_eq!(super::site::soon(accepted.from.recv()).await, None);
    drop(accepted);
    assert!(matches!(dial(&old).await, Err(DialError::Revoked { .. })));
    dial(&new).await.expect("the new certificate is good");
    assert_eq!(site.accepted().await.host, name("am-1"));
}

#[tokio::test]
async fn nobody_listens() {
    let site = Site::new().await;
    // Bound, so that nobody else gets the port meanwhile, and not listening.
    let closed = tokio::net::TcpSocket::new_v4().expect("a socket");
    closed.bind("127.0.0.1:0".parse().expect("an address")).expect("binds");
    let gone = closed.local_addr().expect("an address");
    let state = tempfile::tempdir().expect("a folder");
    let refused = enrol(&site.token("am-1"), &address(gone), state.path(), |_| Ok(())).await;
    match refused {
        Err(error @ EnrolError::Dial(DialError::Connect { .. })) => assert_eq!(error.fault().code, codes::UNREACHABLE),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_identity_that_others_may_read_is_refused() {
    let site = Site::new().await;
    let state = tempfile::tempdir().expect("a folder");
    site.enrol(&site.token("am-1"), state.path()).await.expect("is enrolled");
    let file = state.path().join(IDENTITY_FILE);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("mode");
    assert!(matches!(Identity::load(state.path()), Err(LoadError::Read { .. })));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("mode");
    let text = std::fs::read_to_string(&file).expect("is read");
    for bad in [&text[..text.len() / 2], "{}", &text.replace("identity/1", "identity/2")] {
        std::fs::write(&file, bad).expect("is written");
        assert!(matches!(Identity::load(state.path()), Err(LoadError::Form)));
    }
    std::fs::write(&file, &text).expect("is written");
    Identity::load(state.path()).expect("is good again");
}
