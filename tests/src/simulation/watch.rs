//! Promise 10, while everything is repaired: what neither moves nor says why for a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::id::AttemptId;
use cavalcade_common::plan::PlanStep;
use cavalcade_controller::run::view::View;
use cavalcade_controller::schedule::wait::Wait;
use cavalcade_controller::state::RunState;
use cavalcade_controller::state::step::Phase;

use super::run::Simulation;

/// How long a step may be silent.
const LIMIT: Duration = Duration::from_secs(60);

/// Steps that are silent, since when.
#[derive(Debug, Default)]
pub(super) struct Silence(BTreeMap<String, Duration>);

impl Simulation {
    /// Listens for a step that is silent for too long.
    pub(super) fn listen(&mut self, silence: &mut Silence) {
        let now = self.world.now();
        let Some(view) = self.view() else { return };
        let silent = self.silent(&view);
        silence.0.retain(|step, _| silent.contains(step));
        for step in silent {
            let since = *silence.0.entry(step.clone()).or_insert(now);
            let sentence = format!("promise 10: {step} for a minute");
            if now - since > LIMIT && !self.found.contains(&sentence) {
                self.found.push(sentence);
            }
        }
    }

    /// What each run waits for that is not over.
    pub(super) fn open(&self) -> Vec<String> {
        let Some(view) = self.view() else { return vec!["there is no controller".to_owned()] };
        if view.state.runs.is_empty() {
            return vec!["there is no run".to_owned()];
        }
        let told = |run: &RunState| {
            let waits = view.schedules.get(&run.id).map(|s| s.waits.iter().map(|w| format!("{:?} {}", w.step, w.why)).collect());
            let waits: Vec<String> = waits.unwrap_or_default();
            let under_way = run.all_steps().filter(|s| run.step(&s.key).is_some_and(|s| s.phase.is_under_way()));
            let under_way: Vec<String> = under_way.map(|s| s.key.to_string()).collect();
            format!("{} did not end ({:?}); under way {under_way:?}, waits {waits:?}", run.id, run.mode)
        };
        view.state.open_runs().map(told).collect()
    }

    fn silent(&self, view: &View) -> Vec<String> {
        let mut silent = Vec::new();
        for run in view.state.open_runs() {
            let waits = view.schedules.get(&run.id).map(|s| s.waits.clone()).unwrap_or_default();
            let under_way = run.all_steps().filter_map(|step| self.not_worked_on(view, run, step));
            silent.extend(under_way);
            silent.extend(unnamed(run, &waits));
        }
        silent
    }

    /// A step that its agent has, by the journal, and that nobody there works on.
    fn not_worked_on(&self, view: &View, run: &RunState, step: &PlanStep) -> Option<String> {
        let state = run.step(&step.key).filter(|s| s.phase.is_under_way())?;
        if !view.connected.contains_key(&step.host) {
            return None;
        }
        let executor = self.agents.iter().find(|a| a.host == step.host.as_str())?.executor.as_ref()?;
        let attempt = AttemptId { run: run.id.clone(), step: step.key.clone(), number: state.attempt };
        let idle = !executor.is_running(&attempt);
        idle.then(|| format!("{attempt} is {} and nobody works on it", state.phase.word()))
    }
}

/// Steps that are neither finished nor under way nor named among what waits, with all steps before them finished.
fn unnamed(run: &RunState, waits: &[Wait]) -> Vec<String> {
    let mut silent = Vec::new();
    for (stage, step) in run.plan.plan.steps() {
        let first = stage.steps.iter().filter(|s| s.key.node == step.key.node).find(|s| !run.finished(s));
        if first.is_none_or(|f| f.key != step.key) || run.step(&step.key).map(|s| s.phase).is_some_and(Phase::is_under_way) {
            continue;
        }
        let of_stage = |w: &Wait| w.step.is_none() && (w.stage == stage.number || w.stage == 0);
        if !waits.iter().any(|w| w.step.as_ref() == Some(&step.key) || of_stage(w)) {
            silent.push(format!("{} of {} names nothing that it waits for", step.key, run.id));
        }
    }
    silent
}
