//! `Report`: everything that the controller knows about one run.

use std::collections::BTreeMap;

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{RunId, StepKey};

use super::handler::Operations;
use super::request::{DecisionLine, LogRange, ReportAnswer, ReportRequest};
use crate::logs::{Glob, LogLine, LogStore, Query, shown};
use crate::state::RunState;
use crate::state::step::{Phase, StepState};
use crate::view::document;

/// Lines of an excerpt.
const EXCERPT: usize = 12;

pub(super) async fn report(operations: &Operations, request: &ReportRequest) -> Result<ReportAnswer, Fault> {
    let view = operations.now();
    let wanted = |r: &&RunState| request.run.as_deref().is_none_or(|w| r.is_called(w));
    let run = view.state.runs.values().filter(wanted).max_by_key(|r| r.opened_at);
    let run = run.ok_or_else(|| {
        let wanted = request.run.as_ref().map(|wanted| format!(" {wanted}")).unwrap_or_default();
        Fault::new(codes::run::NO_RUN, format!("there is no run{wanted}"))
    })?;
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
        excerpts: excerpts(&operations.logs, run).await?,
    })
}

/// The last lines of the steps that did not go straight through.
async fn excerpts(logs: &LogStore, run: &RunState) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let mut all = BTreeMap::new();
    let odd = |s: &StepState| matches!(s.phase, Phase::Failed | Phase::Indeterminate) || s.attempt > 1;
    for (key, _) in run.steps.iter().filter(|(_, state)| odd(state)) {
        let lines = last_lines(logs, &run.id, key).await?;
        if !lines.is_empty() {
            all.insert(key.to_string(), lines);
        }
    }
    Ok(all)
}

async fn last_lines(logs: &LogStore, run: &RunId, key: &StepKey) -> Result<Vec<String>, Fault> {
    let query = Query { limit: EXCERPT, newest: true, ..of_step(run, key) };
    let page = logs.search(query).await.map_err(|e| e.fault())?;
    let mut lines: Vec<String> = page.lines.iter().flat_map(record).collect();
    // A stack trace counts by its lines: its end, and what came behind it, tells most.
    lines.drain(..lines.len().saturating_sub(EXCERPT));
    Ok(lines)
}

fn record(line: &LogLine) -> Vec<String> {
    if let Some(gap) = line.gap {
        return vec![format!("{} {} lines are missing here", line.address, gap.lines)];
    }
    let head = format!("{} {} {}", line.address, line.at.strftime("%H:%M:%SZ"), shown(&line.text));
    std::iter::once(head).chain(line.more.iter().map(|more| format!("    {}", shown(more)))).collect()
}

fn of_step(run: &RunId, key: &StepKey) -> Query {
    Query {
        run: Some(run.clone()),
        nodes: vec![Glob::new(key.node.as_str())],
        steps: vec![format!("{}.{}", key.stage, key.step)],
        without_removed: true,
        ..Query::default()
    }
}

async fn log_ranges(operations: &Operations, run: &RunState) -> Result<BTreeMap<String, LogRange>, Fault> {
    let mut ranges = BTreeMap::new();
    for key in run.steps.keys() {
        let mut query = Query { limit: 1, ..of_step(&run.id, key) };
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

#[cfg(test)]
mod tests {
    use cavalcade_common::id::{HostId, Incarnation};
    use cavalcade_common::message::LogRecord;

    use super::*;
    use crate::logs::LogLimits;

    #[tokio::test]
    async fn an_excerpt_is_the_end_of_what_the_step_wrote() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = LogStore::open(folder.path(), LogLimits { budget: 1 << 30, keep_free: 0 }).await.expect("opens");
        let (run, key): (RunId, StepKey) = (RunId::new("run-1").expect("an id"), "3.2@is-1".parse().expect("a step"));
        let record = |seq: u64, step: &str, text: String| LogRecord {
            seq,
            node: key.node.clone(),
            run: Some(run.clone()),
            step: step.to_owned(),
            stream: "output".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            text,
            gap: 0,
        };
        let mut batch: Vec<LogRecord> = (1..=20).map(|n| record(n, "3.2", format!("line {n}"))).collect();
        batch.push(record(21, "3.2", "ERROR \u{1b}[2J refused".to_owned()));
        batch.extend((22..=40).map(|n| record(n, "3.2", format!("\tat org.wso2.X({n})"))));
        batch.push(record(41, "3.20", "of another step".to_owned()));
        let host = HostId::new("h-1").expect("an id");
        logs.append(&host, &Incarnation("one".to_owned()), batch).await.expect("is stored");
        let lines = last_lines(&logs, &run, &key).await.expect("lines");
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (EXCERPT, Some("    \tat org.wso2.X(40)")));
        let other = "3.20@is-1".parse().expect("a step");
        assert_eq!(last_lines(&logs, &run, &other).await.expect("lines"), ["is-1:41 00:00:00Z of another step"]);
    }
}
