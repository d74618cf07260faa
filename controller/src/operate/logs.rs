//! `Logs`: the request as a query of the central log. What cannot be answered whole says so in the answer.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::RunId;
use futures_util::{Stream, StreamExt, stream};
use regex::Regex;
use serde_json::Value;

use super::request::{LogAnswer, LogNote, LogsRequest};
use crate::logs::{Address, Glob, Level, LogError, LogLine, LogStore, MAX_LIMIT, Page, Query};
use crate::rpc::operator::AnswerStream;
use crate::state::State;
use crate::view::services::ZoneStatus;

/// Lines read from the store at a time.
const PAGE: usize = 1000;

fn usage(what: impl std::fmt::Display) -> Fault {
    Fault::new(codes::operator::USAGE, what.to_string())
}

fn query(request: &LogsRequest) -> Result<Query, Fault> {
    let level = match request.level.as_deref() {
        Some(word) => Some(Level::of_word(word).ok_or_else(|| usage(format!("{word:?} is no level")))?),
        None => None,
    };
    Ok(Query {
        nodes: request.nodes.iter().map(|n| Glob::new(n)).collect(),
        streams: request.streams.iter().map(|n| Glob::new(n)).collect(),
        steps: request.steps.clone(),
        run: request.run.clone().map(RunId::new).transpose().map_err(usage)?,
        since: request.since,
        until: request.until,
        grep: request.grep.as_deref().map(Regex::new).transpose().map_err(usage)?,
        level,
        from: request.from.as_deref().map(str::parse::<Address>).transpose().map_err(usage)?,
        limit: PAGE,
        ..Query::default()
    })
}

type Answers = Vec<Result<Value, Fault>>;

fn answer(answer: &LogAnswer) -> Result<Value, Fault> {
    serde_json::to_value(answer).map_err(usage)
}

fn note(error: &LogError) -> LogAnswer {
    LogAnswer::Note(LogNote::Damage(error.fault().message))
}

/// Records, and what of the store could not be read; the same damage is met by several pages and told once.
fn told(page: Page, known: &mut BTreeSet<String>) -> Answers {
    let fresh = page.damaged.iter().filter(|damage| known.insert(damage.to_string())).map(note);
    let notes: Vec<LogAnswer> = fresh.collect();
    page.lines.into_iter().map(|line| LogAnswer::Line(Box::new(line))).chain(notes).map(|a| answer(&a)).collect()
}

/// The newest records, and the query that goes on behind them.
async fn newest(store: &LogStore, mut query: Query, tail: usize) -> Result<(Answers, Query), Fault> {
    if tail > MAX_LIMIT {
        let text = format!("-n {tail}: at most {MAX_LIMIT} of the newest records are given");
        return Err(usage(text).help("name a time instead, which has no such limit: --since -2h"));
    }
    (query.newest, query.limit) = (true, tail);
    let page = store.search(query.clone()).await.map_err(|e| e.fault())?;
    // Everything up to here was searched, whether it fits or not.
    query.after = Some(page.head);
    (query.newest, query.limit) = (false, PAGE);
    let cut = page.cut.then_some(LogAnswer::Note(LogNote::Cut { shown: page.lines.len(), wanted: tail }));
    let mut answers: Answers = cut.iter().map(answer).collect();
    answers.extend(told(page, &mut BTreeSet::new()));
    Ok((answers, query))
}

/// New records as they come. Damage is told, and the stream goes on behind it.
async fn followed(store: &LogStore, query: Query) -> Result<impl Stream<Item = Result<Value, Fault>> + use<>, Fault> {
    let rest = store.follow(query).await.map_err(|e| e.fault())?;
    Ok(rest.map(|line: Result<LogLine, LogError>| match line {
        Ok(line) => answer(&LogAnswer::Line(Box::new(line))),
        Err(damage @ LogError::Damaged { .. }) => answer(&note(&damage)),
        Err(error) => Err(error.fault()),
    }))
}

/// The time zones of the nodes that are asked for, as far as their agents told them.
fn zones(state: &State, request: &LogsRequest) -> Option<LogAnswer> {
    let globs: Vec<Glob> = request.nodes.iter().map(|n| Glob::new(n)).collect();
    let meant = |node: &str| globs.is_empty() || globs.iter().any(|glob| glob.matches(node));
    let nodes = state.runs.values().flat_map(|run| &run.plan.plan.nodes).filter(|node| meant(node.id.as_str()));
    let told = nodes.filter_map(|node| Some((node.id.to_string(), ZoneStatus::from(state.zones.get(&node.host)?))));
    let zones: BTreeMap<String, ZoneStatus> = told.collect();
    (request.zones && !zones.is_empty()).then_some(LogAnswer::Note(LogNote::Zones(zones)))
}

/// The lines, oldest first.
pub(super) async fn lines(store: &LogStore, state: &State, request: LogsRequest) -> Result<AnswerStream, Fault> {
    let query = query(&request)?;
    let zones = zones(state, &request).iter().map(answer).collect::<Answers>();
    let answers = stored(store, &request, query).await?;
    Ok(stream::iter(zones).chain(answers).boxed())
}

async fn stored(store: &LogStore, request: &LogsRequest, mut query: Query) -> Result<AnswerStream, Fault> {
    let mut first = Answers::new();
    // `-n 0` is nothing of what was.
    if let Some(tail) = request.tail.filter(|tail| *tail > 0) {
        (first, query) = newest(store, query, tail).await?;
    }
    if request.follow {
        return Ok(stream::iter(first).chain(followed(store, query).await?).boxed());
    }
    if request.tail.is_some() {
        return Ok(stream::iter(first).boxed());
    }
    Ok(pages(store.clone(), query).boxed())
}

/// All records, page by page, until a page says that nothing is left.
fn pages(store: LogStore, query: Query) -> impl Stream<Item = Result<Value, Fault>> {
    let state = (store, Some(query), BTreeSet::new());
    let pages = stream::unfold(state, |(store, query, mut known)| async move {
        let mut query = query?;
        let page = match store.search(query.clone()).await {
            Ok(page) => page,
            Err(e) => return Some((vec![Err(e.fault())], (store, None, known))),
        };
        let next = page.next;
        let answers = told(page, &mut known);
        query.after = next;
        Some((answers, (store, next.map(|_| query), known)))
    });
    pages.flat_map(stream::iter)
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
