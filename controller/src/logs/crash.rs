//! kill -9 at random points: what was acked is there afterwards, once, and without a hole.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use cavalcade_common::id::{HostId, Incarnation, NodeId};
use cavalcade_common::message::LogRecord;

use super::{LogLimits, LogStore, Query};

const ENV: &str = "CAVALCADE_CRASH_LOGS";
const CHILD: &str = "logs::crash::child";
const KILLS: u32 = 15;
const LIMITS: LogLimits = LogLimits { budget: 1 << 30, keep_free: 0 };

fn agent() -> (HostId, Incarnation) {
    (HostId::new("h1").unwrap(), Incarnation("inc".to_owned()))
}

/// Sends batches of growing size, each line from the sequence that the store says is next.
#[tokio::test]
#[ignore = "the process that `acked_lines_survive_kill_9` starts and kills"]
async fn child() {
    let root = std::env::var_os(ENV).expect("started by acked_lines_survive_kill_9");
    let store = LogStore::open(Path::new(&root), LIMITS).await.unwrap();
    let (host, incarnation) = agent();
    let mut next = store.settled(&host, &incarnation) + 1;
    loop {
        let batch = (next..next + next % 300 + 1).map(|seq| LogRecord {
            seq,
            node: NodeId::new(if seq % 3 == 0 { "is-1" } else { "is-2" }).unwrap(),
            run: None,
            step: "3.2".to_owned(),
            stream: "output".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            text: format!("[2026] INFO line {seq} {}", "x".repeat(200)),
            gap: 0,
        });
        let acked = store.append(&host, &incarnation, batch.collect()).await.unwrap();
        next = acked + 1;
        let mut out = std::io::stdout().lock();
        writeln!(out, "acked {acked}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn acked_lines_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let (host, incarnation) = agent();
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ENV, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The first ack can follow the harness's "test NAME ... " on the same line.
        let mut acks = lines.map_while(Result::ok).filter_map(|l| l.rsplit_once("acked ")?.1.parse::<u64>().ok());
        let mut acked = acks.by_ref().take(rand::random_range(1..30)).last().expect("the child acks");
        std::thread::sleep(std::time::Duration::from_micros(rand::random_range(0..3000)));
        child.kill().unwrap();
        child.wait().unwrap();
        acked = acks.last().unwrap_or(acked);

        let store = LogStore::open(folder.path(), LIMITS).await.unwrap();
        let settled = store.settled(&host, &incarnation);
        assert!(settled >= acked, "kill {kill}: {acked} was acked, {settled} is left");
        let (mut after, mut seq, mut numbers) = (None, 0, [0, 0]);
        loop {
            let page = store.search(Query { after, ..Query::default() }).await.unwrap();
            assert!(page.damaged.is_empty(), "kill {kill}: {:?}", page.damaged);
            for line in &page.lines {
                seq += 1;
                let number = &mut numbers[usize::from(line.address.node.as_str() == "is-1")];
                *number += 1;
                assert_eq!((line.seq, line.address.line, line.gap), (seq, *number, None), "kill {kill}");
                assert!(line.text.starts_with(&format!("[2026] INFO line {seq} ")));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seq, settled, "kill {kill}");
        store.close().await;
    }
}
