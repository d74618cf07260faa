//! `apply`: a plan becomes a run, or its run goes on.

use std::collections::BTreeMap;

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{Generation, NodeId, RunId, StepKey};
use cavalcade_common::plan::HashedPlan;

use super::RunLoop;
use super::input::Done;
use super::verbs::illegal;
use crate::event::{Event, RunResult, Scope, Who};
use crate::state::RunState;

impl RunLoop {
    pub(super) fn apply(
        &mut self,
        who: &Who,
        plan: HashedPlan,
        scope: Scope,
        waived: Vec<String>,
        supersedes: Option<RunId>,
        given: GivenSecrets,
    ) -> Result<Done, Fault> {
        if let Some(run) = self.state.runs.values().find(|r| r.plan.sha256 == plan.sha256) {
            let id = run.id.clone();
            return self.go_on(id, who, scope, given);
        }
        let open = self.state.open_run(&plan.plan.fleet).or_else(|| self.busy_with(&plan));
        let (generation, carried) = match (open, &supersedes) {
            (Some(open), Some(old)) if &open.id == old => {
                if open.any_under_way() {
                    return Err(Fault::new(
                        codes::run::STILL_DRAINING,
                        format!("run {old} still has steps under way; pause it and wait for their end"),
                    )
                    .help("cavalcade pause, then this command again when `cavalcade status` shows none running"));
                }
                (Generation(self.highest_generation().0 + 1), carried_over(open, &plan))
            }
            (Some(open), _) => {
                return Err(Fault::new(
                    codes::run::RUN_OPEN,
                    format!(
                        "fleet {} has the open run {}, started by {} at {}",
                        open.plan.plan.fleet, open.id, open.by, open.opened_at
                    ),
                ));
            }
            (None, Some(old)) => return Err(Fault::new(codes::run::NO_RUN, format!("there is no open run {old} to supersede"))),
            // Agents remember the highest generation that they met: a lower one would look like a run of the past.
            (None, None) => (self.highest_generation(), Vec::new()),
        };
        let run =
            RunId::new(format!("run-{}", plan.sha256.short())).map_err(|e| Fault::new(codes::run::REFUSED, e.to_string()))?;
        let pins = supersedes.as_ref().and_then(|old| self.state.runs.get(old)).map(|old| old.pins.clone()).unwrap_or_default();
        let fleet = plan.plan.fleet.clone();
        if let Some(old) = supersedes.clone() {
            self.happen(Event::RunClosed { run: old, result: RunResult::Superseded }).map_err(|why| illegal(&why))?;
        }
        let event = Event::RunOpened {
            run: run.clone(),
            sha256: plan.sha256,
            plan: Box::new(plan.plan),
            generation,
            by: who.clone(),
            scope,
            waived,
            carried,
        };
        self.happen(event).map_err(|why| illegal(&why))?;
        if let Some(from) = supersedes {
            self.happen_or_log(Event::TookOver { run: run.clone(), from });
        }
        // What a superseded run did was done with its values: they bind this one too.
        for (name, digest) in pins {
            self.happen_or_log(Event::SecretPinned { run: run.clone(), name, digest, by: Who::policy() });
        }
        for (name, value) in given {
            self.vault.give(&fleet, &name, value);
        }
        self.pin_all(&run, who);
        Ok(self.done(&run, "The run is open."))
    }

    fn highest_generation(&self) -> Generation {
        self.state.runs.values().map(|run| run.generation).max().unwrap_or(Generation(0))
    }

    /// `apply` of a plan that has a run: shows it, or lets it go on with another scope.
    fn go_on(&mut self, id: RunId, who: &Who, scope: Scope, given: GivenSecrets) -> Result<Done, Fault> {
        let open = self.state.runs.get(&id).filter(|run| !run.is_closed());
        let Some(same) = open.map(|run| run.scope == scope) else {
            return Ok(self.done(&id, "This plan has a run already."));
        };
        for (name, value) in given {
            self.give(id.clone(), &name, value, who.clone())?;
        }
        if same {
            return Ok(self.done(&id, "This plan has a run already."));
        }
        let event = Event::ScopeChanged { run: id.clone(), by: who.clone(), scope };
        self.say(&id, event, "The run of this plan goes on.")
    }

    /// Another fleet's open run that uses one of the plan's homes or databases (10, rule 19).
    fn busy_with(&self, plan: &HashedPlan) -> Option<&RunState> {
        let homes = |p: &HashedPlan| -> Vec<(String, String)> {
            let sides =
                p.plan.nodes.iter().flat_map(|n| n.new.iter().chain(&n.old).map(move |s| (n.host.to_string(), s.home.clone())));
            let databases = p.plan.databases.values().map(|d| (format!("{}:{}", d.host, d.port), d.database.clone()));
            sides.chain(databases).collect()
        };
        let wanted = homes(plan);
        self.state.open_runs().find(|r| homes(&r.plan).iter().any(|h| wanted.contains(h)))
    }
}

/// Finished steps of the old run whose id, node and digest are equal in the new plan (10, rule 5).
fn carried_over(old: &RunState, plan: &HashedPlan) -> Vec<StepKey> {
    let finished: BTreeMap<(String, NodeId), cavalcade_common::id::Digest> = old
        .plan
        .plan
        .steps()
        .filter(|(_, s)| old.finished(s))
        .map(|(stage, s)| ((format!("{}/{}", stage.id, s.name), s.key.node.clone()), s.digest()))
        .collect();
    plan.plan
        .steps()
        .filter(|(stage, s)| finished.get(&(format!("{}/{}", stage.id, s.name), s.key.node.clone())) == Some(&s.digest()))
        .map(|(_, s)| s.key.clone())
        .collect()
}
