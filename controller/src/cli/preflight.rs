//! The checks before the work, as `fleet check` and `plan` run them: one plan is made, and both look at it.

use std::collections::BTreeMap;

use cavalcade_common::action::ArtifactRef;
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::id::NodeId;
use cavalcade_common::plan::Plan;
use jiff::Timestamp;

use super::plan::{Asked, Files, who};
use crate::fleet;
use crate::pack::Shipped;
use crate::preflight::{self, Results};
use crate::resolve::{self, NodeFacts, resolve};
use crate::view::document::Status;

/// What was gathered.
pub(super) struct Ground<'a> {
    pub(super) artifacts: &'a Result<BTreeMap<String, ArtifactRef>, Faults>,
    pub(super) facts: &'a BTreeMap<NodeId, NodeFacts>,
    pub(super) asked: &'a Asked,
    pub(super) shipped: &'a BTreeMap<String, Shipped>,
    pub(super) unanswered: &'a [Fault],
    pub(super) status: Option<&'a Status>,
    pub(super) now: Timestamp,
}

impl Ground<'_> {
    /// Makes the plan, if what it needs is there, and runs all checks.
    pub(super) fn check(&self, files: &Files) -> (Results, Option<Result<Plan, Faults>>) {
        let planned = self.plan(files);
        let results = preflight::run(&preflight::Input {
            fleet: &files.fleet,
            recipe: &files.recipe,
            artifacts: self.artifacts,
            contents: &fleet::contents(&files.fleet, &files.folder),
            facts: self.facts,
            asked: self.asked,
            shipped: self.shipped,
            planned: planned.as_ref(),
            unanswered: self.unanswered,
            hosts: self.status.map(|s| s.hosts.as_slice()),
            upgraded: self.status.map_or(&[], |s| s.upgraded.as_slice()),
            now: self.now,
        });
        (results, planned)
    }

    fn plan(&self, files: &Files) -> Option<Result<Plan, Faults>> {
        let artifacts = self.artifacts.as_ref().ok()?;
        if files.fleet.nodes.iter().any(|node| !self.facts.contains_key(&node.id)) {
            return None;
        }
        Some(resolve(&resolve::Input {
            fleet: &files.fleet,
            recipe: &files.recipe,
            facts: self.facts,
            asked: self.asked,
            shipped: self.shipped,
            artifacts,
            plan_id: &uuid::Uuid::now_v7().to_string(),
            made_by: &who(),
            now: self.now,
        }))
    }
}
