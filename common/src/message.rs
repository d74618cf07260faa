//! The messages of the link between one agent and the controller, as both sides' logic sees them.
//!
//! The link gives no more than this: messages of one session arrive in order, or the session ends. Both sides still
//! tolerate lost, late and doubled messages, since a session can end at any point: reports carry ledger sequence numbers
//! and are sent again until they are acked; offers are repeated until the agent's reports show that they arrived.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::DbTarget;
use crate::facts::FactsWanted;
use crate::given::GivenSecrets;
use crate::id::{AttemptId, Digest, EffectKey, Epoch, Generation, HostId, Incarnation, Mark, NodeId, RunId};
use crate::plan::{PlanStep, Probe};
use crate::report::{Checked, Evidence, Observation, Preview, Progress, Report};
use crate::secret::SecretRef;

/// Version of the link's protocol; a peer with another major number is refused by name.
pub const LINK_VERSION: u32 = 1;

/// Largest encoded message of the control stream, in bytes.
pub const MAX_MESSAGE: usize = 256 << 10;

/// From the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromAgent {
    /// First message of every session.
    Hello(Hello),
    /// A durable report, by the sequence number of its ledger record.
    Report {
        /// Ledger sequence, from 1, without gaps among reports of this incarnation.
        seq: u64,
        /// What the ledger held up to it; an agent of an earlier version gives none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<Mark>,
        /// The report.
        report: Report,
    },
    /// Progress; may be lost.
    Progress {
        /// Which attempt.
        attempt: AttemptId,
        /// How far.
        progress: Progress,
    },
    /// Heartbeat: has passed through link, executor and run loop.
    Heartbeat(Heartbeat),
    /// Asks for permission to launch now.
    AskPermit {
        /// Random, used once.
        nonce: String,
        /// The attempt that launches.
        attempt: AttemptId,
    },
    /// Answer to [`ToAgent::Probe`].
    Probed {
        /// The request's id.
        id: u64,
        /// The node.
        node: NodeId,
        /// What was seen.
        seen: Seen,
    },
    /// Answer to [`ToAgent::Ask`].
    Answer {
        /// The request's id.
        id: u64,
        /// The answer, or why there is none.
        answer: Result<Answer, String>,
    },
}

/// First message of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`LINK_VERSION`].
    pub version: u32,
    /// The host's name as the agent knows it; must be that of the certificate.
    pub host: HostId,
    /// Identity of its ledger.
    pub incarnation: Incarnation,
    /// Version of the agent's program.
    pub program: String,
    /// Highest epoch that it ever obeyed.
    pub highest_epoch: Epoch,
    /// Highest ledger sequence that it ever gave to a report.
    pub last_seq: u64,
    /// Highest sequence that it knows to be in the journal.
    #[serde(default)]
    pub acked: u64,
    /// Marks of the last acked report and of all later ones: by them the controller sees a ledger that was set back and
    /// wrote other reports under the same numbers (10, rule 2).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<u64, Mark>,
    /// Attempts that are in its ledger and have no acked end.
    pub open: Vec<AttemptId>,
    /// UTC offset of the host, in seconds.
    pub utc_offset_seconds: i32,
    /// Name of its time zone (`Asia/Tokyo`); empty where it has none.
    #[serde(default)]
    pub zone: String,
    /// The agent's wall clock, for the skew.
    pub now: jiff::Timestamp,
}

/// A sign of life that passed through the whole agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Counts up in a session.
    pub count: u64,
    /// Attempts under way.
    pub running: u32,
    /// Resident memory of the agent in KiB.
    pub resident_kib: u64,
    /// Attempts that an earlier process left open and that wait for their confirmation (10, rule 3): one that was lost on
    /// the way is sent again. The first [`MOST_UNCONFIRMED`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unconfirmed: Vec<AttemptId>,
}

/// So many attempts one heartbeat names at most.
pub const MOST_UNCONFIRMED: usize = 64;

/// What a probe of one node's new server saw, all from one look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Whether it is ready in the sense of 10, rule 15.
    pub ready: bool,
    /// Identity of the process (`pid@start_ticks`); empty where none was found.
    pub process: String,
    /// Milliseconds between the moment the probe's evidence was complete and the sending of this answer.
    pub age_millis: u64,
    /// Whether no process of the old home lives.
    pub old_down: bool,
    /// What was looked at.
    pub evidence: Vec<Evidence>,
    /// What was seen of each home, with the moment.
    #[serde(default)]
    pub observed: Vec<Observation>,
}

/// From the controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToAgent {
    /// Answer to a Hello: the session is open.
    Welcome {
        /// The controller's term. The agent obeys this and refuses lower ones.
        epoch: Epoch,
        /// All reports up to this sequence are in the journal.
        acked: u64,
    },
    /// The session is refused; the agent ends it and says so in its log.
    Refuse {
        /// Why.
        why: String,
    },
    /// Run this attempt. Repeated in a later session it confirms the attempt: only then does the agent begin or repeat
    /// anything that an earlier process left open (10, rule 3).
    Offer(Box<Offer>),
    /// Reports up to this sequence are in the journal.
    Ack {
        /// The sequence.
        seq: u64,
    },
    /// Do not begin this attempt if nothing has begun yet.
    Withdraw {
        /// Which.
        attempt: AttemptId,
        /// The controller's term.
        epoch: Epoch,
    },
    /// A person ended a never-interrupted job (`stop-job`): TERM to its process.
    StopJob {
        /// Which.
        attempt: AttemptId,
        /// The controller's term.
        epoch: Epoch,
        /// Who and why, for the ledger.
        why: String,
    },
    /// Answer to [`FromAgent::AskPermit`].
    Permit {
        /// The nonce that it answers.
        nonce: String,
        /// The evidence, or what is missing.
        answer: Result<Vec<Evidence>, String>,
    },
    /// Look at a node's servers.
    Probe {
        /// Id for the answer.
        id: u64,
        /// The node.
        node: NodeId,
        /// How its new server is seen ready.
        probe: Option<Probe>,
        /// Its old home, to be looked for.
        old_home: Option<String>,
    },
    /// A question that changes nothing.
    Ask {
        /// Id for the answer.
        id: u64,
        /// The question.
        ask: Box<Ask>,
    },
    /// Heartbeat of the run loop.
    Heartbeat {
        /// Counts up in a session.
        count: u64,
    },
}

/// An attempt, offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Which.
    pub attempt: AttemptId,
    /// The controller's term.
    pub epoch: Epoch,
    /// Number of the superseding plan.
    pub generation: Generation,
    /// The step.
    pub step: PlanStep,
    /// The home that it works on; its lock file lies beside it (10, rule 18).
    pub home: Option<String>,
    /// Incarnations of databases, by name, as the journal knows them: another one is refused (10, rule 23).
    #[serde(default)]
    pub incarnations: BTreeMap<String, String>,
    /// Where the secrets that it names are found.
    pub secrets: BTreeMap<String, SecretRef>,
    /// Where other secrets of the node are found that its programs may print: for redaction alone. One that has no value
    /// stops nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub also_hide: BTreeMap<String, SecretRef>,
    /// Values of those of both that only the controller has. Never written: the ledger keeps the offer without them, and after a
    /// restart the controller's next offer brings them again.
    #[serde(skip)]
    pub given: GivenSecrets,
    /// Key patterns whose values are hidden.
    pub hide: Vec<String>,
    /// A journaled decision of a person that replaces an earlier start of the same effect: key and replaced attempt.
    pub approved: Option<ApprovedRepeat>,
    /// A decision about an interrupted statement, for a ledgered script (`done`, `not-done`).
    pub decision: Option<String>,
}

/// A person's decision: one decision, one start (10, rule 1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedRepeat {
    /// The effect.
    pub effect: EffectKey,
    /// The attempt that it replaces.
    pub replaces: AttemptId,
    /// Who and why.
    pub says: String,
}

/// A question that changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Facts of these nodes.
    Facts(FactsWanted),
    /// What these steps would do.
    Preview {
        /// The steps, in order.
        steps: Vec<PlanStep>,
        /// Where their secrets are found.
        secrets: BTreeMap<String, SecretRef>,
        /// Values of those that only the controller has, as far as it has them: the rest is shown as `(secret)`.
        #[serde(skip)]
        given: GivenSecrets,
        /// Key patterns whose values are hidden.
        hide: Vec<String>,
    },
    /// What these steps see, which only look. One that would change something is refused by its name.
    Check {
        /// The steps; those of one node run in this order, nodes at once.
        steps: Vec<PlanStep>,
        /// Where their secrets are found.
        secrets: BTreeMap<String, SecretRef>,
        /// Values of those secrets that only the controller has.
        #[serde(skip)]
        given: GivenSecrets,
        /// Key patterns whose values are hidden.
        hide: Vec<String>,
    },
    /// Who is in a database that may not be.
    Strangers {
        /// The database.
        database: Box<DbTarget>,
        /// Names or addresses that sessions may come from.
        but_from: Vec<String>,
        /// Where its password is found.
        secrets: BTreeMap<String, SecretRef>,
        /// Its value, where only the controller has it.
        #[serde(skip)]
        given: GivenSecrets,
    },
    /// New patterns on the stored output of an attempt's job (`rejudge`).
    Rejudge {
        /// The attempt.
        attempt: AttemptId,
        /// The evidence that counts now.
        evidence: crate::action::Evidence,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Facts by node.
    Facts(BTreeMap<NodeId, Value>),
    /// One preview for each step asked.
    Previews(Vec<Preview>),
    /// One for each step asked.
    Checked(Vec<Checked>),
    /// The sessions that may not be there, each in words.
    Strangers(Vec<String>),
    /// The judgement.
    Judged(Vec<Evidence>),
}

/// One line of output on its way to the central log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Sequence on this agent, from 1; contiguous, or `gap` says how many are missing before it.
    pub seq: u64,
    /// The node.
    pub node: NodeId,
    /// The run and step that it belongs to.
    pub run: Option<RunId>,
    /// Step as `3.2`.
    pub step: String,
    /// Stream (`output`, `wso2carbon.log`, `cavalcade`).
    pub stream: String,
    /// When the agent read it.
    pub at: jiff::Timestamp,
    /// The text; control characters as they came.
    pub text: String,
    /// How many lines were lost just before this one.
    pub gap: u64,
}

/// One chunk of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Offset of the first byte.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A request for an artifact from an offset on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchArtifact {
    /// Which.
    pub sha256: Digest,
    /// First byte wanted.
    pub offset: u64,
}
