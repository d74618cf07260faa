//! Logs and artifacts over their own connection.

use cavalcade_agent::link::data::{DataError, DataLink};
use cavalcade_common::codes::link as codes;
use cavalcade_common::id::{Digest, NodeId, RunId};
use cavalcade_common::message::LogRecord;
use jiff::Timestamp;

use super::site::{NO_ARTIFACT, Site, Wanted, dial, name, soon};

fn records(seqs: std::ops::RangeInclusive<u64>, text: usize) -> Vec<LogRecord> {
    let record = |seq| LogRecord {
        seq,
        node: NodeId::new("am-1a").expect("a name"),
        run: Some(RunId::new("r1").expect("a name")),
        step: "3.2".to_owned(),
        stream: "output".to_owned(),
        at: Timestamp::UNIX_EPOCH,
        text: format!("{seq} {}", "x".repeat(text)),
        gap: 0,
    };
    seqs.map(record).collect()
}

#[tokio::test]
async fn logs_arrive_whole_in_order_and_are_acked() {
    let site = Site::new().await;
    let data = DataLink::new(site.agent("am-1").await);
    assert_eq!(soon(data.ship(records(1..=3, 10))).await.expect("is shipped"), 3);
    // Far beyond the limit of one message.
    assert_eq!(soon(data.ship(records(4..=300, 20_000))).await.expect("is shipped"), 300);
    assert_eq!(soon(data.ship(Vec::new())).await.expect("nothing to do"), 0);
    let logs = site.store.logs.lock().await;
    let expected: Vec<_> = records(1..=3, 10).into_iter().chain(records(4..=300, 20_000)).collect();
    assert!(logs.iter().all(|(host, _)| *host == name("am-1")));
    assert_eq!(logs.iter().map(|(_, record)| record.clone()).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_broken_data_connection_is_made_anew() {
    let site = Site::new().await;
    let data = DataLink::new(site.agent("am-1").await);
    assert_eq!(soon(data.ship(records(1..=3, 10))).await.expect("is shipped"), 3);
    assert_eq!(site.desk.connections.cut(&name("am-1")), 1);
    let mut tries = 0;
    let acked = loop {
        tries += 1;
        match soon(data.ship(records(1..=5, 10))).await {
            Ok(acked) => break acked,
            Err(DataError::Dial(_) | DataError::Ended) if tries < 5 => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_eq!(acked, 5);
    assert_eq!(site.store.logs.lock().await.len(), 5, "what was acked is not stored twice");
}

#[tokio::test]
async fn records_out_of_order_are_refused() {
    let site = Site::new().await;
    let data = DataLink::new(site.agent("am-1").await);
    let mut twice = records(1..=2, 10);
    twice[1].seq = 1;
    match soon(data.ship(twice)).await {
        Err(DataError::Refused(fault)) => assert_eq!(fault.code, codes::WIRE),
        other => panic!("{other:?}"),
    }
    assert!(site.store.logs.lock().await.is_empty());
    assert_eq!(soon(data.ship(records(1..=2, 10))).await.expect("goes on"), 2);
}

#[tokio::test]
async fn an_artifact_goes_on_from_any_offset() {
    let artifact: Vec<u8> = (0..1_000_003_u32).map(|i| (i % 251) as u8).collect();
    let sha256 = Digest::of(&artifact);
    let site = Site::with(Wanted { artifact: artifact.clone(), ..Wanted::default() }).await;
    let data = DataLink::new(site.agent("am-1").await);
    // Breaks off in the middle, then goes on over a new connection.
    let mut got = Vec::new();
    let mut fetch = data.fetch(&sha256, 0).await.expect("begins");
    while got.len() < 300_000 {
        let chunk = soon(fetch.next()).await.expect("a chunk").expect("not the end");
        assert_eq!(chunk.offset, got.len() as u64);
        got.extend(chunk.bytes);
    }
    assert_eq!(fetch.size(), Some(artifact.len() as u64));
    site.desk.connections.cut(&name("am-1"));
    let broken = loop {
        match soon(fetch.next()).await {
            Ok(Some(chunk)) => got.extend(chunk.bytes),
            other => break other,
        }
    };
    assert!(matches!(broken, Err(DataError::Dial(_))), "{broken:?}");
    let mut fetch = data.fetch(&sha256, got.len() as u64).await.expect("goes on");
    while let Some(chunk) = soon(fetch.next()).await.expect("a chunk") {
        got.extend(chunk.bytes);
    }
    assert_eq!(Digest::of(&got), sha256);

    let mut at_end = data.fetch(&sha256, artifact.len() as u64).await.expect("begins");
    assert_eq!(soon(at_end.next()).await.expect("a chunk").expect("carries the size").bytes, b"");
    assert_eq!(soon(at_end.next()).await.expect("the end"), None);
    for (digest, offset, code) in
        [(&sha256, artifact.len() as u64 + 1, codes::ARTIFACT_STREAM), (&Digest::of(b"other"), 0, NO_ARTIFACT)]
    {
        match data.fetch(digest, offset).await {
            Err(DataError::Refused(fault)) => assert_eq!(fault.code, code),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn data_and_control_use_connections_of_their_own() {
    let mut site = Site::new().await;
    let config = site.agent("am-1").await;
    let (_to, _from) = dial(&config).await.expect("a session");
    let _accepted = site.accepted().await;
    let data = DataLink::new(config);
    soon(data.ship(records(1..=1, 1))).await.expect("is shipped");
    assert_eq!(site.desk.connections.cut(&name("am-1")), 2);
}
