//! Answers against a real store.

use cavalcade_common::id::{HostId, Incarnation, NodeId};
use cavalcade_common::message::LogRecord;

use super::*;
use crate::logs::LogLimits;

const LIMITS: LogLimits = LogLimits { budget: 1 << 30, keep_free: 0 };

fn records(count: u64, bytes: usize) -> Vec<LogRecord> {
    let record = |seq| LogRecord {
        seq,
        node: NodeId::new("is-1").expect("an id"),
        run: None,
        step: String::new(),
        stream: "output".to_owned(),
        at: jiff::Timestamp::UNIX_EPOCH,
        text: "x".repeat(bytes),
        gap: 0,
    };
    (1..=count).map(record).collect()
}

async fn store(folder: &std::path::Path, batch: Vec<LogRecord>) -> LogStore {
    let store = LogStore::open(folder, LIMITS).await.expect("opens");
    let host = HostId::new("h-1").expect("an id");
    for part in batch.chunks(100) {
        store.append(&host, &Incarnation("one".to_owned()), part.to_vec()).await.expect("is stored");
    }
    store
}

async fn answers(store: &LogStore, request: LogsRequest) -> Vec<LogAnswer> {
    let answers: Vec<_> = lines(store, &State::default(), request).await.unwrap_or_else(|f| panic!("{f}")).collect().await;
    answers.into_iter().map(|a| serde_json::from_value(a.expect("an answer")).expect("its form")).collect()
}

fn addresses(answers: &[LogAnswer]) -> Vec<u64> {
    let of = |answer: &LogAnswer| match answer {
        LogAnswer::Line(line) => Some(line.address.line),
        LogAnswer::Note(_) => None,
    };
    answers.iter().filter_map(of).collect()
}

fn notes(answers: &[LogAnswer]) -> Vec<LogNote> {
    let of = |answer: &LogAnswer| match answer {
        LogAnswer::Line(_) => None,
        LogAnswer::Note(note) => Some(note.clone()),
    };
    answers.iter().filter_map(of).collect()
}

#[tokio::test]
async fn pages_that_are_full_by_their_bytes_are_not_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    // Far fewer records than a page counts, and more bytes than it holds.
    let store = store(folder.path(), records(300, 60_000)).await;
    let all = answers(&store, LogsRequest::default()).await;
    assert_eq!(addresses(&all), (1..=300).collect::<Vec<_>>());
    assert_eq!(notes(&all), []);
}

#[tokio::test]
async fn a_tail_that_is_too_large_is_cut_with_a_word_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path(), records(300, 60_000)).await;
    let tail = |n| LogsRequest { tail: Some(n), ..LogsRequest::default() };
    let newest = answers(&store, tail(200)).await;
    let shown = addresses(&newest).len();
    assert!(shown < 200 && addresses(&newest).last() == Some(&300), "{shown}");
    assert_eq!(notes(&newest), [LogNote::Cut { shown, wanted: 200 }]);
    let few = answers(&store, tail(20)).await;
    assert_eq!((addresses(&few), notes(&few)), ((281..=300).collect(), vec![]));
    assert_eq!(answers(&store, tail(0)).await.len(), 0);
    let Err(fault) = lines(&store, &State::default(), tail(20_000)).await else { panic!("is more than one answer holds") };
    assert_eq!(fault.code, codes::operator::USAGE);
    assert!(fault.message.contains("-n 20000") && fault.message.contains("10000"), "{fault}");
}

#[tokio::test]
async fn damage_is_told_once_and_the_rest_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = store(folder.path(), records(5, 10)).await;
    written.close().await;
    let again = LogStore::open(folder.path(), LIMITS).await.expect("opens");
    let host = HostId::new("h-1").expect("an id");
    let mut more = records(1500, 10);
    more.drain(..5);
    again.append(&host, &Incarnation("one".to_owned()), more).await.expect("is stored");
    let path = folder.path().join("0000000001.log");
    let mut bytes = std::fs::read(&path).expect("is there");
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("is written");
    for request in [LogsRequest::default(), LogsRequest { tail: Some(2000), ..LogsRequest::default() }] {
        let all = answers(&again, request).await;
        assert_eq!(addresses(&all).len(), 1499);
        assert!(matches!(&notes(&all)[..], [LogNote::Damage(what)] if what.contains("segment 1")), "{:?}", notes(&all));
    }
    let from = LogsRequest { from: Some("is-1:1".to_owned()), follow: true, ..LogsRequest::default() };
    let followed: Vec<_> =
        lines(&again, &State::default(), from).await.unwrap_or_else(|f| panic!("{f}")).take(1500).collect().await;
    let followed: Vec<LogAnswer> =
        followed.into_iter().map(|a| serde_json::from_value(a.expect("goes on behind it")).expect("its form")).collect();
    assert_eq!((addresses(&followed).len(), notes(&followed).len()), (1499, 1));
}
