//! What the run loop shows to everybody else: a snapshot, replaced after every batch of inputs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cavalcade_common::id::{AttemptId, NodeId, RunId};
use cavalcade_common::message::Seen;
use cavalcade_common::report::Progress;

use super::input::ConnectedHosts;
use crate::schedule::Schedule;
use crate::state::State;

/// A snapshot.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The journaled state.
    pub state: Arc<State>,
    /// What each open run does and waits for.
    pub schedules: BTreeMap<RunId, Schedule>,
    /// Hosts with an open session.
    pub connected: ConnectedHosts,
    /// Last progress of attempts under way, with the monotonic time when it came.
    pub progress: BTreeMap<AttemptId, (Duration, Progress)>,
    /// Last probe of each node, with the monotonic time that its evidence counts from.
    pub seen: BTreeMap<NodeId, (Duration, Seen)>,
    /// Monotonic time of the snapshot.
    pub now: Duration,
}
