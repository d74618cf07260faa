//! `apply`: a plan becomes a run, or its run goes on.

use std::time::Duration;

use cavalcade_common::action::Action;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{Generation, RunId, StepKey, StepName};
use cavalcade_common::plan::{HashedPlan, PlanStep, Retry};

use super::RunLoop;
use super::input::{Done, Superseding};
use super::supersede::{Settled, settle};
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
        supersedes: Option<Superseding>,
        given: GivenSecrets,
    ) -> Result<Done, Fault> {
        if let Some(run) = self.state.runs.values().find(|r| r.plan.sha256 == plan.sha256) {
            let id = run.id.clone();
            return self.go_on(id, who, scope, given);
        }
        let open = self.state.open_run(&plan.plan.fleet).or_else(|| self.busy_with(&plan));
        let settled = match (open, &supersedes) {
            (Some(open), Some(words)) if open.id == words.run => self.settled(open, &plan, words)?,
            (Some(open), _) => {
                return Err(Fault::new(
                    codes::run::RUN_OPEN,
                    format!(
                        "fleet {} has the open run {}, started by {} at {}",
                        open.plan.plan.fleet, open.id, open.by, open.opened_at
                    ),
                ));
            }
            (None, Some(words)) => {
                return Err(Fault::new(codes::run::NO_RUN, format!("there is no open run {} to supersede", words.run)));
            }
            (None, None) => Settled::default(),
        };
        // Agents remember the highest generation that they met: a lower one would look like a run of the past.
        let highest = self.state.highest_generation();
        let generation = if supersedes.is_some() { Generation(highest.0 + 1) } else { highest };
        let run =
            RunId::new(format!("run-{}", plan.sha256.short())).map_err(|e| Fault::new(codes::run::REFUSED, e.to_string()))?;
        let pins =
            supersedes.as_ref().and_then(|words| self.state.runs.get(&words.run)).map(|old| old.pins.clone()).unwrap_or_default();
        let fleet = plan.plan.fleet.clone();
        let left = self.state.left_by(&plan.plan).map(|run| run.id.clone());
        if let Some(words) = &supersedes {
            self.happen(Event::RunClosed { run: words.run.clone(), result: RunResult::Superseded })
                .map_err(|why| illegal(&why))?;
        }
        let event = Event::RunOpened {
            run: run.clone(),
            sha256: plan.sha256,
            plan: Box::new(plan.plan),
            generation,
            by: who.clone(),
            scope,
            waived,
            carried: settled.carried.clone(),
        };
        self.happen(event).map_err(|why| illegal(&why))?;
        let says = self.follow(&run, left.filter(|_| supersedes.is_none()));
        if let Some(words) = supersedes {
            self.take_over(&run, words, settled, who);
        }
        // What a superseded run did was done with its values: they bind this one too.
        for (name, digest) in pins {
            self.happen_or_log(Event::SecretPinned { run: run.clone(), name, digest, by: Who::policy() });
        }
        for (name, value) in given {
            self.vault.give(&fleet, &name, value);
        }
        self.pin_all(&run, who);
        Ok(self.done(&run, &says))
    }

    /// A run that was planned afresh knows what an earlier one left behind.
    fn follow(&mut self, run: &RunId, left: Option<RunId>) -> String {
        let Some(from) = left else { return "The run is open.".to_owned() };
        let says = format!("The run is open. It knows what jobs of run {from} began, and how the databases were before them.");
        self.happen_or_log(Event::TookOver { run: run.clone(), from });
        says
    }

    /// What becomes of the finished steps of a run that is taken over.
    fn settled(&self, open: &RunState, plan: &HashedPlan, words: &Superseding) -> Result<Settled, Fault> {
        if open.any_under_way() && !self.bugs.supersedes_undrained() {
            let what = format!("run {} still has steps under way; pause it and wait for their end", open.id);
            return Err(Fault::new(codes::run::STILL_DRAINING, what).help(
                "cavalcade pause, then this command again when `cavalcade status` shows none running; a host that is gone for \
                 good: cavalcade node lost HOST --why TEXT",
            ));
        }
        let lost = self.state.hosts.iter().filter(|(_, known)| known.lost.is_some()).map(|(host, _)| host.clone()).collect();
        settle(open, plan, words, &lost)
    }

    /// The new run knows what the old one did; what a person keeps counts as done, what is undone is undone first.
    fn take_over(&mut self, run: &RunId, words: Superseding, settled: Settled, who: &Who) {
        let (from, why) = (words.run, words.why);
        self.happen_or_log(Event::TookOver { run: run.clone(), from: from.clone() });
        if !settled.kept.is_empty() {
            let event = Event::Kept { run: run.clone(), steps: settled.kept, by: who.clone(), why: why.clone() };
            self.happen_or_log(event);
        }
        for (number, (node, (host, undo))) in (1..).zip(settled.undone) {
            let Ok(name) = StepName::new("undo") else { return };
            let step = PlanStep {
                key: StepKey { stage: 0, step: number, node },
                host,
                name,
                row: None,
                note: Some(format!("what run {from} did there is undone, said by {who}: {why}")),
                action: Action::Undo(undo),
                needs: Vec::new(),
                effect: None,
                retry: Retry::default(),
                timeout: Duration::from_secs(3600),
            };
            self.happen_or_log(Event::StepAdded { run: run.clone(), step: Box::new(step), by: who.clone(), why: why.clone() });
        }
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

    /// Another fleet's open run that uses one of the plan's homes or databases (10, rule 19), or has a node of the same
    /// name: what was seen of a server is known by its node's name.
    fn busy_with(&self, plan: &HashedPlan) -> Option<&RunState> {
        let homes = |p: &HashedPlan| -> Vec<(String, String)> {
            let sides =
                p.plan.nodes.iter().flat_map(|n| n.new.iter().chain(&n.old).map(move |s| (n.host.to_string(), s.home.clone())));
            let databases = p.plan.databases.values().map(|d| (format!("{}:{}", d.host, d.port), d.database.clone()));
            sides.chain(databases).collect()
        };
        let wanted = homes(plan);
        let same_name = |r: &RunState| r.plan.plan.nodes.iter().any(|n| plan.plan.node(&n.id).is_some());
        self.state.open_runs().find(|r| same_name(r) || homes(&r.plan).iter().any(|h| wanted.contains(h)))
    }
}
