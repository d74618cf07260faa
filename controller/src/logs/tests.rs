use std::time::Duration;

use cavalcade_common::id::{NodeId, RunId};
use tokio_stream::StreamExt;

use super::catalog::{segment_path, write_index};
use super::*;

const LIMITS: LogLimits = LogLimits { budget: 1 << 30, keep_free: 0 };

struct Bench {
    folder: tempfile::TempDir,
    store: LogStore,
}

async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = LogStore::open(folder.path(), LIMITS).await.unwrap();
    Bench { folder, store }
}

impl Bench {
    /// Ends the writer and opens the store again.
    async fn reopen(self, limits: LogLimits) -> Self {
        let Self { folder, store } = self;
        store.close().await;
        let store = LogStore::open(folder.path(), limits).await.unwrap();
        Self { folder, store }
    }

    async fn add(&self, batch: Vec<LogRecord>) -> u64 {
        self.store.append(&host(), &incarnation(), batch).await.unwrap()
    }

    /// The same where the clock is paused: it goes on by itself only while nothing blocks, and storing blocks here.
    async fn add_in_no_time(&self, batch: Vec<LogRecord>) {
        let (store, runtime) = (self.store.clone(), tokio::runtime::Handle::current());
        let add = move || runtime.block_on(store.append(&host(), &incarnation(), batch));
        tokio::task::spawn_blocking(add).await.unwrap().unwrap();
    }

    async fn find(&self, query: Query) -> Vec<String> {
        let page = self.store.search(query).await.unwrap();
        assert!(page.damaged.is_empty(), "{:?}", page.damaged);
        page.lines.iter().map(brief).collect()
    }
}

fn brief(line: &LogLine) -> String {
    match line.gap {
        Some(gap) => format!("{} gap {} {:?}", line.address, gap.lines, gap.by),
        None => format!("{} {}", line.address, line.lines().collect::<Vec<_>>().join("|")),
    }
}

fn host() -> HostId {
    HostId::new("h1").unwrap()
}

fn incarnation() -> Incarnation {
    Incarnation("inc-1".to_owned())
}

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::new(1_700_000_000 + second, 5).unwrap()
}

fn record(seq: u64, node: &str, text: &str) -> LogRecord {
    LogRecord {
        seq,
        node: NodeId::new(node).unwrap(),
        run: None,
        step: String::new(),
        stream: "wso2carbon.log".to_owned(),
        at: at(i64::try_from(seq).unwrap_or(0)),
        text: text.to_owned(),
        gap: 0,
    }
}

fn lines(seqs: std::ops::RangeInclusive<u64>) -> Vec<LogRecord> {
    seqs.map(|seq| record(seq, "is-1", &format!("line {seq}"))).collect()
}

#[tokio::test]
async fn lines_have_addresses_per_node_and_survive_restarts() {
    let bench = bench().await;
    let batch = vec![record(1, "is-1", "a\u{1b}[31m"), record(2, "is-2", ""), record(3, "is-1", "é\0")];
    assert_eq!(bench.add(batch).await, 3);
    let bench = bench.reopen(LIMITS).await;
    assert_eq!(bench.store.settled(&host(), &incarnation()), 3);
    assert_eq!(bench.add(vec![record(4, "is-1", "d")]).await, 4);
    let bench = bench.reopen(LIMITS).await;
    let page = bench.store.search(Query::default()).await.unwrap();
    let all: Vec<String> = page.lines.iter().map(brief).collect();
    assert_eq!(all, ["is-1:1 a\u{1b}[31m", "is-2:1 ", "is-1:2 é\0", "is-1:3 d"]);
    assert_eq!(page.lines.iter().map(|l| l.position).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((page.next, page.head), (None, 4));
    assert_eq!((page.lines[0].at, page.lines[0].seq, &page.lines[0].host), (at(1), 1, &host()));
    let json = serde_json::to_string(&page.lines[3]).unwrap();
    assert!(json.contains(r#""address":"is-1:3""#), "{json}");
    assert_eq!(serde_json::from_str::<LogLine>(&json).unwrap(), page.lines[3]);
}

#[tokio::test]
async fn what_is_sent_again_is_stored_once() {
    let bench = bench().await;
    assert_eq!(bench.add(lines(1..=5)).await, 5);
    assert_eq!(bench.add(lines(3..=7)).await, 7);
    assert_eq!(bench.add(lines(1..=2)).await, 7);
    assert_eq!(bench.add(Vec::new()).await, 7);
    let bench = bench.reopen(LIMITS).await;
    assert_eq!(bench.add(lines(6..=8)).await, 8);
    let wanted: Vec<String> = (1..=8).map(|n| format!("is-1:{n} line {n}")).collect();
    assert_eq!(bench.find(Query::default()).await, wanted);
    // Another ledger of the same host, and another host, count for themselves.
    let other = Incarnation("inc-2".to_owned());
    assert_eq!(bench.store.append(&host(), &other, lines(1..=1)).await.unwrap(), 1);
    assert_eq!(bench.store.append(&HostId::new("h2").unwrap(), &incarnation(), lines(1..=1)).await.unwrap(), 1);
    assert_eq!(bench.find(Query::default()).await.len(), 10);
}

#[tokio::test]
async fn every_missing_line_is_in_a_gap() {
    let bench = bench().await;
    let told = |seq, gap| LogRecord { gap, ..record(seq, "is-1", "x") };
    assert_eq!(bench.add(vec![told(3, 0), told(4, 0), told(9, 4), told(10, 7), told(20, 2)]).await, 20);
    let wanted = [
        "is-1:1 gap 2 Unexplained",
        "is-1:2 x",
        "is-1:3 x",
        "is-1:4 gap 4 Agent",
        "is-1:5 x",
        "is-1:6 gap 7 Agent",
        "is-1:7 x",
        "is-1:8 gap 9 Unexplained",
        "is-1:9 x",
    ];
    assert_eq!(bench.find(Query::default()).await, wanted);
    assert_eq!(bench.add(vec![told(u64::MAX, 0)]).await, u64::MAX);
    let gaps = Query { grep: Some(Query::pattern("no such text").unwrap()), level: Some(Level::Fatal), ..Query::default() };
    assert_eq!(bench.find(gaps).await.len(), 5, "what is missing might have matched");
}

#[tokio::test]
async fn each_condition_of_a_query_holds() {
    let bench = bench().await;
    let run = RunId::new("run-1").ok();
    let mut batch = vec![
        record(1, "is-1", "[2026-11-23 05:01:36,123]  INFO {a} - started"),
        record(2, "is-2", "[2026-11-23 05:01:36,123]  WARN {a} - slow"),
        record(3, "gw-1", "[2026-11-23 05:01:36,123] ERROR {a} - failed"),
        record(4, "gw-1", "plain started"),
        record(5, "is-1", "[2026-11-23 05:01:36,123] FATAL {a} - over"),
    ];
    (batch[1].step, batch[2].step) = ("4.6".to_owned(), "41.1".to_owned());
    (batch[3].run, batch[3].stream) = (run.clone(), "output".to_owned());
    bench.add(batch).await;
    let globs = |text: &str| vec![Glob::new(text)];
    let all = Query::default;
    let cases: [(Query, &[u64]); 16] = [
        (Query { nodes: globs("is-*"), ..all() }, &[1, 2, 5]),
        (Query { nodes: vec![Glob::new("is-2"), Glob::new("gw-?")], ..all() }, &[2, 3, 4]),
        (Query { nodes: globs("cp-*"), ..all() }, &[]),
        (Query { streams: globs("out*"), ..all() }, &[4]),
        (Query { steps: vec!["4".to_owned()], ..all() }, &[2]),
        (Query { steps: vec!["4.6".to_owned(), "41".to_owned()], ..all() }, &[2, 3]),
        (Query { run: run.clone(), ..all() }, &[4]),
        (Query { since: Some(at(3)), ..all() }, &[3, 4, 5]),
        (Query { until: Some(at(3)), ..all() }, &[1, 2]),
        (Query { since: Some(at(2)), until: Some(at(4)), ..all() }, &[2, 3]),
        (Query { grep: Query::pattern("start.d$").ok(), ..all() }, &[1, 4]),
        (Query { level: Some(Level::Warn), ..all() }, &[2, 3, 5]),
        (Query { level: Some(Level::Error), nodes: globs("gw-*"), ..all() }, &[3]),
        (Query { from: "gw-1:1".parse().ok(), ..all() }, &[3, 4, 5]),
        (Query { limit: 2, newest: true, ..all() }, &[4, 5]),
        (Query { limit: 1, newest: true, nodes: globs("is-*"), until: Some(at(5)), ..all() }, &[2]),
    ];
    for (query, wanted) in cases {
        let said = format!("{query:?}");
        let found: Vec<u64> = bench.store.search(query).await.unwrap().lines.iter().map(|l| l.position).collect();
        assert_eq!(found, wanted, "{said}");
    }
    for missing in ["gw-1:3", "gw-1:0", "nobody:1"] {
        let refused = bench.store.search(Query { from: missing.parse().ok(), ..all() }).await;
        assert!(matches!(refused, Err(LogError::NoLine(_))), "{missing}");
    }
    assert!(matches!(Query::pattern("(").map_err(|e| e.fault().code.0), Err(5012)));
}

const TRACE: [&str; 6] = [
    "[2026-11-23 05:01:36,123] ERROR {a} - failed",
    "java.lang.IllegalStateException: bad",
    "\tat a.b.C.d(C.java:1)",
    "Caused by: java.io.IOException: deep",
    "\t... 3 more",
    "[2026-11-23 05:01:37,123]  INFO {a} - goes on",
];

/// Two nodes write the same trace at the same time, line by line.
fn mixed_traces(first: u64) -> Vec<LogRecord> {
    let pairs = TRACE.iter().flat_map(|text| [("is-1", text), ("is-2", text)]);
    (first..).zip(pairs).map(|(seq, (node, text))| record(seq, node, text)).collect()
}

#[tokio::test]
async fn a_stack_trace_is_one_record_also_across_pages() {
    let bench = bench().await;
    bench.add(mixed_traces(1)).await;
    let mut after = None;
    let mut found = Vec::new();
    loop {
        let page = bench.store.search(Query { after, limit: 1, ..Query::default() }).await.unwrap();
        found.extend(page.lines);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let shape: Vec<_> = found.iter().map(|l| (l.address.to_string(), l.more.len(), l.level)).collect();
    let wanted =
        [("is-1:1", 4, Level::Error), ("is-2:1", 4, Level::Error), ("is-1:6", 0, Level::Info), ("is-2:6", 0, Level::Info)];
    assert_eq!(shape, wanted.map(|(a, n, l)| (a.to_owned(), n, Some(l))));
    assert_eq!(found[1].more, TRACE[1..5]);
    let deep = Query { grep: Query::pattern("deep").ok(), nodes: vec![Glob::new("is-2")], ..Query::default() };
    assert_eq!(bench.find(deep).await.len(), 1, "a pattern is found in any line of the record");
    let inside = Query { from: "is-2:3".parse().ok(), nodes: vec![Glob::new("is-2")], ..Query::default() };
    assert!(bench.find(inside).await[0].starts_with("is-2:1 "), "the record that holds the line");
}

/// The clock stands while lines are stored, however slow the disk is: a trace is torn apart only by what is said of it here.
#[tokio::test(start_paused = true)]
async fn a_follower_gets_what_becomes_durable_and_nothing_else() {
    let bench = bench().await;
    bench.add_in_no_time(lines(1..=3)).await;
    let mut now = bench.store.follow(Query::default()).await.unwrap();
    let mut node = bench.store.follow(Query { nodes: vec![Glob::new("is-2")], ..Query::default() }).await.unwrap();
    let mut back = bench.store.follow(Query { from: "is-1:2".parse().ok(), ..Query::default() }).await.unwrap();
    assert_eq!(brief(&back.next().await.unwrap().unwrap()), "is-1:2 line 2");
    // A record waits for the rest of its trace, and comes when that is there or does not come.
    assert_eq!(brief(&back.next().await.unwrap().unwrap()), "is-1:3 line 3");
    let batch = mixed_traces(4);
    let (first, second) = batch.split_at(5);
    bench.add_in_no_time(first.to_vec()).await;
    bench.add_in_no_time(second.to_vec()).await;
    for stream in [&mut now, &mut back] {
        for wanted in ["is-1:4", "is-2:1", "is-1:9", "is-2:6"] {
            let line = stream.next().await.unwrap().unwrap();
            assert_eq!((line.address.to_string().as_str(), line.more.len() % 4), (wanted, 0));
        }
    }
    assert_eq!(node.next().await.unwrap().unwrap().more.len(), 4);
    assert_eq!(node.next().await.unwrap().unwrap().address.to_string(), "is-2:6");
    bench.add_in_no_time(vec![record(16, "is-1", "next")]).await;
    assert_eq!(brief(&now.next().await.unwrap().unwrap()), "is-1:10 next");
    drop(bench);
    assert!(now.next().await.is_none(), "the stream ends with the store");
}

#[tokio::test]
async fn a_follower_that_begins_far_back_reads_all_segments_in_order() {
    let bench = bench().await;
    let text = "x".repeat(100 << 10);
    for seq in 1..=200 {
        bench.add(vec![record(seq, "is-1", &text)]).await;
    }
    assert!(bench.store.shared.catalog().segments.len() >= 3, "several segments are needed");
    let mut all = bench.store.follow(Query { after: Some(0), ..Query::default() }).await.unwrap();
    for seq in 1..=200 {
        assert_eq!(all.next().await.unwrap().unwrap().seq, seq);
    }
    let quiet = tokio::time::timeout(Duration::from_millis(50), all.next()).await;
    assert!(quiet.is_err(), "nothing more is there");
    let newest = Query { newest: true, limit: 150, ..Query::default() };
    let page = bench.store.search(newest).await.unwrap();
    let seqs: Vec<u64> = page.lines.iter().map(|l| l.seq).collect();
    assert_eq!(seqs.last(), Some(&200));
    assert!(seqs.is_sorted() && seqs.len() >= 60, "a page is bounded by its bytes: {}", seqs.len());
    let address = Query { from: "is-1:150".parse().ok(), limit: 1, ..Query::default() };
    assert_eq!(bench.store.search(address).await.unwrap().lines[0].seq, 150);
}

#[tokio::test]
async fn a_used_budget_gives_lines_up_with_a_gap_and_goes_on_when_there_is_room() {
    let small = LogLimits { budget: 20 << 10, keep_free: 0 };
    let bench = bench().await.reopen(small).await;
    let text = "y".repeat(1 << 10);
    for seq in 1..=40 {
        assert_eq!(bench.add(vec![record(seq, "is-1", &text)]).await, seq, "the agent may forget it");
    }
    assert!(bench.store.usage().stopped);
    assert!(bench.store.usage().used <= small.budget + 4096);
    let stored = bench.find(Query { grep: Query::pattern("y").ok(), ..Query::default() }).await;
    let kept = stored.len() as u64 - 1;
    assert_eq!(*stored.last().unwrap(), format!("is-1:{} gap 0 Budget", kept + 1), "one note, however many are given up");
    assert_eq!(bench.add(lines(30..=40)).await, 40, "what was given up stays given up");
    // The controller restarts with more room: the agent goes on where it was.
    let bench = bench.reopen(LIMITS).await;
    assert_eq!(bench.add(lines(41..=41)).await, 41);
    let last: Vec<String> = bench.find(Query { newest: true, limit: 2, ..Query::default() }).await;
    assert_eq!(last, [format!("is-1:{} gap {} Budget", kept + 2, 40 - kept), format!("is-1:{} line 41", kept + 3)]);
    assert!(!bench.store.usage().stopped);

    let none = LogLimits { budget: u64::MAX, keep_free: u64::MAX };
    let bench = bench.reopen(none).await;
    assert_eq!(bench.add(lines(42..=42)).await, 42);
    assert!(bench.store.usage().stopped, "the journal's room is not the log's");
}

#[tokio::test]
async fn what_was_given_up_is_not_stored_behind_its_gap_when_room_comes_back() {
    let small = LogLimits { budget: 20 << 10, keep_free: 0 };
    let mut bench = bench().await;
    let text = "y".repeat(6 << 10);
    for seq in 1..=3 {
        bench.add(vec![record(seq, "is-1", &text)]).await;
        bench = bench.reopen(small).await;
    }
    assert_eq!(bench.add(vec![record(4, "is-1", &text), record(5, "is-1", &text)]).await, 5);
    assert!(bench.store.usage().stopped);
    assert!(bench.store.prune(at(3)).await.unwrap() > 0);
    assert_eq!(bench.add(lines(4..=6)).await, 6);
    assert_eq!(bench.add(lines(5..=7)).await, 7);
    assert_eq!(bench.store.settled(&host(), &incarnation()), 7);
    let found = bench.find(Query { from: "is-1:4".parse().ok(), ..Query::default() }).await;
    assert_eq!(found, ["is-1:4 gap 0 Budget", "is-1:5 gap 2 Budget", "is-1:6 line 6", "is-1:7 line 7"]);
}

#[tokio::test]
async fn a_torn_tail_is_cut_at_every_byte_and_acked_lines_before_it_stay() {
    let bench = bench().await;
    bench.add(lines(1..=3)).await;
    let path = segment_path(bench.folder.path(), 1);
    let acked = std::fs::metadata(&path).unwrap().len();
    bench.add(lines(4..=5)).await;
    let whole = std::fs::read(&path).unwrap();
    let bench = bench.reopen(LIMITS).await;
    // Segments are read again where their index is missing; so the kept one is a segment that a crash left open.
    let index = path.with_extension("idx");
    drop(bench.store);
    for cut in acked..whole.len() as u64 {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(segment_path(folder.path(), 1), &whole[..usize::try_from(cut).unwrap()]).unwrap();
        let store = LogStore::open(folder.path(), LIMITS).await.unwrap();
        let settled = store.settled(&host(), &incarnation());
        assert!((3..5).contains(&settled), "cut at {cut}: {settled}");
        store.append(&host(), &incarnation(), lines(4..=6)).await.unwrap();
        let page = store.search(Query::default()).await.unwrap();
        let found: Vec<String> = page.lines.iter().map(brief).collect();
        assert_eq!(found, (1..=6).map(|n| format!("is-1:{n} line {n}")).collect::<Vec<_>>(), "cut at {cut}");
        assert!(page.damaged.is_empty());
    }
    assert!(index.exists(), "a start writes the index that a crash left out");
}

#[tokio::test]
async fn damage_in_a_closed_segment_is_named_and_the_rest_is_found() {
    let bench = bench().await;
    bench.add(lines(1..=5)).await;
    let bench = bench.reopen(LIMITS).await;
    bench.add(lines(6..=8)).await;
    let path = segment_path(bench.folder.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let page = bench.store.search(Query::default()).await.unwrap();
    assert!(matches!(&page.damaged[..], [LogError::Damaged { segment: 1, records: 1, .. }]), "{:?}", page.damaged);
    let found: Vec<u64> = page.lines.iter().map(|l| l.seq).collect();
    assert_eq!(found, [1, 2, 3, 4, 6, 7, 8]);
    let mut all = bench.store.follow(Query { after: Some(0), ..Query::default() }).await.unwrap();
    let mut damage = 0;
    let mut seqs = Vec::new();
    while seqs.len() < 7 {
        match all.next().await.unwrap() {
            Ok(line) => seqs.push(line.seq),
            Err(LogError::Damaged { .. }) => damage += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((damage, seqs), (1, found));
}

#[tokio::test]
async fn a_failed_write_acks_nothing_and_the_next_batch_goes_on() {
    let bench = bench().await;
    bench.add(lines(1..=2)).await;
    let next = segment_path(bench.folder.path(), 2);
    // The next segment cannot be made: a folder stands in its place.
    let bench = bench.reopen(LIMITS).await;
    std::fs::create_dir(&next).unwrap();
    let refused = bench.store.append(&host(), &incarnation(), lines(3..=4)).await;
    assert!(matches!(refused, Err(LogError::Group(_))), "{refused:?}");
    assert_eq!(bench.store.settled(&host(), &incarnation()), 2);
    std::fs::remove_dir(&next).unwrap();
    assert_eq!(bench.add(lines(3..=4)).await, 4);
    assert_eq!(bench.find(Query::default()).await.len(), 4);
}

#[tokio::test]
async fn old_segments_can_be_removed_and_numbers_go_on() {
    let mut bench = bench().await;
    for seq in 1..=4 {
        bench.add(lines(seq..=seq)).await;
        bench = bench.reopen(LIMITS).await;
    }
    assert!(bench.store.prune(at(3)).await.unwrap() > 0);
    assert_eq!(bench.find(Query::default()).await, ["is-1:1 gap 2 Age", "is-1:3 line 3", "is-1:4 line 4"]);
    assert!(bench.store.prune(at(1000)).await.unwrap() > 0);
    let bench = bench.reopen(LIMITS).await;
    assert_eq!(bench.add(lines(1..=5)).await, 5);
    let left = ["is-1:1 gap 3 Age", "is-1:4 line 4", "is-1:5 line 5"];
    assert_eq!(bench.find(Query::default()).await, left);
    assert_eq!(bench.find(Query { from: "is-1:2".parse().ok(), ..Query::default() }).await, left);
    let none = bench.store.search(Query { from: "is-2:1".parse().ok(), ..Query::default() }).await;
    assert!(matches!(none, Err(LogError::NoLine(_))));
}

#[tokio::test]
async fn only_one_process_writes() {
    let bench = bench().await;
    let second = LogStore::open(bench.folder.path(), LIMITS).await;
    assert!(matches!(second, Err(LogError::Locked(_))));
}

#[tokio::test]
async fn an_index_that_does_not_fit_is_made_again() {
    let bench = bench().await;
    bench.add(lines(1..=3)).await;
    let bench = bench.reopen(LIMITS).await;
    let right = bench.store.shared.catalog().segments[0].clone();
    let index = segment_path(bench.folder.path(), 1).with_extension("idx");
    for wrong in [&b"{"[..], b"", b"{\"summary\":1}"] {
        std::fs::write(&index, wrong).unwrap();
        let found = super::catalog::recover(bench.folder.path()).unwrap();
        assert_eq!((*found.closed[0]).clone(), *right);
    }
    let mut longer = (*right).clone();
    longer.bytes += 1;
    write_index(bench.folder.path(), &longer, &super::catalog::Tails::default()).unwrap();
    let found = super::catalog::recover(bench.folder.path()).unwrap();
    assert_eq!((*found.closed[0]).clone(), *right);
    assert_eq!(found.tails.position, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_agents_at_once_lose_nothing() {
    let bench = bench().await;
    let mut agents = tokio::task::JoinSet::new();
    for agent in 0..10 {
        let store = bench.store.clone();
        agents.spawn(async move {
            let host = HostId::new(format!("h{agent}")).unwrap();
            let node = format!("n{agent}");
            for first in (1..=200_u64).step_by(10) {
                let batch = (first..first + 10).map(|seq| record(seq, &node, "text")).collect();
                assert_eq!(store.append(&host, &incarnation(), batch).await.unwrap(), first + 9);
            }
        });
    }
    agents.join_all().await;
    let bench = bench.reopen(LIMITS).await;
    let page = bench.store.search(Query { limit: MAX_LIMIT, ..Query::default() }).await.unwrap();
    assert_eq!(page.lines.len(), 2000);
    for agent in 0..10 {
        let node = format!("n{agent}");
        let own = page.lines.iter().filter(|l| l.address.node.as_str() == node);
        assert!(own.map(|l| (l.address.line, l.seq)).eq((1..=200).map(|n| (n, n))), "{node}");
    }
}

/// The figure of docs/decisions/logs.md; run it alone, without other load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed() {
    const LINES: u64 = 500_000;
    const BATCH: u64 = 200;
    let bench = bench().await;
    let text =
        "TID: [-1234] [] [2026-11-23 05:01:36,123] []  INFO {org.wso2.carbon.core.internal.Startup} - a line of usual length";
    let begin = std::time::Instant::now();
    for first in (1..=LINES).step_by(usize::try_from(BATCH).unwrap()) {
        bench.add((first..first + BATCH).map(|seq| record(seq, "is-1", text)).collect()).await;
    }
    let stored = begin.elapsed();
    let begin = std::time::Instant::now();
    let none = Query { grep: Query::pattern("no such (text|word)").ok(), ..Query::default() };
    assert!(bench.find(none).await.is_empty());
    let searched = begin.elapsed();
    let begin = std::time::Instant::now();
    let tail = Query { newest: true, limit: 100, ..Query::default() };
    assert_eq!(bench.find(tail).await.len(), 100);
    let tailed = begin.elapsed();
    let rate = |time: Duration| LINES as f64 / time.as_secs_f64();
    println!("stored {:.0} lines/s (one agent, batches of {BATCH}, each synced)", rate(stored));
    println!("searched {:.0} lines/s (regular expression over {} MiB)", rate(searched), bench.store.usage().used >> 20);
    println!("newest 100 lines in {} ms", tailed.as_millis());
    assert!(rate(stored) > 10_000.0);
}
