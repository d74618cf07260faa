//! `plan`, and how the other commands read plan and fleet files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cavalcade_common::action::ArtifactRef;
use cavalcade_common::codes::{plan as plan_codes, run as run_codes};
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::facts::FactsWanted;
use cavalcade_common::id::{HostId, NodeId};
use cavalcade_common::plan::{HashedPlan, Plan};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::artifact;
use super::context::Context;
use super::controller::Controller;
use super::facts::{self, Gathered};
use super::failure::Failure;
use super::output::{OutputArgs, emit, say};
use super::preflight::Ground;
use super::progress::size;
use crate::fleet::{self, Fleet};
use crate::operate::request::{ArtifactHasAnswer, ArtifactHasRequest};
use crate::pack::{self, Shipped};
use crate::plan_file;
use crate::recipe::{self, Recipe};
use crate::resolve::{Input, NodeFacts, survey};
use crate::rpc::method::Method;
use crate::view::plan_table::plan_table;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The fleet file.
    #[arg(value_name = "FLEET")]
    fleet: PathBuf,
    /// Where to save the plan.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Plan from saved facts (cavalcade fleet facts) instead of asking the agents.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Ask no controller: facts come from --facts, and artifacts are put into the store later (cavalcade artifact add).
    #[arg(long, requires = "facts")]
    offline: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Reads a plan file and checks its digest. Gives its text as well: that is what the controller gets.
pub(super) fn read(path: &Path) -> Result<(HashedPlan, String), Failure> {
    Ok(plan_file::read_with_text(path)?)
}

/// A node of the plan by its name.
pub(super) fn node(plan: &Plan, name: &str) -> Result<NodeId, Failure> {
    plan.nodes.iter().find(|n| n.id.as_str() == name).map(|n| n.id.clone()).ok_or_else(|| {
        let names: Vec<&str> = plan.nodes.iter().map(|n| n.id.as_str()).collect();
        let fault = Fault::new(run_codes::NO_STEP, format!("the plan has no node `{name}`"));
        fault.help(format!("its nodes are {}", crate::view::text::ranges(names))).into()
    })
}

/// What each host is asked for facts.
pub(super) type Asked = BTreeMap<HostId, FactsWanted>;

/// A fleet file with its recipe, both read.
pub(super) struct Files {
    pub(super) fleet: Fleet,
    pub(super) recipe: Recipe,
    pub(super) folder: PathBuf,
    text: String,
}

impl Files {
    /// Reads both.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let (fleet, text) = read_fleet(path)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        say(&format!("Reading the recipe {} ...", fleet.recipe));
        let loaded = recipe::load(&fleet.recipe, &folder);
        let recipe = loaded.map_err(|faults| with_recipe_text(faults, &folder, &fleet))?;
        Ok(Self { fleet, recipe, folder, text })
    }

    /// What old packs shipped, as far as the fleet names the packs or lists of them.
    pub(super) async fn shipped(&self) -> Result<BTreeMap<String, Shipped>, Failure> {
        let named = self.recipe.facts.iter().filter_map(|f| f.pack.as_ref()).map(|(name, _)| name.clone());
        let files: BTreeMap<String, PathBuf> =
            named.filter_map(|name| Some((name.clone(), self.folder.join(&self.fleet.artifacts.get(&name)?.file)))).collect();
        let read = move || files.into_iter().map(|(name, path)| Ok((name, pack::read(&path)?))).collect();
        let read: Result<_, Fault> = tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| Failure::usage(format!("the packs cannot be read: {error}")))?;
        Ok(read?)
    }

    /// What each host is asked.
    pub(super) fn survey(&self, shipped: &BTreeMap<String, Shipped>, now: Timestamp) -> Result<Asked, Failure> {
        let nothing = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let input = Input {
            fleet: &self.fleet,
            recipe: &self.recipe,
            facts: &nothing.0,
            asked: &nothing.1,
            shipped,
            artifacts: &nothing.2,
            plan_id: "",
            made_by: "",
            now,
        };
        survey(&input).map_err(|faults| self.explain(faults))
    }

    /// Adds the texts of both files to a failure, for its snippets.
    pub(super) fn explain(&self, faults: Faults) -> Failure {
        Failure::from(faults).with(&self.fleet.file, &self.text).with(&self.recipe.file, &self.recipe.text)
    }

    /// Reads every artifact once, for its digest.
    pub(super) async fn pin(&self) -> Result<Result<BTreeMap<String, ArtifactRef>, Faults>, Failure> {
        let (fleet, folder) = (self.fleet.clone(), self.folder.clone());
        if !fleet.artifacts.is_empty() {
            say(&format!("Reading {} artifacts for their digests ...", fleet.artifacts.len()));
        }
        let pinned = tokio::task::spawn_blocking(move || fleet::pin(&fleet, &folder)).await;
        pinned.map_err(|error| Failure::usage(format!("the artifacts cannot be read: {error}")))
    }
}

fn read_fleet(path: &Path) -> Result<(Fleet, String), Failure> {
    let file = path.display().to_string();
    let bytes = cavalcade_common::written::read_limited(path)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let fleet = fleet::read(&bytes, &file).map_err(|faults| Failure::from(faults).with(&file, &text))?;
    Ok((fleet, text))
}

/// A recipe that cannot be read has no text of its own yet: takes it from the file that a fault names.
fn with_recipe_text(faults: Faults, folder: &Path, fleet: &Fleet) -> Failure {
    let path = folder.join(&fleet.recipe);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    Failure::from(faults).with(&path.display().to_string(), &text)
}

/// The hosts of a fleet, each once.
pub(super) fn hosts(path: &Path) -> Result<BTreeSet<HostId>, Failure> {
    let (fleet, _) = read_fleet(path)?;
    Ok(fleet.nodes.iter().map(|n| n.host.clone()).collect())
}

pub(super) async fn run(args: PlanArgs, context: &Context) -> Result<Exit, Failure> {
    let files = Files::read(&args.fleet)?;
    let controller = if args.offline { None } else { Some(Controller::connect(context).await?) };
    let pinned = Ok(files.pin().await?.map_err(|faults| files.explain(faults))?);
    #[expect(clippy::disallowed_methods, reason = "a plan says when it was made, by the clock of this terminal")]
    let now = Timestamp::now();
    let shipped = files.shipped().await?;
    let asked = files.survey(&shipped, now)?;
    let Gathered { facts, faults } = match (&args.facts, &controller) {
        (Some(file), _) => facts::load(file)?,
        (None, Some(controller)) => facts::gather(controller, &asked).await?,
        (None, None) => return Err(Failure::usage("without a controller facts come from --facts FILE")),
    };
    if !faults.is_empty() {
        return Err(Faults(faults).into());
    }
    let status = match &controller {
        Some(controller) => Some(controller.status_with_upgraded().await?),
        None => None,
    };
    let ground = Ground {
        artifacts: &pinned,
        facts: &facts,
        asked: &asked,
        shipped: &shipped,
        unanswered: &[],
        status: status.as_ref(),
        now,
    };
    let (results, planned) = ground.check(&files);
    let Some(planned) = planned else { return Err(no_plan(&files, &facts)) };
    let mut plan = planned.map_err(|faults| files.explain(faults))?;
    results.put_into(&mut plan);
    let plan = HashedPlan::new(plan).map_err(|error| Failure::usage(error.to_string()))?;
    let mut stored = Vec::new();
    if let Some(controller) = &controller {
        store(controller, context, &files, &plan.plan, &mut stored).await.map_err(|f| beside(f, &stored))?;
    }
    plan_file::write(&plan, &args.out).map_err(|faults| beside(faults.into(), &stored))?;
    let file = args.out.display().to_string();
    let document = json!({ "schema": "cavalcade.planned/1", "file": file, "sha256": plan.sha256, "plan": plan.plan });
    emit(args.output.output, &document, || plan_table(&plan.plan, plan.sha256.as_str(), &file, now, &TimeZone::system()))?;
    Ok(Exit::Done)
}

/// A failure behind artifacts that went into the store.
fn beside(failure: Failure, stored: &[String]) -> Failure {
    match stored {
        [] => failure,
        _ => failure.changed(format!("No plan was saved; {} are in the controller's store now.", stored.join(", "))),
    }
}

/// Puts what the plan uses and the store lacks into the store. `stored` gets their names.
async fn store(
    controller: &Controller,
    context: &Context,
    files: &Files,
    plan: &Plan,
    stored: &mut Vec<String>,
) -> Result<(), Failure> {
    let sha256 = plan.artifacts.iter().map(|a| a.sha256.clone()).collect();
    let there: ArtifactHasAnswer = controller.ask(Method::ArtifactHas, &ArtifactHasRequest { sha256 }).await?;
    for artifact in plan.artifacts.iter().filter(|a| !there.sizes.contains_key(&a.sha256)) {
        let Some(file) = files.fleet.artifacts.get(&artifact.name) else { continue };
        let path = files.folder.join(&file.file);
        artifact::put(controller, context, &path, Some(artifact.sha256.clone())).await?;
        say(&format!("Stored {} ({})", artifact.file, size(artifact.size)));
        stored.push(artifact.file.clone());
    }
    Ok(())
}

/// Why there is nothing to plan from: nodes without facts.
fn no_plan(files: &Files, facts: &BTreeMap<NodeId, NodeFacts>) -> Failure {
    let without = files.fleet.nodes.iter().filter(|node| !facts.contains_key(&node.id));
    let faults = without.map(|n| Fault::new(plan_codes::NO_FACTS, format!("there are no facts of `{}`", n.id)).on(&n.id));
    Faults(faults.collect()).into()
}

/// Who makes the plan: the user of this process.
pub(super) fn who() -> String {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_into_the_store_is_said_where_no_plan_was_saved() {
        let failed = |stored: &[String]| format!("{:?}", beside(Failure::usage("no room"), stored));
        assert!(failed(&[]).contains("Nothing was changed."));
        let told = failed(&["is.zip".to_owned(), "am.zip".to_owned()]);
        assert!(told.contains("No plan was saved; is.zip, am.zip are in the controller's store now."), "{told}");
    }
}
