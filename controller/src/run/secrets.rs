//! Secrets that only the controller has: which a run lacks, what pins them, what an offer brings.

use std::collections::BTreeMap;

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{AttemptId, HostId, RunId};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::secret::{SecretRef, SecretValue, markers};

use super::RunLoop;
use super::input::Done;
use super::verbs::illegal;
use crate::event::{Event, Who};
use crate::state::RunState;

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
        let state = self.state.runs.get(&run).ok_or_else(|| Fault::new(codes::run::NO_RUN, "the run is gone"))?;
        let plan = state.plan.clone();
        if !matches!(plan.plan.secrets.get(name), Some(SecretRef::Prompt(_))) {
            let asked = plan.plan.secrets.iter().filter(|(_, place)| matches!(place, SecretRef::Prompt(_)));
            let names: Vec<&str> = asked.map(|(name, _)| name.as_str()).collect();
            let fault = Fault::new(codes::run::NO_SECRET, format!("{run} asks nobody for a secret `{name}`"));
            return Err(if names.is_empty() { fault } else { fault.help(format!("it asks for {}", names.join(", "))) });
        }
        let digest = self.vault.pin(&plan.plan.fleet, name, &value);
        let pinned = Event::SecretPinned { run: run.clone(), name: name.to_owned(), digest, by };
        self.happen(pinned).map_err(|why| illegal(&why))?;
        self.vault.give(&plan.plan.fleet, name, value);
        self.look_for_secrets();
        self.offer_for_secret(&run, name);
        Ok(self.done(&run, &format!("The secret {name} is in the controller's memory until the run is over.")))
    }

    /// An agent that was restarted waits for an offer that brings the value.
    fn offer_for_secret(&mut self, run: &RunId, name: &str) {
        let Some(state) = self.state.runs.get(run) else { return };
        let waiting: Vec<(HostId, AttemptId)> = state
            .all_steps()
            .filter(|s| names(s).iter().any(|n| n == name))
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
        let plan = &run.plan.plan;
        let missing = self.world.secrets.get(&run.id);
        let mut refs = BTreeMap::new();
        let mut given = GivenSecrets::default();
        for name in names(step) {
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

/// The secrets that a step names.
fn names(step: &PlanStep) -> Vec<String> {
    let text = serde_json::to_string(&step.action).unwrap_or_default();
    markers(&text).into_iter().map(str::to_owned).collect()
}
