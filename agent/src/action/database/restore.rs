//! `restore`: the way back, into an empty database, proved equal to the backup's manifest (10, rule 23).

use std::collections::BTreeSet;

use async_trait::async_trait;
use cavalcade_common::action::Restore;
use cavalcade_common::report::{Evidence, Preview, Progress, Verdict};

use super::{failure_of_client, incarnation_evidence, revealed};
use crate::action::launch::permit;
use crate::action::{Act, Applied, Context, Failure};
use crate::database::{Accounts, Ends};

/// Where it is noted which accounts a restore locked, in the agent's state folder.
const RECORDS: &str = "locked-accounts";

/// What people must know of the servers' accounts.
fn told(accounts: &Accounts) -> Vec<Evidence> {
    let Accounts { locked, before, open, stay } = accounts;
    let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut evidence = Vec::new();
    if !locked.is_empty() {
        let after = match stay {
            None => "and open again".to_owned(),
            Some(fault) => format!("and still are, open them by hand: {fault}"),
        };
        evidence.push(Evidence::holds("servers' accounts were locked meanwhile", format!("{}, {after}", list(locked))));
    }
    if !before.is_empty() {
        evidence.push(Evidence::holds("accounts that were locked before and stay so", list(before)));
    }
    if let Some(fault) = open {
        let found = format!("not locked, but nobody was connected when the restore began: {fault}");
        evidence.push(Evidence::holds("servers' accounts", found));
    }
    evidence
}

#[async_trait]
impl Act for Restore {
    async fn inspect(&self, _cx: &Context) -> Result<Preview, Failure> {
        let says = format!("empties {} and restores it from {}", self.database.name, self.from);
        Ok(Preview { verdict: Verdict::Opaque, says, diffs: Vec::new() })
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let database = revealed(cx, &self.database)?;
        // After an interruption too: a server may have come up meanwhile (10, rule 16).
        permit(cx).await?;
        let label = format!("restores {} from {}", self.database.name, self.from);
        cx.out.progress(Progress { done: 0, total: 0, label, quiet_seconds: 0 });
        // Repeated after an interruption it finds its own debris and empties it: a restore that did not end is none.
        let resolved = Restore { database, ..self.clone() };
        let by = format!("{} {}", cx.attempt.run, cx.attempt.step);
        let ends = Ends { known: cx.incarnations.get(&self.database.name).map(String::as_str), by: &by };
        let outcome = cx.host.databases().restore(&resolved, ends, &cx.state_dir.join(RECORDS)).await;
        let outcome = outcome.map_err(|e| failure_of_client(&e, cx))?;
        let tables = outcome.manifest.contents.tables.len();
        let mut evidence = vec![
            Evidence::holds("equal to the backup's manifest", format!("{tables} tables")),
            incarnation_evidence(&self.database.name, &outcome.incarnation),
        ];
        evidence.extend(told(&outcome.accounts));
        Ok(Applied { changed: true, diffs: Vec::new(), evidence })
    }

    async fn verify(&self, _cx: &Context) -> Result<Vec<Evidence>, Failure> {
        // Compared table by table in `apply`, under the lock; a second look would find what servers did since.
        Ok(Vec::new())
    }
}
