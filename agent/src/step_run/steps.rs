//! The steps, one after the other, each to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cavalcade_common::action::Class;
use cavalcade_common::codes::{agent as codes, server};
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::{AttemptId, RunId};
use cavalcade_common::message::{ApprovedRepeat, Offer};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::{Ending, Outcome, Progress, Report, Verdict as Seen};
use tokio::time::Instant;

use super::artifacts::{Folder, InPlace};
use super::console::{Console, printable, talk};
use super::decisions::{self, Verdict};
use super::input::Input;
use super::output::{Ended, Line};
use super::{Exit, Options, Stopped};
use crate::executor::{Executor, SecretResolver};
use crate::host::secrets::HostSecrets;
use crate::ledger::LedgerError;
use crate::ledger::state::{LedgerState, Phase};
use crate::preview::Previewer;

/// Between two looks while nothing is heard.
const TICK: Duration = Duration::from_millis(250);
/// Between two words about the same work.
const STILL: Duration = Duration::from_secs(10);
/// Longest pause between two attempts, as a multiple of the first.
const MOST_PAUSE: u32 = 10;

/// Runs the steps of one invocation.
pub(super) struct Runner<'a> {
    options: &'a Options,
    input: Arc<Input>,
    executor: Arc<Executor>,
    console: Arc<Console>,
    run: RunId,
    counts: BTreeMap<Ended, usize>,
    changed: Vec<String>,
}

/// How one attempt ended.
enum End {
    Ended(Box<Outcome>),
    Abandoned(String),
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        options: &'a Options,
        input: Arc<Input>,
        executor: Arc<Executor>,
        console: Arc<Console>,
        run: RunId,
    ) -> Self {
        Self { options, input, executor, console, run, counts: BTreeMap::new(), changed: Vec::new() }
    }

    /// All of them, up to the first that does not succeed. `changed` always says what was changed so far.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(super) async fn all(&mut self, changed: &mut String) -> Result<Exit, Stopped> {
        let input = self.input.clone();
        let mut exit = Exit::Done;
        input.list.left_out.iter().for_each(|left| self.print(&Line::left_out(left)));
        for step in &input.list.steps {
            let line = match exit {
                Exit::Done => self.step(step).await?,
                _ => Line::new(step, Ended::NotRun, ""),
            };
            exit = match line.outcome {
                Ended::Failed => Exit::Failed,
                Ended::Indeterminate => Exit::Indeterminate,
                Ended::Refused => Exit::Refused,
                _ => exit,
            };
            self.print(&line);
            *changed = self.says(input.list.steps.len());
        }
        let counts: Vec<String> = self.counts.iter().map(|(ended, n)| format!("{n} {}", ended.word())).collect();
        talk(&format!("{} steps: {}. {changed}", input.list.steps.len() + input.list.left_out.len(), counts.join(", ")));
        Ok(exit)
    }

    fn print(&mut self, line: &Line) {
        *self.counts.entry(line.outcome).or_default() += 1;
        if line.changed && !line.earlier {
            self.changed.push(line.step.clone());
        }
        line.print(self.options.format);
    }

    fn says(&self, total: usize) -> String {
        match self.changed.len() {
            0 => "Nothing was changed.".to_owned(),
            n => format!("{n} of {total} steps changed something: {}.", self.changed.join(", ")),
        }
    }

    async fn step(&self, step: &PlanStep) -> Result<Line, Stopped> {
        let last = last_attempt(self.executor.ledger().state(), &self.run, step);
        let (number, confirms) = match last {
            Some((attempt, Phase::Ended(Ending::Succeeded))) => return Ok(self.earlier(step, &attempt)),
            Some((attempt, Phase::Accepted | Phase::Intended)) => (attempt.number, true),
            Some((attempt, Phase::Abandoned | Phase::Ended(_))) => (attempt.number + 1, false),
            None => (1, false),
        };
        let approved = if confirms {
            talk(&format!("{} | was interrupted; it is taken up again", step.name));
            None
        } else {
            match self.may_start(step).await? {
                Ok(approved) => approved,
                Err(line) => return Ok(*line),
            }
        };
        self.attempts(step, number, confirms, approved).await
    }

    /// Whether its effect may start; if not, its line.
    async fn may_start(&self, step: &PlanStep) -> Result<Result<Option<ApprovedRepeat>, Box<Line>>, Stopped> {
        let verdict = decisions::verdict(self.options, step, self.executor.ledger().state());
        Ok(match verdict {
            Verdict::Start(approved) => Ok(approved),
            Verdict::Done(says) => Err(Box::new(Line::new(step, Ended::Unchanged, says))),
            Verdict::Refused(fault) => Err(Box::new(Line { fault: Some(fault), ..Line::new(step, Ended::Refused, "") })),
            Verdict::Look(fault) => {
                let seen = self.look(step).await?;
                Err(Box::new(match seen {
                    (Seen::Same, says) => Line::new(step, Ended::Unchanged, says),
                    (_, says) => Line { fault: Some(fault), ..Line::new(step, Ended::Refused, says) },
                }))
            }
        })
    }

    /// Looks at a step's effect; changes nothing.
    async fn look(&self, step: &PlanStep) -> Result<(Seen, String), Stopped> {
        let secrets = HostSecrets.resolve(&self.input.secrets_of(step)).await;
        let previewer = Previewer {
            host: self.executor.host.clone(),
            state_dir: self.executor.state_dir.clone(),
            artifacts: Arc::new(InPlace(Folder(self.options.artifacts.clone()))),
            secrets: Arc::new(secrets.map_err(|fault| Stopped::new(Exit::Failed, fault))?),
            hide: self.input.hide.clone().into(),
        };
        let seen = previewer.all(std::slice::from_ref(step)).await.into_iter().next();
        Ok(seen.map_or((Seen::Maybe, String::new()), |preview| (preview.verdict, preview.says)))
    }

    /// An attempt, and further ones where the step allows them.
    async fn attempts(
        &self,
        step: &PlanStep,
        mut number: u32,
        mut confirms: bool,
        approved: Option<ApprovedRepeat>,
    ) -> Result<Line, Stopped> {
        let mut failures = 0;
        loop {
            let attempt = AttemptId { run: self.run.clone(), step: step.key.clone(), number };
            let offer = self.offer(step, attempt.clone(), approved.clone());
            self.executor.offer(offer).map_err(|e| of_ledger(&e))?;
            match self.to_its_end(step, &attempt).await? {
                // Proved not begun by the process that was interrupted: this invocation begins it.
                End::Abandoned(why) if confirms => talk(&format!("{} | nothing had begun: {}", step.name, printable(&why))),
                End::Abandoned(why) => {
                    let line = Line::new(step, Ended::Refused, why);
                    return Ok(Line { attempt: Some(attempt.to_string()), ..line });
                }
                End::Ended(outcome) => {
                    failures += 1;
                    // One decision, one start: a step with an effect is never repeated by itself.
                    let repeats = step.action.class() != Class::Operator && step.effect.is_none();
                    if outcome.ending != Ending::Failed || !repeats || failures > step.retry.times {
                        return Ok(refused_or(Line::ended(step, &attempt, *outcome)));
                    }
                    let pause = step.retry.wait * 2_u32.saturating_pow(failures - 1).min(MOST_PAUSE);
                    let why = outcome.fault.map(|f| f.to_string()).unwrap_or_default();
                    let after = cavalcade_common::duration::format(pause);
                    talk(&format!("{} | failed, next attempt in {after}: {}", step.name, printable(&why)));
                    tokio::time::sleep(pause).await;
                }
            }
            (number, confirms) = (number + 1, false);
        }
    }

    fn offer(&self, step: &PlanStep, attempt: AttemptId, approved: Option<ApprovedRepeat>) -> Offer {
        let ledger = self.executor.ledger();
        let state = ledger.state();
        // What a person decided for this attempt before the interruption holds on.
        let stored = state.attempts.get(&attempt).and_then(|a| a.offer.as_deref());
        let again = self.options.again.contains(&step.name);
        let decision = self.options.statement.clone().filter(|_| again);
        Offer {
            epoch: state.epoch,
            generation: state.generation,
            home: self.input.home().map(str::to_owned),
            incarnations: BTreeMap::new(),
            secrets: self.input.secrets_of(step),
            also_hide: match step.action.tells_lines() {
                true => self.input.list.steps.iter().flat_map(|other| self.input.secrets_of(other)).collect(),
                false => BTreeMap::new(),
            },
            given: GivenSecrets::default(),
            hide: self.input.hide.clone(),
            approved: approved.or_else(|| stored?.approved.clone()),
            decision: decision.or_else(|| stored?.decision.clone()),
            step: step.clone(),
            attempt,
        }
    }

    /// Waits, and says what goes on.
    async fn to_its_end(&self, step: &PlanStep, attempt: &AttemptId) -> Result<End, Stopped> {
        let mut told = Told { label: String::new(), at: Instant::now(), began: Instant::now() };
        loop {
            if let Some(error) = self.executor.take_failure() {
                return Err(of_ledger(&error));
            }
            if let Some(end) = self.end_of(attempt) {
                self.console.forget_own();
                return Ok(end);
            }
            self.console.show_own();
            let progress = self.executor.take_progress().remove(attempt);
            told.tell(step, progress.as_ref());
            tokio::select! {
                biased;
                () = self.executor.failed.notified() => {}
                () = self.executor.news.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    fn end_of(&self, attempt: &AttemptId) -> Option<End> {
        if self.executor.is_running(attempt) {
            return None;
        }
        let ledger = self.executor.ledger();
        ledger.state().unacked.values().rev().find_map(|report| match report {
            Report::Ended { attempt: of, outcome } if of == attempt => Some(End::Ended(outcome.clone())),
            Report::Abandoned { attempt: of, why } if of == attempt => Some(End::Abandoned(why.clone())),
            _ => None,
        })
    }

    /// The line of a step that this run did before it was interrupted.
    fn earlier(&self, step: &PlanStep, attempt: &AttemptId) -> Line {
        let line = match self.end_of(attempt) {
            Some(End::Ended(outcome)) => Line::ended(step, attempt, *outcome),
            Some(End::Abandoned(_)) | None => Line::new(step, Ended::Unchanged, format!("done by {attempt}")),
        };
        Line { earlier: true, ..line }
    }
}

/// What was said last about an attempt.
struct Told {
    label: String,
    at: Instant,
    began: Instant,
}

impl Told {
    /// A new word at once, the same word every ten seconds.
    fn tell(&mut self, step: &PlanStep, progress: Option<&Progress>) {
        let label = progress.map(|p| p.label.clone()).filter(|l| !l.is_empty());
        let fresh = label.is_some() && label.as_ref() != Some(&self.label) && self.at.elapsed() >= TICK * 4;
        if !fresh && self.at.elapsed() < STILL {
            return;
        }
        self.at = Instant::now();
        let counted = progress.filter(|p| p.total > 0).map(|p| format!(" ({} of {})", p.done, p.total)).unwrap_or_default();
        self.label = label.unwrap_or_else(|| std::mem::take(&mut self.label));
        let shown = if self.label.is_empty() { "goes on" } else { &self.label };
        talk(&format!("{} | {}{counted}, {} s", step.name, printable(shown), self.began.elapsed().as_secs()));
    }
}

fn last_attempt(state: &LedgerState, run: &RunId, step: &PlanStep) -> Option<(AttemptId, Phase)> {
    let ours = state.attempts.iter().filter(|(id, _)| id.run == *run && id.step == step.key);
    ours.max_by_key(|(id, _)| id.number).map(|(id, attempt)| (id.clone(), attempt.phase))
}

/// A fault that kept the step from beginning is a refusal.
fn refused_or(mut line: Line) -> Line {
    let refusals = [codes::EFFECT_EXISTS, codes::ATTEMPT_LIVES, codes::HOME_LOCKED, codes::LEDGER_ROOM, server::JOB_LIVES];
    if line.outcome == Ended::Failed && !line.changed && line.fault.as_ref().is_some_and(|f| refusals.contains(&f.code)) {
        line.outcome = Ended::Refused;
    }
    line
}

fn of_ledger(error: &LedgerError) -> Stopped {
    Stopped::new(Exit::Failed, error.fault())
}
