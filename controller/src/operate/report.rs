//! `Report`: everything that the controller knows about one run.

use std::collections::BTreeMap;

use cavalcade_common::codes;
use cavalcade_common::error::Fault;

use super::handler::Operations;
use super::request::{DecisionLine, LogRange, ReportAnswer, ReportRequest};
use crate::logs::{Glob, Query};
use crate::state::RunState;
use crate::view::document;

pub(super) async fn report(operations: &Operations, request: &ReportRequest) -> Result<ReportAnswer, Fault> {
    let view = operations.now();
    let wanted = |r: &&RunState| request.run.as_deref().is_none_or(|w| r.is_called(w));
    let run = view.state.runs.values().filter(wanted).max_by_key(|r| r.opened_at);
    let run = run.ok_or_else(|| Fault::new(codes::run::NO_RUN, "there is no such run"))?;
    let outcomes = run.steps.iter().filter_map(|(k, s)| Some((k.to_string(), (**s.outcome.as_ref()?).clone()))).collect();
    let decisions = run.decisions.iter().map(|d| DecisionLine {
        at: d.at,
        position: d.position,
        by: d.by.to_string(),
        verb: d.verb.to_owned(),
        on: d.on.clone(),
        why: d.why.clone(),
    });
    Ok(ReportAnswer {
        run: document::run_status(&view, run, operations.clock.now()),
        plan: Box::new(run.plan.plan.clone()),
        outcomes,
        decisions: decisions.collect(),
        waived: run.waived.clone(),
        superseded: run.superseded.clone(),
        log_ranges: log_ranges(operations, run).await?,
    })
}

async fn log_ranges(operations: &Operations, run: &RunState) -> Result<BTreeMap<String, LogRange>, Fault> {
    let mut ranges = BTreeMap::new();
    for key in run.steps.keys() {
        let mut query = Query {
            run: Some(run.id.clone()),
            nodes: vec![Glob::new(key.node.as_str())],
            steps: vec![format!("{}.{}", key.stage, key.step)],
            limit: 1,
            ..Query::default()
        };
        let first = operations.logs.search(query.clone()).await.map_err(|e| e.fault())?.lines;
        query.newest = true;
        let last = operations.logs.search(query).await.map_err(|e| e.fault())?.lines;
        if let (Some(first), Some(last)) = (first.first(), last.last()) {
            let lines = last.address.line.saturating_sub(first.address.line) + 1;
            ranges.insert(key.to_string(), LogRange { first: first.address.to_string(), last: last.address.to_string(), lines });
        }
    }
    Ok(ranges)
}
