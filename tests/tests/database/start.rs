//! The servers of these tests: a port that somebody takes at the last moment is no reason to fail.

use std::net::TcpListener;

use cavalcade_tests::database_server::{MariaDb, Postgres};

/// Ports of which the first is taken.
fn ports() -> (TcpListener, impl FnMut() -> anyhow::Result<u16>) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut next = taken.local_addr().expect("bound").port();
    let ports = move || {
        let port = next;
        next = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(port)
    };
    (taken, ports)
}

#[test]
fn a_server_whose_port_is_taken_is_started_on_another_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let (taken, mut free) = ports();
    let server = MariaDb::start_on(dir.path(), &mut free).expect("starts");
    assert_ne!(server.port, taken.local_addr().expect("bound").port());
    assert_eq!(server.sql("mysql", "SELECT 1").expect("answers").trim(), "1");
    let dir = tempfile::tempdir().expect("a folder");
    let (taken, mut free) = ports();
    let server = Postgres::start_on(dir.path(), &mut free).expect("starts");
    assert_ne!(server.port, taken.local_addr().expect("bound").port());
    assert_eq!(server.sql("postgres", "SELECT 1").expect("answers").trim(), "1");
}
