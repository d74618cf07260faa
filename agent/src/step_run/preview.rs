//! `--preview`: what the steps would do. Makes nothing: no state folder, no ledger, no lock, no copy of an artifact.

use std::sync::Arc;

use cavalcade_common::error::Faults;
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
    let mut would_change = 0;
    for (step, preview) in input.list.steps.iter().zip(previews) {
        let mut line = Line::preview(step, preview);
        if let Some(says) = known.as_ref().and_then(|state| done_before(state, step)) {
            (line.outcome, line.says) = (Ended::Unchanged, says);
        }
        would_change += usize::from(line.outcome != Ended::Unchanged);
        line.print(options.format);
    }
    for fault in refused.iter().flat_map(|f| &f.0) {
        console::talk(&format!("would be refused now: {fault}"));
    }
    console::talk(&format!("{would_change} of {} steps would do something. Nothing was changed.", input.list.steps.len()));
    Ok(Exit::Done)
}

/// An effect that the ledger holds as done.
fn done_before(state: &LedgerState, step: &PlanStep) -> Option<String> {
    let (_, earlier) = state.effects.earlier(step.effect.as_ref()?)?;
    let ours = !matches!(step.action, cavalcade_common::action::Action::Sql(_));
    (ours && earlier.ending == Some(Ending::Succeeded)).then(|| format!("done by {}", earlier.attempt))
}
