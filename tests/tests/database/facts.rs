//! Assertions, sessions, refusals of a connection.

use std::time::Duration;

use cavalcade_agent::database::{DbError, incarnation, run_query};
use cavalcade_common::action::{Assert, Engine};
use cavalcade_common::codes::database as codes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::servers::{Db, ENGINES};

fn assert_on(says: &str) -> Assert {
    Assert { says: says.to_owned(), ..Assert::default() }
}

#[tokio::test]
async fn assertions_hold_or_say_what_was_found() {
    for engine in ENGINES {
        let db = Db::new(engine);
        db.sql("CREATE TABLE AM_API (API_UUID VARCHAR(50), N INTEGER); INSERT INTO AM_API VALUES (NULL, 3);");
        let asserts = [
            Assert { column: Some("am_api.api_uuid".to_owned()), ..assert_on("column") },
            Assert { column: Some("AM_API.VHOST".to_owned()), ..assert_on("no column") },
            Assert { table: Some("AM_REVISION".to_owned()), ..assert_on("no table") },
            Assert { select: Some("SELECT N FROM AM_API".to_owned()), equals: Some("3".to_owned()), ..assert_on("three") },
            Assert {
                select: Some("SELECT COUNT(*) FROM AM_API WHERE API_UUID IS NULL".to_owned()),
                equals: Some("0".to_owned()),
                ..assert_on("no nulls")
            },
            assert_on("nothing to look at"),
        ];
        let got = run_query(db.target(), &asserts, Duration::ZERO).await.expect("asks");
        assert_eq!(got.iter().map(|r| r.holds).collect::<Vec<_>>(), [true, false, false, true, false, false], "{engine:?}");
        assert_eq!(got[4].found.as_deref(), Some("expected 0, found 1"));
        // An assertion changes nothing.
        let writes = [Assert { select: Some("DELETE FROM AM_API".to_owned()), ..assert_on("a write") }];
        assert!(matches!(run_query(db.target(), &writes, Duration::ZERO).await, Err(DbError::Query { .. })));
        assert_eq!(db.sql("SELECT COUNT(*) FROM AM_API"), "1");
    }
}

#[tokio::test]
async fn foreign_sessions_are_seen_and_ours_is_not() {
    for engine in ENGINES {
        let db = Db::new(engine);
        db.sessions_once(<[_]>::is_empty).await;
        let other = Db::new(engine);
        // A session over TCP in the database, held open while we look. No look ever lists its own.
        let user = db.target().user.clone();
        let sleeping = db.occupied(&user).await;
        let seen = db.sessions_once(|seen| seen.len() == 1).await;
        assert!(seen[0].executing && seen[0].host.starts_with("127.0.0.1"), "{seen:?}");
        other.sessions_once(<[_]>::is_empty).await;
        sleeping.abort();
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    for engine in ENGINES {
        let mut target = Db::new(engine).target().clone();
        (target.socket, target.host) = (None, "127.0.0.1".to_owned());
        // A port that was free a moment ago.
        target.port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let e = incarnation(&target).await.expect_err("nobody listens");
        assert!(matches!(&e, DbError::Unreachable { .. }), "{e:?}");
        assert_eq!(e.fault().code, codes::DB_UNREACHABLE);
    }
}

/// MySQL's caching_sha2_password without TLS asks for an exchange by RSA, which is not linked: a refusal of its own.
#[tokio::test]
async fn a_sha2_login_without_tls_is_a_typed_refusal() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let server = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.expect("a client");
        // Handshake of protocol 10: version, thread, nonce, capabilities without TLS, utf8mb4, plugin.
        let mut hello = vec![10];
        hello.extend(b"8.0.36\0");
        hello.extend([1, 0, 0, 0]);
        hello.extend(b"12345678\0");
        hello.extend([0xff, 0xf7, 45, 2, 0, 0xff, 0xdf, 21]);
        hello.extend([0; 10]);
        hello.extend(b"123456789012\0caching_sha2_password\0");
        let length = u8::try_from(hello.len()).expect("short");
        peer.write_all(&[length, 0, 0, 0]).await.expect("sent");
        peer.write_all(&hello).await.expect("sent");
        let mut answer = [0; 512];
        let read = peer.read(&mut answer).await.expect("read");
        assert!(read > 0);
        // perform_full_authentication
        peer.write_all(&[2, 0, 0, 2, 1, 4]).await.expect("sent");
        // The client asks for the public key and gets one.
        let _asked = peer.read(&mut answer).await;
        let _sent = peer.write_all(b"\x05\0\0\x04\x01KEY\n").await;
        let _closed = peer.read(&mut answer).await;
    });
    let mut target = Db::new(Engine::Mysql).target().clone();
    (target.socket, target.host, target.port) = (None, "127.0.0.1".to_owned(), port);
    target.password = "secret".to_owned();
    let e = incarnation(&target).await.expect_err("no TLS");
    assert!(matches!(e, DbError::NeedsTls { .. }), "{e:?}");
    assert_eq!(e.fault().code, codes::DB_NEEDS_TLS);
    assert!(!format!("{e:?} {}", e.fault()).contains("secret"));
    server.await.expect("the server's part went as planned");
}
