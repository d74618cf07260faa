//! Heavy work on files, beside the run loop.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use tokio::sync::watch;

use crate::action::{Context, Failure};

/// The work of one attempt that goes on beside the run loop, counted. Nobody can end a thread: an attempt whose time ran out
/// has ended only when the last of its work has (10, rule 6).
#[derive(Debug, Clone, Default)]
pub struct Beside(watch::Sender<usize>);

impl Beside {
    /// Returns when nothing of it goes on any more.
    pub(crate) async fn ended(&self) {
        let mut count = self.0.subscribe();
        // The sender lives as long as this call, so that the wait cannot end otherwise.
        let _ended = count.wait_for(|under_way| *under_way == 0).await;
    }

    fn begin(&self) -> UnderWay {
        self.0.send_modify(|under_way| *under_way += 1);
        UnderWay(self.0.clone())
    }
}

/// One piece of work: counted until it is dropped, run or not.
struct UnderWay(watch::Sender<usize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|under_way| *under_way -= 1);
    }
}

/// Tells work that nobody waits for it any more (the step's time ran out).
#[derive(Debug, Clone, Default)]
pub(super) struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    /// An error once the work was given up.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the step's time ran out"));
        }
        Ok(())
    }
}

/// Sets the word when the waiting future is dropped.
struct Waiting(GivenUp);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

/// Runs blocking work through the host and gives its result. If the caller goes away, the work hears of it, and
/// [`Beside::ended`] of the attempt waits for its end.
pub(super) async fn aside<T, F>(cx: &Context, work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: FnOnce(&GivenUp) -> Result<T, Failure> + Send + 'static,
{
    let given_up = GivenUp::default();
    let waiting = Waiting(given_up.clone());
    let slot = Arc::new(Mutex::new(None));
    let (inside, under_way) = (slot.clone(), cx.beside.begin());
    cx.host
        .blocking(Box::new(move || {
            // It may have stood in a queue until now.
            if given_up.check().is_ok() {
                let result = work(&given_up);
                *inside.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
            drop(under_way);
        }))
        .await;
    drop(waiting);
    let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.unwrap_or_else(|| {
        let fault = Fault::new(codes::files::WORK_LOST, "the work on files ended without a result");
        Err(Failure::Failed { fault, changed: true, evidence: Vec::new() })
    })
}
