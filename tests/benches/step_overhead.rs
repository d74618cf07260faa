//! What one step costs beside its own work: the whole product (controller's daemon with SQLite journal, TLS, agent with its
//! ledger) in one process, and a stage of steps that find nothing to change.
//!
//! `cargo bench -p cavalcade-tests --bench step_overhead`. Environment: `STEPS` (200), `TMPDIR` (the disk that counts).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cavalcade_agent::host::Host;
use cavalcade_agent::host::real::RealHost;
use cavalcade_common::action::{Action, TextEdit};
use cavalcade_common::plan::HashedPlan;
use cavalcade_controller::operate::request::{ApplyRequest, ReportAnswer, ReportRequest, VerbAnswer};
use cavalcade_controller::rpc::method::Method;
use cavalcade_tests::one_node;
use cavalcade_tests::product::Product;
use jiff::Timestamp;

fn main() -> anyhow::Result<()> {
    let steps = std::env::var("STEPS").ok().map_or(Ok(200), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let disk = syncs(folder.path())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let cycles = runtime.block_on(measure(folder.path(), steps))?;
    runtime.shutdown_background();
    show("one append and sync of 512 bytes on this disk", disk);
    show("one step, from the end of the one before to its own end", cycles);
    Ok(())
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() - 1) * percent / 100).copied().unwrap_or_default();
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap_or(u32::MAX).max(1);
    println!("{what} ({} times)", times.len());
    println!("  p50 {:.2?}   p90 {:.2?}   p99 {:.2?}   max {:.2?}   mean {mean:.2?}", at(50), at(90), at(99), at(100));
}

/// The disk's part: what the ledger does for one record.
fn syncs(folder: &Path) -> anyhow::Result<Vec<Duration>> {
    let mut file = RealHost::default().record_file(&folder.join("disk"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        file.append(&[0; 512])?;
        times.push(began.elapsed());
    }
    Ok(times)
}

async fn measure(folder: &Path, count: usize) -> anyhow::Result<Vec<Duration>> {
    let product = Product::start(folder).await?;
    let home = folder.join("home");
    std::fs::create_dir(&home)?;
    std::fs::write(home.join("settings"), "wanted\n")?;
    let edit =
        TextEdit { file: home.join("settings").display().to_string(), lines: vec!["wanted".to_owned()], ..TextEdit::default() };
    let actions = vec![Action::Text(edit); count];
    #[expect(clippy::disallowed_methods, reason = "a plan says when it was made")]
    let plan = HashedPlan::new(one_node::plan(&home, actions, Timestamp::now())?)?;
    let request = ApplyRequest {
        plan: plan.to_text()?,
        scope: Default::default(),
        supersedes: None,
        keep: Vec::new(),
        undo: Vec::new(),
        supersede_why: String::new(),
        stale_ok: false,
        waive: Vec::new(),
        confirm: None,
        secrets: Default::default(),
    };
    let _: VerbAnswer = product.ask(Method::Apply, &request).await?;
    product.until(|status| status.runs.iter().all(|r| r.closed_at.is_some())).await?;

    let report: ReportAnswer = product.ask(Method::Report, &ReportRequest::default()).await?;
    ensure!(report.outcomes.len() == count, "{} of {count} steps ended", report.outcomes.len());
    ensure!(report.outcomes.values().all(|o| o.fault.is_none() && !o.changed), "a step did something");
    let mut ends: Vec<Timestamp> = report.outcomes.values().map(|o| o.ended).collect();
    ends.sort_unstable();
    ends.windows(2).map(|two| Duration::try_from(two[1].duration_since(two[0])).context("time went back")).collect()
}
