//! Steps of one node take turns: they share its home, ports and files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cavalcade_common::id::NodeId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// One turn for each node.
#[derive(Default)]
pub struct Turns {
    nodes: Mutex<BTreeMap<NodeId, Arc<AsyncMutex<()>>>>,
}

impl Turns {
    /// Waits for the node's turn; it ends when the guard is dropped.
    pub async fn take(&self, node: &NodeId) -> OwnedMutexGuard<()> {
        let turn = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).entry(node.clone()).or_default().clone();
        turn.lock_owned().await
    }
}
