//! `http`, `tcp`, `log`: gates that wait and change nothing.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use cavalcade_common::action::{HttpGate, LogGate, TcpGate};
use cavalcade_common::codes::server as codes;
use cavalcade_common::duration;
use cavalcade_common::error::Fault;
use cavalcade_common::report::{Evidence, Preview, Progress, Verdict};
use regex::Regex;

use super::launch::not_seen;
use super::{Act, Applied, Context, Failure};
use crate::follow::Follower;
use crate::ready::{address_accepts, pattern, shortened, url_answers};

const POLL: Duration = Duration::from_secs(1);

fn waits_for(what: &str, within: Duration) -> Preview {
    let says = format!("waits for {what}, at most {}", duration::format(within));
    Preview { verdict: Verdict::Same, says, diffs: Vec::new() }
}

fn open(evidence: Evidence) -> Applied {
    Applied { changed: false, diffs: Vec::new(), evidence: vec![evidence] }
}

fn closed(evidence: Evidence) -> Failure {
    let fault = Fault::new(codes::GATE_CLOSED, format!("{}: {}", evidence.what, evidence.found));
    Failure::Failed { fault, changed: false, evidence: vec![evidence] }
}

/// One look at what a gate waits for.
#[async_trait]
trait Look: Send {
    async fn look(&mut self, cx: &Context) -> Result<Evidence, Failure>;
}

/// Looks until it holds or the time is up.
async fn until(cx: &Context, within: Duration, gate: &mut dyn Look) -> Result<Applied, Failure> {
    let began = cx.host.monotonic();
    loop {
        let evidence = gate.look(cx).await?;
        let elapsed = cx.host.monotonic().saturating_sub(began);
        if evidence.holds {
            return Ok(open(evidence));
        }
        if elapsed >= within {
            return Err(closed(evidence));
        }
        let waited = duration::format(Duration::from_secs(elapsed.as_secs()));
        let label = format!("waits {waited} for {}: {}", evidence.what, evidence.found);
        cx.out.progress(Progress { done: 0, total: 0, label: cx.secrets.redact(&label), quiet_seconds: 0 });
        tokio::time::sleep(POLL.min(within.saturating_sub(elapsed))).await;
    }
}

#[async_trait]
impl Look for &HttpGate {
    async fn look(&mut self, cx: &Context) -> Result<Evidence, Failure> {
        Ok(url_answers(&*cx.host, &self.check, false).await)
    }
}

#[async_trait]
impl Look for &TcpGate {
    async fn look(&mut self, cx: &Context) -> Result<Evidence, Failure> {
        Ok(address_accepts(&*cx.host, &self.address).await)
    }
}

#[async_trait]
impl Act for HttpGate {
    async fn inspect(&self, _cx: &Context) -> Result<Preview, Failure> {
        if let Some(body) = &self.check.body {
            pattern(body)?;
        }
        Ok(waits_for(&self.check.url, self.within))
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        if let Some(body) = &self.check.body {
            pattern(body)?;
        }
        let mut gate = self;
        until(cx, self.within, &mut gate).await
    }

    async fn verify(&self, _cx: &Context) -> Result<Vec<Evidence>, Failure> {
        // What `apply` saw is the evidence: a gate leaves nothing behind that could be looked at.
        Ok(Vec::new())
    }
}

#[async_trait]
impl Act for TcpGate {
    async fn inspect(&self, _cx: &Context) -> Result<Preview, Failure> {
        Ok(waits_for(&self.address, self.within))
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let mut gate = self;
        until(cx, self.within, &mut gate).await
    }

    async fn verify(&self, _cx: &Context) -> Result<Vec<Evidence>, Failure> {
        Ok(Vec::new())
    }
}

/// A log gate at work: the whole file counts, from its beginning.
struct LogLook {
    wanted: Regex,
    failed: Vec<Regex>,
    follower: Follower,
    what: String,
}

impl LogLook {
    fn new(gate: &LogGate) -> Result<Self, Fault> {
        Ok(Self {
            wanted: pattern(&gate.pattern)?,
            failed: gate.failed.iter().map(|p| pattern(p)).collect::<Result<_, _>>()?,
            follower: Follower::from(PathBuf::from(&gate.file), None),
            what: format!("line of {} that matches {:?}", gate.file, gate.pattern),
        })
    }
}

#[async_trait]
impl Look for LogLook {
    async fn look(&mut self, cx: &Context) -> Result<Evidence, Failure> {
        loop {
            let followed = self.follower.poll(&*cx.host).map_err(|e| not_seen("the log cannot be read", &e))?;
            for line in &followed.lines {
                let shown = cx.secrets.redact(&shortened(line));
                if self.failed.iter().any(|p| p.is_match(line)) {
                    return Err(closed(Evidence::fails(&self.what, format!("the log says: {shown}"))));
                }
                if self.wanted.is_match(line) {
                    return Ok(Evidence::holds(&self.what, shown));
                }
            }
            if !followed.more {
                return Ok(Evidence::fails(&self.what, "none yet"));
            }
        }
    }
}

#[async_trait]
impl Act for LogGate {
    async fn inspect(&self, _cx: &Context) -> Result<Preview, Failure> {
        let look = LogLook::new(self)?;
        Ok(waits_for(&look.what, self.within))
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let mut log = LogLook::new(self)?;
        until(cx, self.within, &mut log).await
    }

    async fn verify(&self, _cx: &Context) -> Result<Vec<Evidence>, Failure> {
        Ok(Vec::new())
    }
}
