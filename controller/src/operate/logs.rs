//! `Logs`: the request as a query of the central log.

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::RunId;
use futures_util::{StreamExt, stream};
use regex::Regex;
use serde_json::Value;

use super::request::LogsRequest;
use crate::logs::{Address, Glob, Level, LogLine, LogStore, Query};
use crate::rpc::operator::AnswerStream;

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

fn answer(line: &LogLine) -> Result<Value, Fault> {
    serde_json::to_value(line).map_err(usage)
}

/// The lines, oldest first.
pub(super) async fn lines(store: &LogStore, request: LogsRequest) -> Result<AnswerStream, Fault> {
    let mut query = query(&request)?;
    if let Some(tail) = request.tail {
        query.newest = true;
        query.limit = tail;
        let page = store.search(query.clone()).await.map_err(|e| e.fault())?;
        query.after = page.lines.last().map(|l| l.position);
        query.newest = false;
        query.limit = PAGE;
        let first = stream::iter(page.lines.iter().map(answer).collect::<Vec<_>>());
        if !request.follow {
            return Ok(first.boxed());
        }
        let rest = store.follow(query).await.map_err(|e| e.fault())?;
        return Ok(first.chain(rest.map(|line| answer(&line.map_err(|e| e.fault())?))).boxed());
    }
    if request.follow {
        let rest = store.follow(query).await.map_err(|e| e.fault())?;
        return Ok(rest.map(|line| answer(&line.map_err(|e| e.fault())?)).boxed());
    }
    let pages = stream::unfold((store.clone(), Some(query)), |(store, query)| async move {
        let mut query = query?;
        let page = match store.search(query.clone()).await {
            Ok(page) => page,
            Err(e) => return Some((vec![Err(e.fault())], (store, None))),
        };
        let full = page.lines.len() >= query.limit;
        query.after = page.lines.last().map(|l| l.position);
        let answers = page.lines.iter().map(answer).collect::<Vec<_>>();
        Some((answers, (store, full.then_some(query))))
    });
    Ok(pages.flat_map(stream::iter).boxed())
}
