//! What was removed is a gap in every search that it might have answered, whatever becomes of the process.

use std::path::Path;

use cavalcade_common::id::Incarnation;
use cavalcade_common::message::LogRecord;
use tokio_stream::StreamExt;

use super::super::{LogLimits, LogStore};
use super::*;

const LIMITS: LogLimits = LogLimits { budget: 1 << 30, keep_free: 0 };

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a name")
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + day * 86_400).expect("an instant")
}

fn line(seq: u64, of: &str, run: &str, day: i64) -> LogRecord {
    let run = Some(run).filter(|r| !r.is_empty()).map(|r| RunId::new(r).expect("an id"));
    let (step, stream) = ("4.6".to_owned(), "output".to_owned());
    LogRecord { seq, node: node(of), run, step, stream, at: at(day), text: format!("ERROR line {seq}"), gap: 0 }
}

/// A segment a day: two lines of `is-1`, one of `gw-1`.
async fn week(folder: &Path) {
    for day in 0..7 {
        let store = LogStore::open(folder, LIMITS).await.expect("opens");
        let seq = u64::try_from(day).expect("small") * 3;
        let run = if day < 2 { "run-a" } else { "run-b" };
        let batch = vec![line(seq + 1, "is-1", run, day), line(seq + 2, "is-1", "", day), line(seq + 3, "gw-1", run, day)];
        let host = HostId::new("h1").expect("a name");
        store.append(&host, &Incarnation("i".to_owned()), batch).await.expect("is stored");
        store.close().await;
    }
}

async fn gaps(store: &LogStore, query: Query) -> Vec<(String, u64)> {
    let page = store.search(query).await.expect("is read");
    let gaps = page.lines.iter().filter_map(|l| Some((l.address.to_string(), l.gap?.lines)));
    gaps.collect()
}

fn of(names: &[&str]) -> Query {
    Query { nodes: names.iter().map(|n| super::super::Glob::new(n)).collect(), ..Query::default() }
}

fn owned(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(address, lines)| ((*address).to_owned(), *lines)).collect()
}

#[tokio::test]
async fn what_was_removed_is_told_where_it_might_have_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    week(folder.path()).await;
    let store = LogStore::open(folder.path(), LIMITS).await.expect("opens");
    assert_eq!(gaps(&store, Query::default()).await, []);
    assert!(store.prune(at(4)).await.expect("prunes") > 0);
    let run = |name: &str| Some(RunId::new(name).expect("an id"));
    let check = async |store: &LogStore| {
        let all = [("is-1:1", 2), ("is-1:2", 4), ("gw-1:1", 2), ("is-1:5", 2), ("gw-1:3", 2)];
        assert_eq!(gaps(store, Query::default()).await, owned(&all));
        assert_eq!(gaps(store, of(&["gw-*"])).await, owned(&[("gw-1:1", 2), ("gw-1:3", 2)]));
        assert_eq!(gaps(store, Query { run: run("run-a"), ..of(&["is-1"]) }).await, owned(&[("is-1:1", 2)]));
        assert_eq!(gaps(store, Query { run: run("run-z"), ..Query::default() }).await, []);
        // Of the time after them nothing is missing.
        assert_eq!(gaps(store, Query { since: Some(at(4)), ..Query::default() }).await, []);
        assert_eq!(gaps(store, Query { since: Some(at(3)), ..of(&["gw-1"]) }).await, owned(&[("gw-1:3", 2)]));
        assert_eq!(gaps(store, Query { until: Some(at(0)), ..Query::default() }).await, []);
        // What is missing might have matched.
        let grep = Some(Query::pattern("nothing").expect("a pattern"));
        assert_eq!(gaps(store, Query { grep, steps: vec!["9.9".to_owned()], ..of(&["gw-1"]) }).await.len(), 2);
        assert_eq!(gaps(store, Query { without_removed: true, ..Query::default() }).await, []);
        // The newest lines are there; gaps come where those do not fill the page.
        let newest = |limit| Query { newest: true, limit, ..of(&["gw-1"]) };
        assert_eq!(gaps(store, newest(3)).await, []);
        assert_eq!(gaps(store, newest(4)).await, owned(&[("gw-1:3", 2)]));
        assert_eq!(gaps(store, newest(9)).await, owned(&[("gw-1:1", 2), ("gw-1:3", 2)]));
    };
    check(&store).await;
    store.close().await;
    let store = LogStore::open(folder.path(), LIMITS).await.expect("opens");
    check(&store).await;
}

#[tokio::test]
async fn pages_and_addresses_meet_each_gap_once() {
    let folder = tempfile::tempdir().expect("a folder");
    week(folder.path()).await;
    let store = LogStore::open(folder.path(), LIMITS).await.expect("opens");
    store.prune(at(4)).await.expect("prunes");
    let whole: Vec<String> =
        store.search(Query::default()).await.expect("is read").lines.iter().map(|l| l.address.to_string()).collect();
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = store.search(Query { limit: 1, after, ..Query::default() }).await.expect("is read");
        paged.extend(page.lines.iter().map(|l| l.address.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole);
    // An address that was removed leads to its gap, one that is there to its line.
    let from = |address: &str| Query { from: Some(address.parse().expect("an address")), ..of(&["gw-1"]) };
    let first = async |query: Query| store.search(query).await.expect("is read").lines[0].clone();
    assert_eq!(first(from("gw-1:3")).await.gap.map(|g| g.lines), Some(2));
    assert_eq!(first(from("gw-1:5")).await.text, "ERROR line 15");
    let mut followed = store.follow(from("gw-1:2")).await.expect("follows");
    let mut next = async || followed.next().await.expect("a record").expect("is read").gap.map(|g| g.by);
    assert_eq!([next().await, next().await, next().await], [Some(LostBy::Age), Some(LostBy::Age), None]);
}

/// The note is durable first: a process that ends behind it leaves segments that the next one removes.
#[tokio::test]
async fn a_removal_that_broke_off_is_ended_by_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    week(folder.path()).await;
    let found = super::super::catalog::recover(folder.path()).expect("is read");
    let mut note = Pruned::default();
    found.closed[..3].iter().for_each(|segment| note.take(folder.path(), segment));
    note.write(folder.path()).expect("is written");
    std::fs::remove_file(segment_path(folder.path(), found.closed[0].number)).expect("one is gone");
    let store = LogStore::open(folder.path(), LIMITS).await.expect("opens");
    let lines: u64 = gaps(&store, Query::default()).await.iter().map(|(_, lines)| lines).sum();
    let left = store.search(Query { without_removed: true, ..Query::default() }).await.expect("is read").lines.len();
    assert_eq!((lines, left), (9, 12), "each line is there or missing, none is both");
}

/// A note that is damaged or gone, and a segment that cannot be read, make the gaps coarse and not silent.
#[tokio::test]
async fn what_nobody_noted_is_missing_all_the_same() {
    for damage in ["gone", "damaged"] {
        let folder = tempfile::tempdir().expect("a folder");
        week(folder.path()).await;
        let store = LogStore::open(folder.path(), LIMITS).await.expect("opens");
        store.prune(at(4)).await.expect("prunes");
        store.close().await;
        match damage {
            "gone" => std::fs::remove_file(path(folder.path())).expect("is removed"),
            _ => std::fs::write(path(folder.path()), "{ \"through\": ").expect("is written"),
        }
        let store = LogStore::open(folder.path(), LIMITS).await.expect("opens");
        let run = Some(RunId::new("run-z").expect("an id"));
        let query = Query { run, since: Some(at(6)), ..Query::default() };
        assert_eq!(gaps(&store, query).await, owned(&[("gw-1:1", 4), ("is-1:1", 8)]), "{damage}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    week(folder.path()).await;
    let torn = segment_path(folder.path(), 1);
    let mut bytes = std::fs::read(&torn).expect("is there");
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xff);
    std::fs::write(&torn, bytes).expect("is written");
    let store = LogStore::open(folder.path(), LIMITS).await.expect("opens");
    store.prune(at(1)).await.expect("prunes");
    let lines: u64 = gaps(&store, Query::default()).await.iter().map(|(_, lines)| lines).sum();
    assert_eq!(lines, 3, "counted by the spans of its nodes");
}
