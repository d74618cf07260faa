//! `backup`: a dump that was restored once (promise 11).

use std::path::Path;

use async_trait::async_trait;
use cavalcade_common::action::Backup;
use cavalcade_common::report::{Evidence, Preview, Progress, RESTORE_TOOK, RESTORED_ONCE, Verdict};

use super::{failure, failure_of_client, incarnation_evidence, revealed};
use crate::action::launch::permit;
use crate::action::{Act, Applied, Context, Failure};
use crate::database::BackupManifest;

/// A folder for each run, since last month's rehearsal must never count as tonight's backup; in it one for each database,
/// so that none takes another's place. The controller names the same when it orders a restore.
fn folder(backup: &Backup, cx: &Context) -> String {
    format!("{}/{}/{}", backup.to.trim_end_matches('/'), cx.attempt.run, backup.database.name)
}

fn evidence(name: &str, manifest: &BackupManifest) -> Vec<Evidence> {
    let rows: u64 = manifest.contents.tables.values().map(|table| table.rows).sum();
    vec![
        incarnation_evidence(name, &manifest.incarnation),
        Evidence::holds("dump", format!("{} bytes, sha256 {}", manifest.dump_size, manifest.dump_sha256)),
        Evidence::holds(RESTORED_ONCE, format!("{} tables, {rows} rows", manifest.contents.tables.len())),
        Evidence::holds(RESTORE_TOOK, format!("{} s", manifest.restore_seconds)),
    ]
}

#[async_trait]
impl Act for Backup {
    async fn inspect(&self, _cx: &Context) -> Result<Preview, Failure> {
        let says = format!("dumps {} to {} and restores it once into the scratch database", self.database.name, self.to);
        Ok(Preview { verdict: Verdict::Change, says, diffs: Vec::new() })
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let database = revealed(cx, &self.database)?;
        // After an interruption too: a server may have come up meanwhile (10, rule 16).
        permit(cx).await?;
        let label = format!("dumps {} and proves the dump by a restore", self.database.name);
        cx.out.progress(Progress { done: 0, total: 0, label, quiet_seconds: 0 });
        let resolved = Backup { database, to: folder(self, cx) };
        let manifest = cx.host.databases().backup(&resolved).await.map_err(|e| failure_of_client(&e, cx))?;
        Ok(Applied { changed: true, diffs: Vec::new(), evidence: evidence(&self.database.name, &manifest) })
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let manifest = cx.host.databases().manifest(Path::new(&folder(self, cx))).await.map_err(|e| failure(&e, true))?;
        Ok(vec![Evidence::holds("manifest of the backup", format!("{}, proved {}", manifest.dump, manifest.proved))])
    }
}
