//! Lines of output on their way: from the actions into the spool, from the spool to the controller, over a connection of
//! their own that never holds up the control stream (10, rule 30).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::message::LogRecord;

use crate::executor::{LineOrigin, LineSink};
use crate::host::Host;
use crate::host::spool::Spool;

const BATCH: usize = 500;
const PAUSE: Duration = Duration::from_secs(2);

/// Puts lines into the spool.
pub struct SpooledLines {
    /// The clock.
    pub host: Arc<dyn Host>,
    /// The spool.
    pub spool: Arc<Spool>,
}

impl LineSink for SpooledLines {
    fn line(&self, origin: &LineOrigin, stream: &str, line: &str) {
        self.spool.push(LogRecord {
            seq: 0,
            node: origin.node.clone(),
            run: Some(origin.run.clone()),
            step: origin.step.clone(),
            stream: stream.to_owned(),
            at: self.host.now(),
            text: line.to_owned(),
            gap: 0,
        });
    }
}

/// Takes batches to the controller.
#[async_trait]
pub trait Shipping: Send + Sync {
    /// Ships a batch; gives the sequence up to which everything is kept there.
    async fn ship(&self, batch: Vec<LogRecord>) -> Result<u64, String>;
}

/// Ships for ever. A spool that cannot be read or written costs lines, and never the agent.
pub async fn ship(spool: Arc<Spool>, to: Arc<dyn Shipping>) -> Infallible {
    // The ack of a single line tells what the controller had before this life began.
    let mut most = 1;
    loop {
        let batch = match spool.next(most) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "the log spool cannot be read; it is tried again");
                spool.rewind();
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if batch.is_empty() {
            spool.news.notified().await;
            continue;
        }
        match to.ship(batch).await {
            Ok(seq) => {
                most = BATCH;
                if let Err(error) = spool.acked(seq) {
                    tracing::warn!(%error, seq, "that the controller has these log lines cannot be noted");
                }
            }
            Err(why) => {
                tracing::debug!(%why, "log lines wait in the spool");
                spool.rewind();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cavalcade_common::id::NodeId;
    use tokio::sync::mpsc;

    use super::*;

    struct Taken(mpsc::Sender<Vec<u64>>);

    #[async_trait]
    impl Shipping for Taken {
        async fn ship(&self, batch: Vec<LogRecord>) -> Result<u64, String> {
            let seqs: Vec<u64> = batch.iter().map(|r| r.seq).collect();
            let last = seqs.last().copied().unwrap_or(0);
            self.0.send(seqs).await.map_err(|e| e.to_string())?;
            Ok(last)
        }
    }

    fn line() -> LogRecord {
        LogRecord {
            seq: 0,
            node: NodeId::new("is-1").unwrap(),
            run: None,
            step: "1.1".to_owned(),
            stream: "output".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            text: "text".to_owned(),
            gap: 0,
        }
    }

    #[tokio::test]
    async fn a_spool_that_cannot_be_written_does_not_end_the_shipping() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::open(dir.path()).unwrap());
        // In the way of the note.
        for name in ["acked", "acked.new"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let (taken, mut batches) = mpsc::channel(1);
        let shipping = tokio::spawn(ship(spool.clone(), Arc::new(Taken(taken))));
        for seq in 1..=3 {
            spool.push(line());
            assert_eq!(batches.recv().await, Some(vec![seq]), "it went on");
        }
        assert!(!shipping.is_finished());
        shipping.abort();
    }
}
