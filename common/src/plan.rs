//! The plan: what will be done, on which node, in which order. Immutable, hashed, with every value resolved.
//!
//! A plan leaves execution no choices: conditions are decided, templates are filled, artifacts are pinned by digest. What
//! it does not hold is secrets: strings carry markers, and `secrets` says where each host finds the value.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, ArtifactRef, DbTarget, HttpCheck, Ready, Runtime};
use crate::duration;
use crate::facts::FactsWanted;
use crate::finding::Finding;
use crate::id::{Digest, EffectKey, HostId, NodeId, StageId, StepKey, StepName};
use crate::secret::SecretRef;

/// Schema word of a plan file.
pub const PLAN_SCHEMA: &str = "cavalcade.plan/1";

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_SCHEMA`].
    pub schema: String,
    /// Random, so that planning again gives another hash.
    pub id: String,
    /// Name of the fleet.
    pub fleet: String,
    /// The recipe that it was made from.
    pub recipe: RecipeRef,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who made it.
    pub made_by: String,
    /// Version of the program that made it.
    pub made_with: String,
    /// When the oldest fact that it rests on was gathered.
    pub facts_at: Timestamp,
    /// All nodes of the fleet that the plan concerns.
    pub nodes: Vec<PlanNode>,
    /// Databases by name, for `restore` and for sessions to be watched.
    pub databases: BTreeMap<String, DbTarget>,
    /// The stages in their order.
    pub stages: Vec<PlanStage>,
    /// Steps left out, with the reason.
    pub omitted: Vec<Omitted>,
    /// Facts that decided something, by node and path, with the value that decided.
    pub decided_by: Vec<Decided>,
    /// Where each secret is found.
    pub secrets: BTreeMap<String, SecretRef>,
    /// Artifacts that it uses.
    pub artifacts: Vec<ArtifactRef>,
    /// Regular expressions on key paths whose values are hidden in every diff.
    pub hide: Vec<String>,
    /// What becomes of the settings of the old servers.
    #[serde(default)]
    pub settings: Vec<Setting>,
    /// What the hosts were asked for the facts: `apply` asks again.
    #[serde(default)]
    pub asked: BTreeMap<HostId, FactsWanted>,
    /// What the checks found when it was made. Errors among them stop `apply`, unless a person lets them pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The maintenance window that the work must end in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// How long steps took in a rehearsal: by `STAGE.STEP`, or by the name of an effect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expected: BTreeMap<String, Takes>,
    /// Remarks for the reader (a mapping of profiles, an addition of ours).
    pub remarks: Vec<String>,
}

/// What becomes of an old setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is in the new file under the same key.
    Carried,
    /// It is in the new file under another key.
    Renamed,
    /// It is left out on purpose.
    Dropped,
    /// Another step sets what it meant.
    Done,
    /// A person looks at it.
    Person,
}

/// A setting of an old server that differs from what its pack shipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The node.
    pub node: NodeId,
    /// Its dotted key.
    pub key: String,
    /// `added`, `changed` or `removed`, against the pack.
    pub change: String,
    /// Its value; `None` where it is hidden or gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What becomes of it.
    pub fate: Fate,
    /// Its new key, where it has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why, or where it is done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}
/// A maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it ends: what nothing of ours interrupts does not start when it would not end before, with its way back.
    pub end: Timestamp,
}

/// A duration in its text form (`1h30min`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Takes(#[serde(with = "duration::text")] pub Duration);

/// The recipe of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipeRef {
    /// Its name.
    pub name: String,
    /// Digest of its text.
    pub sha256: Digest,
}

/// Role of a node. The engine knows the two roles because it keeps one order between them: no API Manager starts unless
/// the Identity Servers that it needs are seen ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// WSO2 Identity Server.
    IdentityServer,
    /// WSO2 API Manager, any profile.
    ApiManager,
}

impl Role {
    /// The word of the fleet file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentityServer => "identity-server",
            Self::ApiManager => "api-manager",
        }
    }
}

/// One side of a node: what was, or what will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Home folder.
    pub home: String,
    /// Profile, in the product's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// systemd unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// One server of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanNode {
    /// Its id.
    pub id: NodeId,
    /// The host whose agent serves it.
    pub host: HostId,
    /// Role.
    pub role: Role,
    /// What was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Side>,
    /// What will be; `None`: retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Side>,
    /// User, JAVA_HOME, environment of its servers.
    #[serde(default)]
    pub runtime: Runtime,
    /// How it is seen ready, for permits. `None` where nothing needs it ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

/// How a node's new server is seen ready (10, rule 15).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The home that its process must name on its command line.
    pub home: String,
    /// Arguments that its command line must not hold (`-Dmigrate`).
    #[serde(default)]
    pub forbid_args: Vec<String>,
    /// The user that the process must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// Evidence.
    pub ready: Ready,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanStage {
    /// From 1.
    pub number: u32,
    /// Its name.
    pub id: StageId,
    /// One line for people.
    pub title: String,
    /// Numbers of the stages that must be finished on all their nodes before this one begins (a barrier).
    pub after: Vec<u32>,
    /// Its nodes, in the order in which batches take them.
    pub nodes: Vec<NodeId>,
    /// Its steps, grouped by node, each node's in order.
    pub steps: Vec<PlanStep>,
    /// Approval needed before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// How many nodes at a time, and how many may fail.
    pub batch: Batch,
    /// How it is undone.
    pub undo: Undo,
    /// Whether a way back from here on loses new data.
    #[serde(default)]
    pub point_of_no_return: bool,
    /// Whether its steps only look, so that `cavalcade verify` may run them alone at any time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub verify: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl PlanStage {
    /// The names under which `expected` may give a step's duration: `STAGE.STEP`, and its effect's name.
    pub fn names_of(&self, step: &PlanStep) -> impl Iterator<Item = String> {
        let effect = match &step.action {
            Action::Job(job) => Some(job.effect.clone()),
            Action::Sql(sql) => Some(sql.effect.clone()),
            Action::Restore(restore) => Some(restore.effect.clone()),
            _ => None,
        };
        [Some(format!("{}.{}", self.id, step.name)), effect].into_iter().flatten()
    }
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Whose word is needed (`dba`); shown, and journaled with who gave it.
    pub by: String,
    /// What is approved, in a sentence.
    pub says: String,
    /// Whether somebody else must approve it than who opened the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_person: bool,
}

/// Batches of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Nodes at a time; a resolved number, at least 1.
    pub size: u32,
    /// Nodes that go alone first.
    pub canary: u32,
    /// Failed nodes that do not yet stop the stage.
    pub failure_budget: u32,
}

/// How a stage is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// Nothing to undo.
    Nothing,
    /// Start the old servers again.
    StartAgain,
    /// Files come back from their kept copies.
    Files,
    /// Databases come back from their backup.
    Backup,
}

/// Automatic repeats of a step whose class allows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retry {
    /// Further attempts after the first.
    pub times: u32,
    /// Wait before the first repeat; doubled each time, at most ten times it.
    #[serde(with = "duration::text", default)]
    pub wait: Duration,
}

/// What must be shown at the moment of a launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// These nodes' new servers were each seen ready at most 60 s ago, by a probe of their own agent.
    Ready {
        /// The nodes.
        nodes: Vec<NodeId>,
        /// And seen from the node that launches, just before the launch.
        #[serde(default)]
        via: Vec<HttpCheck>,
    },
    /// No process of these nodes' old homes lives.
    Down {
        /// The nodes.
        nodes: Vec<NodeId>,
    },
}

/// One step on one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Where it stands.
    pub key: StepKey,
    /// The host whose agent runs it.
    pub host: HostId,
    /// Its name in the recipe.
    pub name: StepName,
    /// The guide's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// A note for the reader (an addition of ours, for example).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it does.
    pub action: Action,
    /// What must be shown when it launches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Identity of its effect, where it must happen at most once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectKey>,
    /// Automatic repeats.
    #[serde(default)]
    pub retry: Retry,
    /// Longer than this fails the step; on a never-interrupted step it raises an alarm and nothing else.
    #[serde(with = "duration::text")]
    pub timeout: Duration,
}

impl PlanStep {
    /// Digest of what it does: a superseding plan carries a finished step over when it is equal.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(&self.action).unwrap_or_default())
    }
}

/// Why a step is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OmittedWhy {
    /// The recipe leaves it out and says why.
    OnPurpose,
    /// Its condition is false.
    Condition,
}

/// A step left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omitted {
    /// Its stage.
    pub stage: StageId,
    /// Its name.
    pub step: StepName,
    /// The guide's row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The nodes that it is left out on.
    pub nodes: Vec<NodeId>,
    /// Which kind of reason.
    pub why: OmittedWhy,
    /// The reason.
    pub reason: String,
}

/// A fact (or an answer that overrides one) that decided something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The node.
    pub node: NodeId,
    /// Dotted path of the fact, as conditions name it.
    pub path: String,
    /// The value that decided.
    pub value: Value,
    /// Whether the value is an answer of the fleet file rather than what the agent found.
    pub answered: bool,
    /// What was made from it, in a few words each: what another value would change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decides: Vec<String>,
}

/// How [`Decided::decides`] names a finding of a check, which counts where the finding is let pass: this, then its name.
pub const FINDING_OF: &str = "the finding of ";

/// A plan with the digest of its canonical text.
#[derive(Debug, Clone, PartialEq)]
pub struct HashedPlan {
    /// The plan.
    pub plan: Plan,
    /// SHA-256 of the canonical text.
    pub sha256: Digest,
}

/// Why a plan text is refused.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is no plan of this version.
    #[error("the file is no plan of the form {PLAN_SCHEMA}")]
    Form(#[source] serde_json::Error),
    /// It has another schema.
    #[error("the plan has the schema {0:?}, this program reads {PLAN_SCHEMA}")]
    Schema(String),
    /// Its digest does not fit.
    #[error("the plan's content has the digest {found}, its own note says {noted}")]
    Digest {
        /// What the content has.
        found: Digest,
        /// What the file notes.
        noted: String,
    },
}

/// The file form: the digest, then the plan.
#[derive(Serialize, Deserialize)]
struct PlanFile {
    sha256: String,
    plan: Value,
}

impl HashedPlan {
    /// Hashes a plan.
    ///
    /// # Errors
    /// [`PlanError::Form`] if it cannot be written as JSON.
    pub fn new(plan: Plan) -> Result<Self, PlanError> {
        let text = serde_json::to_vec(&plan).map_err(PlanError::Form)?;
        Ok(Self { plan, sha256: Digest::of(&text) })
    }

    /// The file form.
    ///
    /// # Errors
    /// [`PlanError::Form`] if it cannot be written as JSON.
    pub fn to_text(&self) -> Result<String, PlanError> {
        let plan = serde_json::to_value(&self.plan).map_err(PlanError::Form)?;
        let file = PlanFile { sha256: self.sha256.to_string(), plan };
        serde_json::to_string_pretty(&file).map_err(PlanError::Form)
    }

    /// Reads the file form and checks the digest.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn from_text(text: &str) -> Result<Self, PlanError> {
        let file: PlanFile = serde_json::from_str(text).map_err(PlanError::Form)?;
        let canonical = serde_json::to_vec(&file.plan).map_err(PlanError::Form)?;
        let found = Digest::of(&canonical);
        if found.as_str() != file.sha256 {
            return Err(PlanError::Digest { found, noted: file.sha256.chars().take(64).collect() });
        }
        let plan: Plan = serde_json::from_value(file.plan).map_err(PlanError::Form)?;
        if plan.schema != PLAN_SCHEMA {
            return Err(PlanError::Schema(plan.schema.chars().take(40).collect()));
        }
        Ok(Self { plan, sha256: found })
    }
}

impl Plan {
    /// All steps with their stages, in the plan's order.
    pub fn steps(&self) -> impl Iterator<Item = (&PlanStage, &PlanStep)> {
        self.stages.iter().flat_map(|g| g.steps.iter().map(move |s| (g, s)))
    }

    /// One step.
    #[must_use]
    pub fn step(&self, key: &StepKey) -> Option<&PlanStep> {
        self.stages.iter().find(|g| g.number == key.stage)?.steps.iter().find(|s| &s.key == key)
    }

    /// One node.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&PlanNode> {
        self.nodes.iter().find(|n| &n.id == id)
    }
}
