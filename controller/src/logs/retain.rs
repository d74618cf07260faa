//! Room in the log: once it is more than half full, lines that are older than a season go, before new ones are given up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{LogError, LogStore};

/// Lines that are younger than this always stay, whatever becomes of new ones: a run and the questions after it are over.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(3600);

impl LogStore {
    /// Looks once an hour until `stop`. A look that fails is tried again; the log goes on as it is.
    pub async fn keep_room(&self, now: impl Fn() -> Timestamp, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            match self.make_room(now()).await {
                Ok(0) => {}
                Ok(freed) => tracing::info!(freed, "old lines of the central log were removed"),
                Err(error) => tracing::warn!(%error, "old lines of the central log cannot be removed"),
            }
        }
    }

    /// Removes old lines if the log is more than half full; gives the bytes that it freed.
    async fn make_room(&self, now: Timestamp) -> Result<u64, LogError> {
        let usage = self.usage();
        if usage.used <= usage.budget / 2 {
            return Ok(0);
        }
        // A clock that is near its end has no old lines.
        match now.checked_sub(KEPT) {
            Ok(before) => self.prune(before).await,
            Err(_) => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use cavalcade_common::id::{HostId, Incarnation, NodeId};
    use cavalcade_common::message::LogRecord;

    use super::*;
    use crate::logs::{Gap, LogLimits, LostBy, Query};

    fn line(seq: u64, at: Timestamp) -> LogRecord {
        let node = NodeId::new("is-1").expect("a name");
        let (step, stream, text) = (String::new(), "output".to_owned(), format!("{seq:01000}"));
        LogRecord { seq, node, run: None, step, stream, at, text, gap: 0 }
    }

    #[tokio::test]
    async fn lines_of_a_season_ago_go_once_the_log_is_half_full() {
        let folder = tempfile::tempdir().expect("a folder");
        let first: Timestamp = "2026-01-01T00:00:00Z".parse().expect("an instant");
        let limits = LogLimits { budget: 10_000, keep_free: 0 };
        let (host, incarnation) = (HostId::new("h1").expect("a name"), Incarnation("i".to_owned()));
        // A segment a month.
        for seq in 1..=6 {
            let store = LogStore::open(folder.path(), limits).await.expect("opens");
            let at = first + SignedDuration::from_hours(24 * 30 * i64::try_from(seq).expect("small"));
            store.append(&host, &incarnation, vec![line(seq, at)]).await.expect("is stored");
            if seq == 3 {
                assert_eq!(
                    store.make_room(first + SignedDuration::from_hours(24 * 900)).await.expect("looks"),
                    0,
                    "there is room"
                );
            }
            store.close().await;
        }
        let store = LogStore::open(folder.path(), limits).await.expect("opens");
        let freed = store.make_room(first + SignedDuration::from_hours(24 * 195)).await.expect("looks");
        assert!(freed > 3000, "{freed}");
        let page = store.search(Query::default()).await.expect("is read");
        let left: Vec<u64> = page.lines.iter().filter_map(|l| l.text.trim_start_matches('0').parse().ok()).collect();
        assert_eq!(left, [4, 5, 6]);
        assert_eq!(page.lines[0].gap, Some(Gap { lines: 3, by: LostBy::Age }), "what is gone is said");
        let again = store.make_room(first + SignedDuration::from_hours(24 * 195)).await.expect("looks");
        assert_eq!(again, 0, "there is room again");
    }
}
