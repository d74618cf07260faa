//! `query`: assertions on a database, in a read-only session.

use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::action::Query;
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Preview, Verdict};

use super::{failure, revealed};
use crate::action::{Act, Applied, Context, Failure};
use crate::database::run_query;

/// How long a session of a server that just stopped may take to go away.
const PATIENCE: Duration = Duration::from_secs(15);

async fn look(query: &Query, cx: &Context, patience: Duration) -> Result<Vec<Evidence>, Failure> {
    let target = revealed(cx, &query.database)?;
    let results = run_query(&target, &query.asserts, patience).await.map_err(|e| failure(&e, false))?;
    Ok(results
        .into_iter()
        .map(|r| {
            let found = r.found.unwrap_or_else(|| if r.holds { "as wanted".to_owned() } else { "not as wanted".to_owned() });
            Evidence { what: r.says, found, holds: r.holds }
        })
        .collect())
}

#[async_trait]
impl Act for Query {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        let evidence = look(self, cx, Duration::ZERO).await?;
        let open = evidence.iter().filter(|e| !e.holds).count();
        let says = match open {
            0 => format!("all {} assertions on {} hold already", evidence.len(), self.database.name),
            n => format!("{n} of {} assertions on {} do not hold yet", evidence.len(), self.database.name),
        };
        Ok(Preview { verdict: if open == 0 { Verdict::Same } else { Verdict::Maybe }, says, diffs: Vec::new() })
    }

    async fn apply(&self, _cx: &Context) -> Result<Applied, Failure> {
        Ok(Applied::default())
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let evidence = look(self, cx, PATIENCE).await?;
        if evidence.iter().all(|e| e.holds) {
            return Ok(evidence);
        }
        let missing: Vec<&str> = evidence.iter().filter(|e| !e.holds).map(|e| e.what.as_str()).collect();
        let fault = Fault::new(codes::database::ASSERTION, format!("{}: {}", self.database.name, missing.join("; ")));
        Err(Failure::Failed { fault, changed: false, evidence })
    }
}
