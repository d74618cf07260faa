//! Requests and answers of the operator's socket, by method. Both ends are this program.

use std::collections::BTreeMap;

use cavalcade_common::error::Fault;
use cavalcade_common::facts::FactsWanted;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{Digest, HostId, NodeId, StepKey};
use cavalcade_common::report::{Checked, Preview};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Resolution, Scope};
use crate::logs::LogLine;
use crate::view::services::ZoneStatus;

/// How long the controller waits for the facts of one agent; [`FactsAnswer`] names those that gave none.
pub use super::ask::FACTS_LIMIT;

/// `Facts`: gathers facts of all nodes of a fleet. What is asked is made by the command, from fleet file and recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FactsRequest {
    /// What each host is asked.
    pub wanted: BTreeMap<HostId, FactsWanted>,
}

/// Answer of `Facts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FactsAnswer {
    /// Facts by node.
    pub facts: BTreeMap<NodeId, Value>,
    /// What could not be gathered.
    pub faults: Vec<Fault>,
    /// When they were gathered.
    pub at: jiff::Timestamp,
}

/// `ArtifactHas`: which of these are in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArtifactHasRequest {
    /// Digests.
    pub sha256: Vec<Digest>,
}

/// Answer of `ArtifactHas`: the sizes of those that are there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArtifactHasAnswer {
    /// Size by digest.
    pub sizes: BTreeMap<Digest, u64>,
}

/// Head of `ArtifactPut`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArtifactPutRequest {
    /// The digest that it must have.
    pub sha256: Option<Digest>,
}

/// Answer of `ArtifactPut`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArtifactPutAnswer {
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// `Preview`: what the steps of a plan would do. Answers are a stream of [`PreviewItem`], node by node in the plan's order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviewRequest {
    /// The plan file's text.
    pub plan: String,
    /// Only these nodes.
    pub nodes: Option<Vec<NodeId>>,
}

/// One item of a preview.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviewItem {
    /// The step.
    pub step: StepKey,
    /// What it would do, or why nobody can say now.
    pub preview: Result<Preview, Fault>,
}

/// `Verify`: what the steps of a plan's stages with `verify` see now.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// The plan file's text; without it the plan of the newest run.
    pub plan: Option<String>,
    /// Only these nodes; empty: all.
    #[serde(default)]
    pub nodes: Vec<NodeId>,
    /// Longest wait of one step in seconds; without it as planned.
    pub within_seconds: Option<u64>,
    /// Values of secrets that the person was asked for: they serve this question and are kept nowhere.
    #[serde(default, with = "cavalcade_common::given::exposed")]
    pub secrets: GivenSecrets,
}

/// Answer of `Verify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyAnswer {
    /// Digest of the plan.
    pub plan: Digest,
    /// Name of the fleet.
    pub fleet: String,
    /// When it was looked.
    pub at: jiff::Timestamp,
    /// What each step saw, in the plan's order.
    pub items: Vec<VerifyItem>,
    /// Secrets that a person has to give first, with what is asked; then nobody looked yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asks: BTreeMap<String, String>,
}

/// What one step saw.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyItem {
    /// The step.
    pub step: StepKey,
    /// Its name.
    pub name: String,
    /// The guide's row.
    pub row: Option<String>,
    /// What it saw, or why nobody looked.
    pub checked: Result<Checked, Fault>,
}

/// `Apply`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApplyRequest {
    /// The plan file's text.
    pub plan: String,
    /// How far.
    pub scope: Scope,
    /// The run that it takes over.
    pub supersedes: Option<String>,
    /// Finished steps of that run that differ in this plan and stay as they are.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Those that are undone first.
    #[serde(default)]
    pub undo: Vec<String>,
    /// Why they are kept or undone.
    #[serde(default)]
    pub supersede_why: String,
    /// Whether a plan older than 24 h, or changed facts, are let pass.
    pub stale_ok: bool,
    /// Findings that a person lets pass.
    #[serde(default)]
    pub waive: Vec<Waiver>,
    /// The plan's digest, typed by the person, where the plan has a point of no return.
    pub confirm: Option<String>,
    /// Values of secrets that the person was asked for.
    #[serde(default, with = "cavalcade_common::given::exposed")]
    pub secrets: GivenSecrets,
}

/// A check whose findings a person lets pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Name of the check.
    pub check: String,
    /// Why.
    pub why: String,
}

/// Verbs on the open run: `Pause`, `Resume`, `Cancel`, `Approve`, `Retry`, `Skip`, `Resolve`, `Rejudge`, `StopJob`,
/// `Restore`, `NodeLost`. Each reads the fields that it needs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VerbRequest {
    /// The run: its id, or at least eight digits of its plan's digest. Without it the only open one.
    pub run: Option<String>,
    /// The step.
    pub step: Option<StepKey>,
    /// Number of the stage.
    pub stage: Option<u32>,
    /// Why, or what is said.
    pub why: String,
    /// The journal position that the operator saw.
    pub at: Option<u64>,
    /// For `Resolve`.
    pub resolution: Option<Resolution>,
    /// For `Rejudge`: the evidence that counts now; without it the plan's own.
    pub evidence: Option<cavalcade_common::action::Evidence>,
    /// For `Restore`.
    #[serde(default)]
    pub databases: Vec<String>,
    /// For `Resume`: past the maintenance window.
    pub past_window: bool,
    /// For `Resume`: the new end of the maintenance window.
    #[serde(default)]
    pub window_end: Option<jiff::Timestamp>,
    /// For `Resolve`: whether evidence is in `why`.
    #[serde(default)]
    pub evidenced: bool,
    /// For `NodeLost`.
    #[serde(default)]
    pub host: Option<String>,
}

/// `SecretGive`: values of secrets for an open run, as a person gave them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretGiveRequest {
    /// The run; without it the only open one.
    pub run: Option<String>,
    /// The value, by the secret's name; one at a time.
    #[serde(with = "cavalcade_common::given::exposed")]
    pub secret: GivenSecrets,
    /// Why it takes the place of the value that the run has; without it another value is refused.
    #[serde(default)]
    pub repin: Option<String>,
}

/// Answer of `Apply` and of the verbs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerbAnswer {
    /// The run.
    pub run: String,
    /// Journal position behind the verb.
    pub position: u64,
    /// A sentence for the operator.
    pub says: String,
}

/// `Status` and `Watch` ask with this; the answer is [`crate::view::document::Status`], for `Watch` again after changes,
/// at most five times a second.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StatusRequest {
    /// Only this run.
    pub run: Option<String>,
    /// For `Status`: with the new homes that finished runs made.
    #[serde(default)]
    pub upgraded: bool,
}

/// `Report`: everything about one run, for the report. The answer is [`ReportAnswer`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReportRequest {
    /// The run, or the digest (or its beginning) of its plan; without it the newest run.
    pub run: Option<String>,
}

/// Answer of `Report`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportAnswer {
    /// The run as the status document shows it.
    pub run: crate::view::document::RunStatus,
    /// The plan.
    pub plan: Box<cavalcade_common::plan::Plan>,
    /// Outcomes by step.
    pub outcomes: BTreeMap<String, cavalcade_common::report::Outcome>,
    /// What persons decided: time, who, verb, on what, why.
    pub decisions: Vec<DecisionLine>,
    /// What was let pass.
    pub waived: Vec<String>,
    /// Outcomes that came too late and were not applied.
    pub superseded: Vec<String>,
    /// Number of lines in the central log by step, and the first and last address.
    pub log_ranges: BTreeMap<String, LogRange>,
    /// The last lines of steps that failed or were repeated, each with its address.
    #[serde(default)]
    pub excerpts: BTreeMap<String, Vec<String>>,
}

/// One decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DecisionLine {
    /// When.
    pub at: jiff::Timestamp,
    /// Journal position.
    pub position: u64,
    /// Who.
    pub by: String,
    /// The verb.
    pub verb: String,
    /// On what.
    pub on: String,
    /// Why.
    pub why: String,
}

/// Where a step's lines are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogRange {
    /// Address of the first line.
    pub first: String,
    /// Address of the last line.
    pub last: String,
    /// How many.
    pub lines: u64,
}

/// `TokenCreate`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The host.
    pub host: String,
    /// Time to live in seconds; without it 15 minutes.
    pub ttl_seconds: Option<u64>,
}

/// `HostRevoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// The host.
    pub host: String,
    /// Why.
    pub why: String,
}

/// Answer of `HostRevoke`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeAnswer {
    /// How many certificates were good before.
    pub certificates: usize,
    /// How many connections were cut.
    pub connections: usize,
}

/// Answer of `TokenCreate`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The token. Shown once.
    pub token: String,
    /// Until when it can be used.
    pub expires: jiff::Timestamp,
    /// Address of the enrolment listener, as agents reach it.
    pub enrol_at: String,
}

/// One answer of `Logs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogAnswer {
    /// What the answer lacks.
    Note(LogNote),
    /// A record.
    Line(Box<LogLine>),
}

/// What an answer of `Logs` lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum LogNote {
    /// A part of the store cannot be read: which, and how many of its lines.
    Damage(String),
    /// The newest records were asked for, and so many are more than one answer may hold.
    Cut {
        /// How many are given.
        shown: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// Time zones of nodes: their servers write their own time into their lines.
    Zones(BTreeMap<String, ZoneStatus>),
}

/// `Logs`: lines of the central log; the answers are [`LogAnswer`]s.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogsRequest {
    /// Nodes, as globs (`is-*`); none: all.
    pub nodes: Vec<String>,
    /// Streams, as globs; none: all.
    pub streams: Vec<String>,
    /// Steps (`4.6`); none: all.
    pub steps: Vec<String>,
    /// Only this run.
    pub run: Option<String>,
    /// From this time on.
    pub since: Option<jiff::Timestamp>,
    /// Up to this time.
    pub until: Option<jiff::Timestamp>,
    /// Regular expression.
    pub grep: Option<String>,
    /// This level and worse.
    pub level: Option<String>,
    /// From this address on.
    pub from: Option<String>,
    /// Go on with new lines.
    pub follow: bool,
    /// At most this many lines, the newest ones; without it all.
    pub tail: Option<usize>,
    /// Begin with the time zones of the nodes.
    #[serde(default)]
    pub zones: bool,
}
