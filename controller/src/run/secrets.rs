//! Secrets that only the controller has: which a run lacks, what pins them, what an offer brings.

use std::collections::BTreeMap;

use cavalcade_common::action::Action;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{AttemptId, HostId, RunId};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::secret::{SecretRef, SecretValue};

use super::RunLoop;
use super::input::Done;
use super::verbs::illegal;
use crate::event::{Event, Who};
use crate::schedule::secrets::{hidden, names};
use crate::state::RunState;
use crate::state::step::Phase;

/// What stands in the way of giving a secret.
fn lacking(run: &RunState, name: &str, place: &SecretRef, pin: Option<&cavalcade_common::id::Digest>) -> Option<String> {
    let give = || format!("the secret {name}: cavalcade secret give {name}");
    match (place, pin, run.pins.get(name)) {
        (SecretRef::File(_) | SecretRef::Env(_) | SecretRef::Exec(_), _, _) => None,
        (_, Some(pin), Some(pinned)) if pin == pinned => None,
        (SecretRef::Prompt(_), None, _) => Some(give()),
        (SecretRef::Prompt(_), Some(_), _) => Some(format!("{} (another value than at the run's start is there)", give())),
        (SecretRef::Generate { .. }, None, _) => {
            Some(format!("the generated secret {name}: it is not in the controller's secrets.json any more; restore that file"))
        }
        (SecretRef::Generate { .. }, Some(_), _) => Some(format!(
            "the generated secret {name}: secrets.json holds another value than at the run's start; restore that file"
        )),
    }
}

impl RunLoop {
    fn value(&self, run: &RunState, name: &str, place: &SecretRef) -> Option<SecretValue> {
        self.vault.value(&run.plan.plan.fleet, name, place)
    }

    /// Tells the scheduler which secrets no offer can bring now.
    pub(super) fn look_for_secrets(&mut self) {
        let mut missing = BTreeMap::new();
        for run in self.state.open_runs() {
            let plan = &run.plan.plan;
            let of_run: BTreeMap<String, String> = plan
                .secrets
                .iter()
                .filter(|(_, place)| place.is_brought())
                .filter_map(|(name, place)| {
                    let pin = self.value(run, name, place).map(|value| self.vault.pin(&plan.fleet, name, &value));
                    Some((name.clone(), lacking(run, name, place, pin.as_ref())?))
                })
                .collect();
            if !of_run.is_empty() {
                missing.insert(run.id.clone(), of_run);
            }
        }
        self.world.secrets = missing;
    }

    /// Pins every value that is there (10, rule 34): what is begun with one value goes on with it.
    pub(super) fn pin_all(&mut self, run: &RunId, who: &Who) {
        let Some(state) = self.state.runs.get(run) else { return };
        let plan = state.plan.clone();
        let fleet = &plan.plan.fleet;
        for (name, place) in plan.plan.secrets.iter().filter(|(_, place)| place.is_brought()) {
            let Some(value) = self.vault.value(fleet, name, place) else { continue };
            let digest = self.vault.pin(fleet, name, &value);
            let by = if matches!(place, SecretRef::Prompt(_)) { who.clone() } else { Who::policy() };
            self.happen_or_log(Event::SecretPinned { run: run.clone(), name: name.clone(), digest, by });
        }
    }

    /// Takes a value from a person, and repeats the offers that waited for it.
    pub(super) fn give(&mut self, run: RunId, name: &str, value: SecretValue, by: Who) -> Result<Done, Fault> {
        let fleet = asked(self.run_of(&run)?, name)?;
        let digest = self.vault.pin(&fleet, name, &value);
        self.take_value(&run, Event::SecretPinned { run: run.clone(), name: name.to_owned(), digest, by }, value, name, &fleet)?;
        Ok(self.done(&run, &format!("The secret {name} is in the controller's memory until the run is over.")))
    }

    /// Takes another value in place of the one that the run has (10, rule 34), unless something that stays was done with that.
    pub(super) fn repin(&mut self, run: RunId, name: &str, value: SecretValue, by: Who, why: String) -> Result<Done, Fault> {
        let state = self.run_of(&run)?;
        let fleet = asked(state, name)?;
        let used = used_by(state, name);
        if let Some((step, phase)) = used.iter().find(|(step, phase)| stays(&step.action) && *phase != Phase::Failed) {
            let message =
                format!("{} ({}) has used the first value of the secret {name}: it is {}", step.key, step.name, phase.word());
            return Err(Fault::new(codes::run::SECRET_USED, message));
        }
        let steps: Vec<String> =
            used.iter().map(|(step, phase)| format!("{} {} ({})", step.key, step.name, phase.word())).collect();
        let digest = self.vault.pin(&fleet, name, &value);
        self.take_value(
            &run,
            Event::SecretRepinned { run: run.clone(), name: name.to_owned(), digest, by, why },
            value,
            name,
            &fleet,
        )?;
        let before = if steps.is_empty() { "Nothing used".to_owned() } else { format!("{} used", steps.join(", ")) };
        Ok(self.done(&run, &format!("The secret {name} has another value from here on. {before} the first one.")))
    }

    fn run_of(&self, run: &RunId) -> Result<&RunState, Fault> {
        self.state.runs.get(run).ok_or_else(|| Fault::new(codes::run::NO_RUN, "the run is gone"))
    }

    fn take_value(&mut self, run: &RunId, event: Event, value: SecretValue, name: &str, fleet: &str) -> Result<(), Fault> {
        self.happen(event).map_err(|why| illegal(&why))?;
        self.vault.give(fleet, name, value);
        self.look_for_secrets();
        self.offer_for_secret(run, name);
        Ok(())
    }

    /// An agent that was restarted waits for an offer that brings the value.
    fn offer_for_secret(&mut self, run: &RunId, name: &str) {
        let Some(state) = self.state.runs.get(run) else { return };
        let waiting: Vec<(HostId, AttemptId)> = state
            .all_steps()
            .filter(|s| names(s).into_iter().chain(hidden(state, s)).any(|n| n == name))
            .filter_map(|s| {
                let found = state.step(&s.key).filter(|st| st.phase.is_under_way())?;
                Some((s.host.clone(), AttemptId { run: run.clone(), step: s.key.clone(), number: found.attempt }))
            })
            .collect();
        for (host, attempt) in waiting {
            self.send_offer(&host, &attempt);
        }
    }

    /// Where the secrets of a step are found, and the values that the controller brings. `None`: one cannot be brought now,
    /// so that no offer of the step may leave.
    pub(super) fn secrets_of(&self, run: &RunState, step: &PlanStep) -> Option<(BTreeMap<String, SecretRef>, GivenSecrets)> {
        self.secrets_named(run, names(step))
    }

    /// The same, of secrets by their names.
    pub(super) fn secrets_named(
        &self,
        run: &RunState,
        names: Vec<String>,
    ) -> Option<(BTreeMap<String, SecretRef>, GivenSecrets)> {
        let plan = &run.plan.plan;
        let missing = self.world.secrets.get(&run.id);
        let mut refs = BTreeMap::new();
        let mut given = GivenSecrets::default();
        for name in names {
            let Some(place) = plan.secrets.get(&name) else { continue };
            if place.is_brought() {
                if missing.is_some_and(|m| m.contains_key(&name)) {
                    return None;
                }
                given.insert(name.clone(), self.value(run, &name, place)?);
            }
            refs.insert(name, place.clone());
        }
        Some((refs, given))
    }
}

impl RunLoop {
    /// The secrets that other steps of the node name, where programs of the node may print them: for redaction alone. Values
    /// that only the controller has join those that the offer brings.
    pub(super) fn hidden_with(&self, run: &RunState, step: &PlanStep, given: &mut GivenSecrets) -> BTreeMap<String, SecretRef> {
        let mut refs = BTreeMap::new();
        let missing = self.world.secrets.get(&run.id);
        for name in hidden(run, step) {
            let Some(place) = run.plan.plan.secrets.get(&name) else { continue };
            if place.is_brought() && !missing.is_some_and(|m| m.contains_key(&name)) {
                given.extend(self.value(run, &name, place).map(|value| (name.clone(), value)));
            }
            refs.insert(name, place.clone());
        }
        refs
    }
}

/// The run's fleet, where a person is asked for this secret.
fn asked(run: &RunState, name: &str) -> Result<String, Fault> {
    let plan = &run.plan.plan;
    let mut prompts = plan.secrets.iter().filter(|(_, place)| matches!(place, SecretRef::Prompt(_)));
    if prompts.clone().any(|(known, _)| known == name) {
        return Ok(plan.fleet.clone());
    }
    let fault = Fault::new(codes::run::NO_SECRET, format!("{} asks nobody for a secret `{name}`", run.id));
    let names: Vec<&str> = prompts.by_ref().map(|(name, _)| name.as_str()).collect();
    Err(if names.is_empty() { fault } else { fault.help(format!("it asks for {}", names.join(", "))) })
}

/// Steps that name a secret and were begun, with where they stand.
fn used_by<'r>(run: &'r RunState, name: &str) -> Vec<(&'r PlanStep, Phase)> {
    let of_secret = run.all_steps().filter(|step| names(step).iter().any(|n| n == name));
    let begun = of_secret.filter_map(|step| run.step(&step.key).filter(|st| st.attempt > 0).map(|st| (step, st.phase)));
    begun.filter(|(_, phase)| !matches!(phase, Phase::Pending | Phase::Skipped | Phase::Cancelled)).collect()
}

/// Whether something stays of a secret that such a step used: all but a login.
fn stays(action: &Action) -> bool {
    match action {
        Action::Sql(_)
        | Action::Query(_)
        | Action::Backup(_)
        | Action::Restore(_)
        | Action::Http(_)
        | Action::Tcp(_)
        | Action::Log(_)
        | Action::Exchange(_)
        | Action::Undo(_) => false,
        Action::Toml(_)
        | Action::Yaml(_)
        | Action::Text(_)
        | Action::Artifact(_)
        | Action::Unpack(_)
        | Action::Copy(_)
        | Action::Remove(_)
        | Action::Server(_)
        | Action::Job(_)
        | Action::Command(_)
        | Action::Autostart(_) => true,
    }
}
