//! A plan that takes over an open run (10, rule 5): what that run finished is carried over where it is the same in both
//! plans; of the rest a person says whether it stays as it is or is undone.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::{Action, ServerOp, Undo};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{HostId, NodeId, StepKey};
use cavalcade_common::plan::{HashedPlan, PlanStep};
use cavalcade_common::secret::marker;

use super::input::Superseding;
use crate::schedule::secrets::names as named;
use crate::state::RunState;
use crate::state::step::Phase;

/// What becomes of the finished steps of the old run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Steps of the new plan that are equal to finished ones.
    pub(super) carried: Vec<StepKey>,
    /// Steps of the new plan that differ and count as done as they are.
    pub(super) kept: Vec<StepKey>,
    /// Steps of the old run to undo, by node.
    pub(super) undone: BTreeMap<NodeId, (HostId, Undo)>,
}

/// A finished step that the new plan has otherwise, or not at all.
struct Differing<'a> {
    old: &'a PlanStep,
    new: Option<StepKey>,
}

/// The name of a step in both plans: numbers move when a recipe is corrected.
type Name = (String, NodeId);

fn shown((name, node): &Name) -> String {
    format!("{name}@{node}")
}

fn names(plan: &HashedPlan) -> impl Iterator<Item = (Name, &PlanStep)> {
    plan.plan.steps().map(|(stage, s)| ((format!("{}.{}", stage.id, s.name), s.key.node.clone()), s))
}

/// Settles it by the person's words.
///
/// # Errors
/// [`codes::run::DIFFERS`] with every step that no word was said about; [`codes::run::NOT_UNDONE`] for what cannot be
/// undone; [`codes::operator::USAGE`] for a word about a step that does not differ.
pub(super) fn settle(old: &RunState, plan: &HashedPlan, words: &Superseding, lost: &BTreeSet<HostId>) -> Result<Settled, Fault> {
    let new: BTreeMap<Name, &PlanStep> = names(plan).collect();
    let mut carried: BTreeMap<Name, StepKey> = BTreeMap::new();
    let mut differing: BTreeMap<Name, Differing<'_>> = BTreeMap::new();
    for (name, step) in names(&old.plan).filter(|(_, s)| old.finished(s)) {
        match new.get(&name) {
            Some(same) if same.digest() == step.digest() => {
                carried.insert(name, same.key.clone());
            }
            // What only looks is looked at again; a lost host keeps what it has.
            _ if step.action.only_looks() || lost.contains(&step.host) => {}
            other => {
                let new = other.map(|s| s.key.clone());
                // What a person left out in the old run did nothing.
                let did = old.step(&step.key).is_some_and(|s| s.phase == Phase::Succeeded || s.carried);
                if did {
                    differing.insert(name, Differing { old: step, new });
                }
            }
        }
    }
    let (keep, undo) = (said(&words.keep, &differing)?, said(&words.undo, &differing)?);
    let says = |(n, d): (&Name, &Differing<'_>)| format!("{}{}", shown(n), if d.new.is_none() { " (gone)" } else { "" });
    let open: Vec<String> = differing.iter().filter(|(n, _)| !keep.contains(*n) && !undo.contains(*n)).map(says).collect();
    if !open.is_empty() {
        let what = format!("finished steps of run {} are other ones in this plan: {}", old.id, open.join(", "));
        return Err(Fault::new(codes::run::DIFFERS, what)
            .help("say of each --keep STEP (it stays as it is and counts as done) or --undo STEP; STEP may be `all`"));
    }
    let undone = undone(old, &undo, &differing)?;
    let again: BTreeSet<&StepKey> = undone.values().flat_map(|(_, undo)| &undo.steps).collect();
    let behind = |name: &Name| old_key(old, name).is_some_and(|key| again.contains(&key));
    if let Some(both) = keep.iter().find(|name| behind(name)) {
        let what = format!("{} cannot be kept: it stands on a step that is undone", shown(both));
        return Err(Fault::new(codes::run::NOT_UNDONE, what));
    }
    Ok(Settled {
        carried: carried.into_iter().filter(|(name, _)| !behind(name)).map(|(_, key)| key).collect(),
        kept: keep.iter().filter_map(|name| differing.get(name)?.new.clone()).collect(),
        undone,
    })
}

fn old_key(old: &RunState, name: &Name) -> Option<StepKey> {
    names(&old.plan).find(|(n, _)| n == name).map(|(_, step)| step.key.clone())
}

/// The steps that a person's words name.
fn said(words: &[String], differing: &BTreeMap<Name, Differing<'_>>) -> Result<BTreeSet<Name>, Fault> {
    let mut found = BTreeSet::new();
    for word in words {
        let fits = |name: &&Name| word == "all" || shown(name) == *word || name.0 == *word;
        let before = found.len();
        found.extend(differing.keys().filter(fits).cloned());
        if found.len() == before && word != "all" {
            let all: Vec<String> = differing.keys().map(shown).collect();
            let help = if all.is_empty() { "nothing differs".to_owned() } else { format!("it differs in {}", all.join(", ")) };
            return Err(Fault::new(codes::operator::USAGE, format!("no finished step called {word} differs")).help(help));
        }
    }
    Ok(found)
}

/// Undoing a step undoes every later file step of its node too, since they stand on each other.
fn undone(
    old: &RunState,
    undo: &BTreeSet<Name>,
    differing: &BTreeMap<Name, Differing<'_>>,
) -> Result<BTreeMap<NodeId, (HostId, Undo)>, Fault> {
    let mut found = BTreeMap::new();
    let nodes: BTreeSet<&NodeId> = undo.iter().map(|(_, node)| node).collect();
    for node in nodes {
        let mine: BTreeSet<&StepKey> =
            undo.iter().filter(|(_, n)| n == node).filter_map(|name| Some(&differing.get(name)?.old.key)).collect();
        let steps = old.plan.plan.steps().map(|(_, s)| s).filter(|s| &s.key.node == node && old.finished(s));
        let from: Vec<&PlanStep> = steps.skip_while(|s| !mine.contains(&s.key)).collect();
        let Some(first) = from.first() else { continue };
        for step in &from {
            let carried = old.step(&step.key).is_some_and(|s| s.carried);
            let why = match blocks(&step.action) {
                _ if carried && step.action.is_of_files() => "was done by a run before that one, which has its kept copies",
                None => continue,
                Some(why) => why,
            };
            let what = format!("{} cannot be undone: {} ({}) {why}", first.key, step.key, step.name);
            return Err(Fault::new(codes::run::NOT_UNDONE, what).in_step(&step.key).help("--keep it, or cancel the run"));
        }
        let files: Vec<&PlanStep> = from.iter().copied().filter(|s| s.action.is_of_files()).collect();
        let names: BTreeSet<String> = files.iter().flat_map(|s| named(s)).collect();
        let undo = Undo {
            run: old.id.clone(),
            steps: files.iter().map(|s| s.key.clone()).collect(),
            hides: names.iter().map(|name| marker(name)).collect(),
        };
        found.insert(node.clone(), (first.host.clone(), undo));
    }
    Ok(found)
}

/// Why files under a finished step are not put back; `None` where they may be.
fn blocks(action: &Action) -> Option<&'static str> {
    match action {
        Action::Job(_) | Action::Command(_) => Some("ran with these files"),
        Action::Server(server) if server.op == ServerOp::Start => Some("started a server from them"),
        Action::Exchange(exchange) if exchange.changes => Some("told others of it"),
        Action::Sql(_) | Action::Restore(_) => Some("changed a database behind it"),
        Action::Server(_)
        | Action::Toml(_)
        | Action::Yaml(_)
        | Action::Text(_)
        | Action::Artifact(_)
        | Action::Unpack(_)
        | Action::Copy(_)
        | Action::Remove(_)
        | Action::Query(_)
        | Action::Backup(_)
        | Action::Http(_)
        | Action::Tcp(_)
        | Action::Log(_)
        | Action::Exchange(_)
        | Action::Autostart(_)
        | Action::Undo(_) => None,
    }
}
