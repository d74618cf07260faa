//! Lines of output on their way: from the actions into the spool, from the spool to the controller, over a connection of
//! their own that never holds up the control stream (10, rule 30).

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

/// Ships for ever.
pub async fn ship(spool: Arc<Spool>, to: Arc<dyn Shipping>) -> std::io::Result<()> {
    loop {
        let batch = spool.next(BATCH)?;
        if batch.is_empty() {
            spool.news.notified().await;
            continue;
        }
        match to.ship(batch).await {
            Ok(seq) => spool.acked(seq)?,
            Err(why) => {
                tracing::debug!(%why, "log lines wait in the spool");
                spool.rewind();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
