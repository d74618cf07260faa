//! `--preview`: what the steps would do. Makes nothing: no state folder, no ledger, no lock, no copy of an artifact.

use std::sync::Arc;

use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::plan::PlanStep;
use cavalcade_common::report::Ending;

use super::artifacts::{Folder, InPlace};
use super::input::Input;
use super::output::{Ended, Line};
use super::{Exit, Options, Stopped, console, state};
use crate::executor::SecretResolver;
use crate::host::Host;
use crate::host::secrets::HostSecrets;
use crate::ledger::state::LedgerState;
use crate::preview::Previewer;

/// Previews all steps.
///
/// # Errors
/// A secret without a value.
pub(super) async fn run(options: &Options, input: &Input, refused: Option<Faults>, host: Arc<dyn Host>) -> Result<Exit, Stopped> {
    let named = input.list.steps.iter().flat_map(|step| input.secrets_of(step)).collect();
    let secrets = HostSecrets.resolve(&named).await.map_err(|fault| Stopped::new(Exit::Failed, fault))?;
    // Only read: no folder of a preview is ever made.
    let state_dir = state::dir_of(options).unwrap_or_else(|| options.agent_state.clone());
    let previewer = Previewer {
        host,
        state_dir,
        artifacts: Arc::new(InPlace(Folder(options.artifacts.clone()))),
        secrets: Arc::new(secrets),
        hide: input.hide.clone().into(),
    };
    input.list.left_out.iter().for_each(|left| Line::left_out(left).print(options.format));
    let known = state::look(options);
    let previews = previewer.all(&input.list.steps).await;
    let refused = refused.map(|faults| faults.0).unwrap_or_default();
    let mut outcomes = Vec::new();
    for (step, preview) in input.list.steps.iter().zip(previews) {
        let mut line = Line::preview(step, preview);
        if let Some(says) = known.as_ref().and_then(|state| done_before(state, step)) {
            (line.outcome, line.says) = (Ended::Unchanged, says);
        }
        outcomes.push(line.outcome);
        refused_now(line, step, &refused).print(options.format);
    }
    for fault in &refused {
        console::talk(&format!("would be refused now: {fault}"));
    }
    console::talk(&summary(&outcomes, input.list.left_out.len(), &refused));
    Ok(if refused.is_empty() { Exit::Done } else { Exit::Refused })
}

/// How many steps are of which kind, in the words of the controller's preview.
fn summary(outcomes: &[Ended], left_out: usize, refused: &[Fault]) -> String {
    let count = |outcome| outcomes.iter().filter(|o| **o == outcome).count();
    let kinds = [Ended::WouldChange, Ended::Unchanged, Ended::Depends, Ended::Opaque].map(count);
    let [change, same, maybe, opaque] = kinds;
    let mut text = format!("Preview: {change} change, {same} no change, {maybe} maybe, {opaque} opaque");
    if left_out > 0 {
        text.push_str(&format!("; {left_out} left out"));
    }
    if !refused.is_empty() {
        text.push_str("; the command would be refused now");
    }
    format!("{text}. Nothing was changed.")
}

/// The line of a step that the command itself would not begin: whoever reads only the lines has to see that.
fn refused_now(line: Line, step: &PlanStep, refused: &[Fault]) -> Line {
    let of_step = |fault: &&Fault| fault.step.as_deref() == Some(step.name.as_str());
    match refused.iter().find(of_step) {
        Some(fault) => Line { outcome: Ended::Refused, fault: Some(fault.clone()), ..line },
        None => line,
    }
}

/// An effect that the ledger holds as done.
fn done_before(state: &LedgerState, step: &PlanStep) -> Option<String> {
    let (_, earlier) = state.effects.earlier(step.effect.as_ref()?)?;
    let ours = !matches!(step.action, cavalcade_common::action::Action::Sql(_));
    (ours && earlier.ending == Some(Ending::Succeeded)).then(|| format!("done by {}", earlier.attempt))
}

#[cfg(test)]
mod tests {
    use cavalcade_common::codes;
    use cavalcade_common::report::{Preview, Verdict};

    use super::*;

    #[test]
    fn each_step_counts_as_what_it_would_do() {
        let outcomes = [Ended::WouldChange, Ended::Unchanged, Ended::Opaque, Ended::Unchanged];
        assert_eq!(summary(&outcomes, 0, &[]), "Preview: 1 change, 2 no change, 0 maybe, 1 opaque. Nothing was changed.");
        let refused = [Fault::new(codes::operator::USAGE, "no")];
        let said = summary(&outcomes[..1], 2, &refused);
        let (head, tail) = said.split_once("; ").expect("more than counts");
        assert_eq!(head, "Preview: 1 change, 0 no change, 0 maybe, 0 opaque");
        assert_eq!(tail, "2 left out; the command would be refused now. Nothing was changed.");
    }

    #[test]
    fn a_step_that_is_refused_says_so_in_its_own_line() {
        let step = |name: &str| -> PlanStep {
            let text = format!(
                r#"{{"key":"1.1@is-1","host":"h-1","name":"{name}","action":{{"remove":{{"paths":[]}}}},"timeout":"60s"}}"#
            );
            serde_json::from_str(&text).expect("a step")
        };
        let refused = [Fault::new(codes::agent::NOT_PROVABLE, "nothing says where they answer").in_step("start")];
        let line = |name: &str| {
            let preview = Preview { verdict: Verdict::Opaque, says: String::new(), diffs: Vec::new() };
            refused_now(Line::preview(&step(name), preview), &step(name), &refused)
        };
        let start = line("start");
        assert_eq!((start.outcome, start.fault.map(|f| f.code)), (Ended::Refused, Some(codes::agent::NOT_PROVABLE)));
        let other = line("stop");
        assert_eq!((other.outcome, other.fault), (Ended::Opaque, None));
    }
}
