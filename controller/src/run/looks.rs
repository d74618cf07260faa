//! Looks at who is in a database, for the scheduler and for permits (10, rule 16). The agent of the node that the database is
//! worked on from answers; a missing answer is never "nobody".

use std::time::Duration;

use cavalcade_common::id::{HostId, NodeId};
use cavalcade_common::message::{Answer, Ask, ToAgent};
use cavalcade_common::secret::markers;

use super::RunLoop;
use crate::schedule::alone::{LOOK_LIMIT, Look, Strangers};

/// Most sessions that are named, and the most characters of each.
const MOST: usize = 12;
const LONGEST: usize = 200;

/// A look whose answer is awaited.
#[derive(Debug)]
pub(super) struct UnderWay {
    host: HostId,
    look: Look,
    asked: Duration,
    /// The question for a permit that it serves.
    permit: Option<String>,
}

impl RunLoop {
    /// Asks who is in a database.
    pub(super) fn send_look(&mut self, look: Look, from: &NodeId, permit: Option<String>) {
        let Some(run) = self.state.runs.get(&look.run) else { return };
        let plan = &run.plan.plan;
        let (target, node) = (plan.databases.get(&look.database).cloned(), plan.node(from));
        let (Some(target), Some(host)) = (target, node.map(|n| n.host.clone())) else {
            let why = format!("the plan does not say where {} is worked on from", look.database);
            return self.looked(look, self.world.now, permit, Err(why));
        };
        let named = markers(&target.password).into_iter().map(str::to_owned).collect();
        let Some((secrets, given)) = self.secrets_named(run, named) else {
            let why = "the secret of its account is not there".to_owned();
            return self.looked(look, self.world.now, permit, Err(why));
        };
        let ask = Ask::Strangers { database: Box::new(target), but_from: look.but_from.clone(), secrets, given };
        let id = self.id();
        self.looks.insert(id, UnderWay { host: host.clone(), look, asked: self.world.now, permit });
        self.outbox.push((host, ToAgent::Ask { id, ask: Box::new(ask) }));
    }

    /// Takes an answer, if it is one to a look; else gives it back.
    pub(super) fn look_answered(
        &mut self,
        host: &HostId,
        id: u64,
        answer: Result<Answer, String>,
    ) -> Option<Result<Answer, String>> {
        let Some(under_way) = self.looks.get(&id) else { return Some(answer) };
        if under_way.host != *host {
            tracing::warn!(%host, "an answer to a look that was not asked of this host");
            return None;
        }
        let UnderWay { look, asked, permit, .. } = self.looks.remove(&id)?;
        let found = match answer {
            // An agent is a peer like any other: what it says is cut to what a person reads.
            Ok(Answer::Strangers(found)) => Ok(found.iter().take(MOST).map(|s| s.chars().take(LONGEST).collect()).collect()),
            Ok(Answer::Facts(_) | Answer::Previews(_) | Answer::Checked(_) | Answer::Judged(_)) => {
                Err("its agent answered something else".to_owned())
            }
            Err(why) => Err(why),
        };
        self.looked(look, asked, permit, found);
        None
    }

    /// What was seen counts from when it was asked for: the look was not before that.
    fn looked(&mut self, look: Look, asked: Duration, permit: Option<String>, found: Strangers) {
        match permit {
            Some(nonce) => self.permit_alone(&nonce, &look, &found),
            None => {
                self.world.looking.remove(&look);
            }
        }
        self.world.sessions.insert(look, (asked, found));
    }

    /// The session of a host is gone, and with it what was asked in it.
    pub(super) fn looks_lost(&mut self, host: &HostId) {
        self.forget_looks(|under_way| under_way.host == *host);
    }

    /// Answers that never came, and what was seen in runs that are over.
    pub(super) fn expire_looks(&mut self) {
        let now = self.world.now;
        self.forget_looks(|under_way| now.saturating_sub(under_way.asked) >= LOOK_LIMIT);
        let runs = &self.state.runs;
        self.world.sessions.retain(|look, _| runs.get(&look.run).is_some_and(|run| !run.is_closed()));
    }

    fn forget_looks(&mut self, which: impl Fn(&UnderWay) -> bool) {
        let gone: Vec<u64> = self.looks.iter().filter(|(_, under_way)| which(under_way)).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(UnderWay { look, permit: None, .. }) = self.looks.remove(&id) {
                self.world.looking.remove(&look);
            }
        }
    }
}
