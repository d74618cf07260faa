//! Questions to agents that change nothing: facts, previews, judgements of stored output.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cavalcade_common::action::Action;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, HostId, StepKey};
use cavalcade_common::message::{Answer, Ask};
use cavalcade_common::plan::{HashedPlan, PlanStep};
use cavalcade_common::report::Evidence;
use cavalcade_common::secret::{SecretRef, markers};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

use super::handler::Operations;
use super::request::{FactsAnswer, FactsRequest, PreviewItem, PreviewRequest};
use crate::rpc::operator::AnswerStream;
use crate::run::input::Input;
use crate::state::RunState;

const LIMIT: Duration = Duration::from_secs(60);
/// Digests of all libraries and a look at every database take their time. The commands wait longer, so that one agent that
/// hangs costs its own answer alone.
pub const FACTS_LIMIT: Duration = Duration::from_secs(5 * 60);
/// A preview may have to fetch packs first.
const PREVIEW_LIMIT: Duration = Duration::from_secs(30 * 60);

pub(super) async fn ask(inputs: &mpsc::Sender<Input>, host: HostId, ask: Ask, limit: Duration) -> Result<Answer, Fault> {
    let (reply, answer) = oneshot::channel();
    let gone = || Fault::new(codes::operator::NO_CONTROLLER, "the controller is ending");
    inputs.send(Input::Ask { host: host.clone(), ask, reply }).await.map_err(|_| gone())?;
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(gone()),
        Err(_) => {
            Err(Fault::new(codes::run::HOST_UNREACHABLE, format!("{host} gave no answer within {} s", limit.as_secs())).on(&host))
        }
    }
}

/// Facts of all nodes, from all hosts at once.
pub(super) async fn facts(operations: &Operations, request: FactsRequest) -> FactsAnswer {
    let answers = request.wanted.into_iter().map(|(host, wanted)| {
        let inputs = operations.inputs.clone();
        async move { (host.clone(), ask(&inputs, host, Ask::Facts(wanted), FACTS_LIMIT).await) }
    });
    let mut all = FactsAnswer { facts: BTreeMap::new(), faults: Vec::new(), at: operations.clock.now() };
    for (host, answer) in futures_util::future::join_all(answers).await {
        match answer {
            Ok(Answer::Facts(facts)) => all.facts.extend(facts),
            Ok(_) => all.faults.push(Fault::new(codes::run::AGENT_ANSWER, "another question was answered").on(host)),
            Err(fault) => all.faults.push(fault),
        }
    }
    all
}

/// Previews of a plan's steps, host by host, given out as they come.
pub(super) fn preview(operations: &Operations, request: PreviewRequest) -> Result<AnswerStream, Fault> {
    let plan = HashedPlan::from_text(&request.plan).map_err(|e| Fault::new(codes::plan::PLAN_DAMAGED, e.to_string()))?.plan;
    let wanted: Option<BTreeSet<_>> = request.nodes.map(|n| n.into_iter().collect());
    let mut by_host: BTreeMap<HostId, Vec<PlanStep>> = BTreeMap::new();
    for (_, step) in plan.steps().filter(|(_, s)| wanted.as_ref().is_none_or(|w| w.contains(&s.key.node))) {
        by_host.entry(step.host.clone()).or_default().push(step.clone());
    }
    let (inputs, hide) = (operations.inputs.clone(), plan.hide.clone());
    let (secrets, fleet, vault) = (plan.secrets.clone(), plan.fleet.clone(), operations.vault.clone());
    let answers = stream::iter(by_host).map(move |(host, steps)| {
        let (inputs, hide) = (inputs.clone(), hide.clone());
        let secrets = used(&secrets, &steps);
        let given = secrets.iter().filter_map(|(name, place)| Some((name.clone(), vault.value(&fleet, name, place)?))).collect();
        async move {
            let keys: Vec<StepKey> = steps.iter().map(|s| s.key.clone()).collect();
            let answer = ask(&inputs, host, Ask::Preview { steps, secrets, given, hide }, PREVIEW_LIMIT).await;
            let items: Vec<PreviewItem> = match answer {
                Ok(Answer::Previews(previews)) => {
                    keys.into_iter().zip(previews).map(|(step, p)| PreviewItem { step, preview: Ok(p) }).collect()
                }
                Ok(_) => Vec::new(),
                Err(fault) => keys.into_iter().map(|step| PreviewItem { step, preview: Err(fault.clone()) }).collect(),
            };
            stream::iter(
                items
                    .into_iter()
                    .map(|item| serde_json::to_value(&item).map_err(|e| Fault::new(codes::operator::USAGE, e.to_string()))),
            )
        }
    });
    Ok(answers.buffered(16).flatten().boxed())
}

/// The secrets whose markers these steps hold.
pub(super) fn used(secrets: &BTreeMap<String, SecretRef>, steps: &[PlanStep]) -> BTreeMap<String, SecretRef> {
    let text = serde_json::to_string(steps).unwrap_or_default();
    markers(&text).into_iter().filter_map(|n| secrets.get(n).map(|r| (n.to_owned(), r.clone()))).collect()
}

/// The judgement of a job's stored output by new patterns.
pub(super) async fn rejudge(
    operations: &Operations,
    run: Option<&str>,
    step: &StepKey,
    evidence: Option<cavalcade_common::action::Evidence>,
) -> Result<Vec<Evidence>, Fault> {
    let view = operations.now();
    let none = || Fault::new(codes::run::NO_STEP, format!("no open run has the step {step}")).in_step(step);
    let named = |r: &&RunState| run.is_none_or(|name| r.is_called(name)) && r.plan_step(step).is_some();
    let run = view.state.open_runs().find(named).ok_or_else(none)?;
    let (planned, state) = (run.plan_step(step).ok_or_else(none)?, run.step(step).ok_or_else(none)?);
    let Action::Job(job) = &planned.action else {
        return Err(
            Fault::new(codes::run::NO_JOB, format!("{step} is no job: nothing of it is judged by patterns")).in_step(step)
        );
    };
    let attempt = AttemptId { run: run.id.clone(), step: step.clone(), number: state.attempt };
    let evidence = evidence.unwrap_or_else(|| job.evidence.clone());
    match ask(&operations.inputs, planned.host.clone(), Ask::Rejudge { attempt, evidence }, LIMIT).await? {
        Answer::Judged(evidence) => Ok(evidence),
        Answer::Facts(_) | Answer::Previews(_) | Answer::Checked(_) | Answer::Strangers(_) => {
            Err(Fault::new(codes::run::AGENT_ANSWER, "another question was answered"))
        }
    }
}
