//! New records as they become durable, without looking at the disk in between.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::error::LogError;
use super::line::LogLine;
use super::scan::Scan;
use super::writer::Shared;

/// How long a record may wait for the rest of its stack trace.
const QUIET: Duration = Duration::from_millis(300);

/// What the reading thread did.
struct Step {
    scan: Scan,
    lines: Vec<LogLine>,
    /// Whether records wait for the rest of their traces.
    waits: bool,
    /// Whether segments are left that were not read.
    behind: bool,
}

/// Sends records until nobody listens any more or the store is closed.
pub(super) async fn follow(
    mut scan: Scan,
    gaps: Vec<LogLine>,
    shared: Arc<Shared>,
    out: mpsc::Sender<Result<LogLine, LogError>>,
) {
    for gap in gaps {
        if out.send(Ok(gap)).await.is_err() {
            return;
        }
    }
    let mut head = shared.head.clone();
    // The store is closed: what is there is still given out.
    let mut closing = false;
    loop {
        head.mark_unchanged();
        let reader = Arc::clone(&shared);
        let step = match tokio::task::spawn_blocking(move || advance(scan, &reader, closing)).await {
            Ok(Ok(step)) => step,
            Ok(Err(error)) => return drop(out.send(Err(error)).await),
            Err(error) => return drop(out.send(Err(LogError::Worker(error))).await),
        };
        scan = step.scan;
        let damaged = scan.damaged.drain(..).map(Err).collect::<Vec<_>>();
        for item in step.lines.into_iter().map(Ok).chain(damaged) {
            if out.send(item).await.is_err() {
                return;
            }
        }
        if step.behind {
            continue;
        }
        if closing {
            return;
        }
        tokio::select! {
            biased;
            () = out.closed() => return,
            changed = head.changed() => closing = changed.is_err(),
            () = tokio::time::sleep(QUIET), if step.waits => {}
        }
    }
}

/// Reads what is new, one segment at most, so that a follower that begins far back holds little.
fn advance(mut scan: Scan, shared: &Shared, closing: bool) -> Result<Step, LogError> {
    let catalog = shared.catalog();
    let mut lines = Vec::new();
    let mut sink = |line| {
        lines.push(line);
        ControlFlow::Continue(())
    };
    let mut unread = catalog.segments.iter().filter(|s| scan.wants(s)).cloned().collect::<Vec<_>>().into_iter();
    if let Some(summary) = unread.next() {
        let _continues = scan.read(&summary, &mut sink)?;
    }
    let behind = unread.next().is_some();
    if closing && !behind {
        let _continues = scan.end(&mut sink);
    }
    let waits = match Instant::now().checked_sub(QUIET) {
        Some(time) if !behind => scan.settle(time, &mut sink),
        _ => true,
    };
    Ok(Step { scan, lines, waits, behind })
}
