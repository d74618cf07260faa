//! What persons do at random moments: most of it is refused, and none of it may break a promise.

use cavalcade_common::action::Action;
use cavalcade_common::plan::PlanStep;
use cavalcade_controller::operate::request::VerbRequest;
use cavalcade_controller::rpc::method::Method;
use cavalcade_controller::run::view::View;
use cavalcade_controller::state::RunState;
use cavalcade_controller::state::step::{Phase, StepState};

use super::person::{Intent, about};
use super::run::Simulation;

/// Plans that one seed applies at most.
pub(super) const PLANS: usize = 4;

impl Simulation {
    /// A step that fits, as the seed says.
    fn pick<'r>(&self, run: &'r RunState, fits: impl Fn(&PlanStep, &StepState) -> bool) -> Option<(&'r PlanStep, &'r StepState)> {
        let all: Vec<_> = run.all_steps().filter_map(|s| Some((s, run.step(&s.key)?))).filter(|(p, s)| fits(p, s)).collect();
        let pick = if all.is_empty() { return None } else { self.world.below(all.len() as u64) };
        all.get(usize::try_from(pick).ok()?).copied()
    }

    /// One whim, as the seed says.
    pub(super) async fn whim(&mut self, view: &View) -> anyhow::Result<()> {
        let Some(run) = view.state.open_runs().next() else { return Ok(()) };
        let of_run = VerbRequest { run: Some(run.id.to_string()), why: "a whim".to_owned(), ..VerbRequest::default() };
        let is_job = |step: &PlanStep| matches!(step.action, Action::Job(_));
        match self.world.below(24) {
            0 => drop(self.say(Method::Pause, of_run).await),
            1 => drop(self.say(Method::Resume, of_run).await),
            2 if self.world.chance(25) => {
                let once = self.say(Method::Cancel, of_run.clone()).await;
                if once.is_ok() && self.say(Method::Cancel, of_run).await.is_ok() {
                    self.found.push("rule 19: a run was cancelled twice".to_owned());
                }
            }
            3 if self.world.chance(120) && self.intent.is_none() && self.plans < PLANS => self.intent = Some(Intent::Supersede),
            4 => {
                if let Some((step, state)) = self.pick(run, |_, s| matches!(s.phase, Phase::Pending | Phase::Failed)) {
                    drop(self.say(Method::Skip, about(run, step, state)).await);
                }
            }
            5 if self.world.chance(120) => {
                let database = if self.world.chance(500) { "am_db" } else { "identity_db" };
                drop(self.say(Method::Restore, VerbRequest { databases: vec![database.to_owned()], ..of_run }).await);
            }
            6 if self.world.chance(150) => {
                if let Some((step, state)) = self.pick(run, |p, s| is_job(p) && s.phase == Phase::Running) {
                    drop(self.say(Method::StopJob, about(run, step, state)).await);
                }
            }
            7..10 => self.by_an_old_screen(run).await,
            10..12 => self.twice(run).await,
            12 => {
                if let Some((step, state)) = self.pick(run, |_, _| true) {
                    drop(self.say(Method::Retry, about(run, step, state)).await);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A verb about a step that changed since the person looked (rule 19).
    async fn by_an_old_screen(&mut self, run: &RunState) {
        let Some((step, state)) = self.pick(run, |_, s| s.position > 1 && s.phase != Phase::Pending) else { return };
        let method = match self.world.below(3) {
            0 => Method::Retry,
            1 => Method::Skip,
            _ => Method::StopJob,
        };
        let before = self.world.below(state.position);
        let request = VerbRequest { at: Some(before), ..about(run, step, state) };
        if self.say(method, request).await.is_ok() {
            let sentence = format!(
                "rule 19: {method:?} of {} was taken from a screen of {before}, it changed at {}",
                step.key, state.position
            );
            self.found.push(sentence);
        }
    }

    /// Two persons say the same of a step at once: one of them is refused.
    async fn twice(&mut self, run: &RunState) {
        let waits = |p: &PlanStep, s: &StepState| s.phase == Phase::Failed && !matches!(p.action, Action::Job(_));
        let Some((step, state)) = self.pick(run, waits) else { return };
        let request = about(run, step, state);
        let (first, second) = tokio::join!(self.asked(Method::Retry, request.clone()), self.asked(Method::Retry, request));
        self.count("verbs said twice");
        if first.is_ok() && second.is_ok() {
            self.found.push(format!("rule 19: two retries of {} were taken at once", step.key));
        }
    }
}
