//! Heavy work on files, beside the run loop.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cavalcade_common::codes;
use cavalcade_common::error::Fault;

use crate::action::Failure;
use crate::host::Host;

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

/// Runs blocking work through the host and gives its result. If the caller goes away, the work hears of it.
pub(super) async fn aside<T, F>(host: &dyn Host, work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: FnOnce(&GivenUp) -> Result<T, Failure> + Send + 'static,
{
    let given_up = GivenUp::default();
    let waiting = Waiting(given_up.clone());
    let slot = Arc::new(Mutex::new(None));
    let inside = slot.clone();
    host.blocking(Box::new(move || {
        let result = work(&given_up);
        *inside.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }))
    .await;
    drop(waiting);
    let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.unwrap_or_else(|| {
        let fault = Fault::new(codes::files::WORK_LOST, "the work on files ended without a result");
        Err(Failure::Failed { fault, changed: true, evidence: Vec::new() })
    })
}
