//! What the run loop takes in.

use std::collections::BTreeMap;

use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{HostId, RunId, StepKey};
use cavalcade_common::message::{Answer, Ask, FromAgent, Hello, ToAgent};
use cavalcade_common::plan::HashedPlan;
use cavalcade_common::report::Evidence;
use cavalcade_common::secret::SecretValue;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::event::{Resolution, Scope, Who};

/// Number of a session in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// An input of the run loop.
#[derive(Debug)]
pub enum Input {
    /// An agent said hello.
    SessionUp {
        /// The host, from its certificate.
        host: HostId,
        /// The session.
        session: SessionId,
        /// Its hello.
        hello: Box<Hello>,
        /// Towards the agent. Bounded: a session whose queue is full is cut, since its peer stopped reading.
        to: mpsc::Sender<ToAgent>,
    },
    /// A message of a session.
    Message {
        /// The host.
        host: HostId,
        /// The session.
        session: SessionId,
        /// The message.
        message: FromAgent,
    },
    /// A session ended.
    SessionDown {
        /// The host.
        host: HostId,
        /// The session.
        session: SessionId,
    },
    /// An operator's verb.
    Verb {
        /// Who.
        who: Who,
        /// What.
        order: Box<Order>,
        /// Where the answer goes, once it is durable.
        reply: oneshot::Sender<Result<Done, Fault>>,
    },
    /// A question to an agent that changes nothing.
    Ask {
        /// The host.
        host: HostId,
        /// The question.
        ask: Ask,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Answer, Fault>>,
    },
}

/// A verb, with the run that it is about and what the operator saw of it (10, rule 19).
#[derive(Debug, Clone)]
pub struct Order {
    /// The run: its id, or the beginning of its plan's digest. `None`: the only open one.
    pub run: Option<String>,
    /// The journal position that the operator saw; what somebody changed since refuses the verb.
    pub at: Option<u64>,
    /// What.
    pub verb: Verb,
}

/// Taking over an open run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseding {
    /// The run.
    pub run: RunId,
    /// Finished steps that differ and stay as they are: `STAGE.STEP@NODE`, `STAGE.STEP`, or `all`.
    pub keep: Vec<String>,
    /// Those that are undone first.
    pub undo: Vec<String>,
    /// Why.
    pub why: String,
}

/// What a person says of a run's maintenance window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowWord {
    /// The run may go on past it.
    Past,
    /// It ends then.
    Ends(Timestamp),
}

/// An operator's verb.
#[derive(Debug, Clone)]
pub enum Verb {
    /// Open a run for a plan, or go on with the one that it has.
    Apply {
        /// The plan.
        plan: Box<HashedPlan>,
        /// How far.
        scope: Scope,
        /// What is let pass.
        waived: Vec<String>,
        /// The run that it takes over.
        supersedes: Option<Superseding>,
        /// Values of secrets that a person was asked for.
        given: GivenSecrets,
    },
    /// Give the value of a secret.
    Give {
        /// The secret.
        name: String,
        /// Its value.
        value: SecretValue,
        /// Why it takes the place of another value; without it another one is refused.
        repin: Option<String>,
    },
    /// Pause.
    Pause,
    /// Resume.
    Resume {
        /// What becomes of its maintenance window; without it the window holds.
        window: Option<WindowWord>,
        /// Why.
        why: String,
    },
    /// Cancel.
    Cancel {
        /// Why.
        why: String,
    },
    /// Approve a stage.
    Approve {
        /// Its number.
        stage: u32,
        /// What is said.
        says: String,
    },
    /// Another attempt.
    Retry {
        /// The step.
        step: StepKey,
        /// Why.
        why: String,
    },
    /// Leave a step out.
    Skip {
        /// The step.
        step: StepKey,
        /// Why.
        why: String,
    },
    /// Decide what became of a step.
    Resolve {
        /// The step.
        step: StepKey,
        /// What.
        resolution: Resolution,
        /// Whether evidence is in `why`.
        evidence: bool,
        /// Why, or which evidence.
        why: String,
    },
    /// Take a new judgement of a job's stored output.
    Rejudge {
        /// The step.
        step: StepKey,
        /// The judgement of the agent that has the output.
        evidence: Vec<Evidence>,
    },
    /// End a never-interrupted job.
    StopJob {
        /// The step.
        step: StepKey,
        /// Why.
        why: String,
    },
    /// A host is gone for good.
    HostLost {
        /// Which.
        host: HostId,
        /// Why.
        why: String,
    },
    /// Restore databases from their backups.
    Restore {
        /// Their names.
        databases: Vec<String>,
        /// Why.
        why: String,
    },
}

/// The answer to a verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The run.
    pub run: RunId,
    /// Journal position behind the verb's events.
    pub position: u64,
    /// A sentence for the operator.
    pub says: String,
}

/// What a session's peer told of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Connected {
    /// The session.
    pub session: SessionId,
    /// Version of the agent's program.
    pub program: String,
    /// Difference of its wall clock to ours, in milliseconds.
    pub skew_millis: i64,
    /// Its resident memory in KiB, from its last heartbeat.
    pub resident_kib: u64,
    /// Monotonic time of the last message.
    pub heard: std::time::Duration,
}

/// Hosts that are connected.
pub type ConnectedHosts = BTreeMap<HostId, Connected>;
