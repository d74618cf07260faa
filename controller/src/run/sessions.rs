//! What the loop does with sessions and their messages.

use std::time::Duration;

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{AttemptId, HostId, Mark, NodeId};
use cavalcade_common::message::{Answer, Ask, FromAgent, Hello, LINK_VERSION, Seen, ToAgent};
use cavalcade_common::report::{Ending, Report};
use tokio::sync::{mpsc, oneshot};

use super::input::{Connected, SessionId};
use super::permit::PermitQuery;
use super::services::zone_of;
use super::{Asked, GIVEN_BACK_PAUSE, Link, RunLoop};
use crate::event::Event;
use crate::schedule::alone::{Look, Strangers};
use crate::state::step::Phase;
use crate::state::{HostState, Mode};

impl RunLoop {
    pub(super) fn session_up(&mut self, host: HostId, session: SessionId, hello: &Hello, to: mpsc::Sender<ToAgent>) {
        let lost = self.state.hosts.get(&host).filter(|known| known.incarnation == hello.incarnation);
        let lost = lost.and_then(|known| known.lost.as_ref());
        let refusal = if let Some((by, why)) = lost {
            Some(format!("{by} declared this host lost ({why}): enrol it anew"))
        } else if hello.version != LINK_VERSION {
            Some(format!("the agent speaks version {} of the link, this controller {LINK_VERSION}", hello.version))
        } else if hello.host != host {
            Some(format!("the agent calls itself {}, its certificate says {host}", hello.host))
        } else if hello.highest_epoch > self.state.epoch {
            Some(format!(
                "the agent has obeyed term {}, this controller has {}: its journal is behind",
                hello.highest_epoch.0, self.state.epoch.0
            ))
        } else {
            None
        };
        if let Some(why) = refusal {
            tracing::error!(%host, %why, "session refused");
            // The queue is new and empty: there is room. A peer that is gone needs no answer.
            let _ = to.try_send(ToAgent::Refuse { why: why.clone() });
            self.world.refused.insert(host, why);
            return;
        }
        if self.links.get(&host).is_some_and(|l| l.session > session) {
            tracing::warn!(%host, "a hello came late: a newer session is open");
            return;
        }
        let known = self.state.hosts.get(&host).filter(|h| h.incarnation == hello.incarnation);
        let other_past = known.is_some_and(|known| other_past(known, hello));
        let continues = known.is_some() && !other_past;
        // An older agent tells no marks: what it has beyond the journal is left out.
        let from = if hello.marks.is_empty() { hello.last_seq } else { hello.acked };
        let acked = known.map_or(0, |known| if other_past { from } else { known.last_seq });
        // A hello that was long under way tells of the past. That the ledger is another one, or was set back, counts only
        // when the session goes on: the agent sends nothing more before it has the welcome.
        let unproved = (!continues).then(|| Event::HostMet {
            host: host.clone(),
            incarnation: hello.incarnation.clone(),
            last_seq: from,
            mark: hello.marks.get(&from).cloned(),
            other_past,
        });
        let skew_millis = i64::try_from(self.clock.now().duration_since(hello.now).as_millis()).unwrap_or(i64::MAX);
        let connected =
            Connected { session, program: hello.program.clone(), skew_millis, resident_kib: 0, heard: self.world.now };
        self.connected.insert(host.clone(), connected);
        self.world.connected.insert(host.clone());
        self.world.refused.remove(&host);
        self.links.insert(host.clone(), Link { session, to, unproved, zone: zone_of(hello) });
        self.outbox.push((host.clone(), ToAgent::Welcome { epoch: self.state.epoch, acked }));
        if continues {
            self.offer_again(&host);
        }
    }

    /// The session goes on: what its hello said of the ledger counts now.
    fn prove(&mut self, host: &HostId) {
        self.prove_zone(host);
        let Some(met) = self.links.get_mut(host).and_then(|l| l.unproved.take()) else { return };
        self.happen_or_log(met);
        self.offer_again(host);
    }

    /// Confirms everything that the host has or may have (10, rule 3): the agent knows which of it is new.
    fn offer_again(&mut self, host: &HostId) {
        self.confirm(host, |_, phase, _| phase.is_under_way());
    }

    /// Offers the attempts of a host that stand so, in a run that is cancelled or not, once more. Those of a run that is
    /// cancelled are taken back instead, unless their effect is known to have begun: then the agent has to go on with it to its end.
    fn confirm(&mut self, host: &HostId, stands: impl Fn(&AttemptId, Phase, bool) -> bool) {
        let mut attempts: Vec<(AttemptId, bool)> = Vec::new();
        for run in self.state.open_runs() {
            let cancelled = matches!(run.mode, Mode::Cancelling { .. }) && !self.bugs.cancel_takes_nothing_back();
            for step in run.all_steps().filter(|s| &s.host == host) {
                let Some(state) = run.step(&step.key) else { continue };
                let attempt = AttemptId { run: run.id.clone(), step: step.key.clone(), number: state.attempt };
                if stands(&attempt, state.phase, cancelled) {
                    attempts.push((attempt, cancelled && state.phase != Phase::Running));
                }
            }
        }
        for (attempt, taken_back) in attempts {
            if taken_back {
                self.outbox.push((host.clone(), ToAgent::Withdraw { attempt, epoch: self.state.epoch }));
            } else {
                self.send_offer(host, &attempt);
            }
        }
    }

    pub(super) fn session_down(&mut self, host: &HostId, session: SessionId) {
        if self.links.get(host).is_none_or(|l| l.session != session) {
            return;
        }
        self.links.remove(host);
        self.connected.remove(host);
        self.world.connected.remove(host);
        self.looks_lost(host);
        let lost: Vec<u64> = self.asks.iter().filter(|(_, (h, _))| h == host).map(|(id, _)| *id).collect();
        for id in lost {
            if let Some((_, reply)) = self.asks.remove(&id) {
                let _ = reply.send(Err(unreachable_host(host)));
            }
        }
    }

    pub(super) fn message(&mut self, host: &HostId, message: FromAgent) {
        if let Some(connected) = self.connected.get_mut(host) {
            connected.heard = self.world.now;
        }
        self.prove(host);
        match message {
            FromAgent::Hello(_) => tracing::warn!(%host, "a second hello in one session is left out"),
            FromAgent::Report { seq, mark, report } => self.report(host, seq, mark, report),
            FromAgent::Progress { attempt, progress } => {
                if self.is_current(host, &attempt) {
                    self.progress.insert(attempt, (self.world.now, progress));
                }
            }
            FromAgent::Heartbeat(beat) => {
                if let Some(connected) = self.connected.get_mut(host) {
                    connected.resident_kib = beat.resident_kib;
                }
                self.outbox.push((host.clone(), ToAgent::Heartbeat { count: beat.count }));
                self.offer_lost(host, &beat.unconfirmed);
            }
            FromAgent::AskPermit { nonce, attempt } => self.ask_permit(host, nonce, attempt),
            FromAgent::Probed { id, node, seen } => self.probed(host, id, &node, seen),
            FromAgent::Answer { id, answer } => self.answered(host, id, answer),
        }
    }

    /// An offer that got lost inside a session shows as Offered without an answer: it is repeated with every heartbeat. One
    /// that was to confirm what an agent's earlier process left open shows in the heartbeat itself. In a run that is
    /// cancelled what was accepted and has not begun is asked back as often.
    fn offer_lost(&mut self, host: &HostId, unconfirmed: &[AttemptId]) {
        self.confirm(host, |attempt, phase, cancelled| {
            let waits = phase.is_under_way() && unconfirmed.contains(attempt);
            waits || phase == Phase::Offered || (cancelled && phase == Phase::Accepted)
        });
    }

    /// Whether this host has the current attempt of the step: an agent speaks for its own nodes only.
    fn is_current(&self, host: &HostId, attempt: &AttemptId) -> bool {
        self.state.runs.get(&attempt.run).is_some_and(|run| {
            run.plan_step(&attempt.step).is_some_and(|s| &s.host == host)
                && run.step(&attempt.step).is_some_and(|s| s.attempt == attempt.number && s.phase.is_under_way())
        })
    }

    fn report(&mut self, host: &HostId, seq: u64, mark: Option<Mark>, mut report: Report) {
        let Some(known) = self.state.hosts.get(host) else { return };
        let (last, incarnation) = (known.last_seq, known.incarnation.clone());
        if seq > last + 1 {
            // Something before it is under way or was lost: it comes again, in order.
            return;
        }
        if self.bugs.acks_before_the_journal() {
            self.send(host, ToAgent::Ack { seq });
        }
        // As if it were a new one.
        let seq = if self.bugs.takes_reports_twice() { last + 1 } else { seq };
        if seq == last + 1 {
            let attempt = report.attempt().clone();
            let foreign =
                self.state.runs.get(&attempt.run).is_some_and(|run| run.plan_step(&attempt.step).is_none_or(|s| &s.host != host));
            if foreign {
                tracing::error!(%host, %attempt, "an agent reported a step of another host; the session is cut");
                if let Some(link) = self.links.get(host) {
                    let session = link.session;
                    self.session_down(host, session);
                }
                return;
            }
            let ended = matches!(report, Report::Ended { .. } | Report::Abandoned { .. });
            let pause = self.pause_after(&report);
            let mut restored = self.restored_by_hand(host, &report);
            if self.is_current(host, &attempt) {
                restored.extend(self.restored_by(&report));
            }
            // An event of its own, so that the report's own body stays what it was.
            let observed = match &mut report {
                Report::Ended { outcome, .. } => std::mem::take(&mut outcome.observed),
                Report::Accepted { .. } | Report::Began { .. } | Report::WorkEnded { .. } | Report::Abandoned { .. } => {
                    Vec::new()
                }
            };
            if !self.happen_or_log(Event::Reported { host: host.clone(), incarnation, seq, mark, report }) {
                return;
            }
            self.services_seen(&attempt.run, &attempt.step.node, &observed);
            if let Some(pause) = pause {
                self.pause_step(attempt.step.clone(), pause);
            }
            for event in restored {
                self.happen_or_log(event);
            }
            if ended {
                self.progress.remove(&attempt);
            }
        }
        let acked = self.state.hosts.get(host).map_or(0, |h| h.last_seq);
        self.outbox.push((host.clone(), ToAgent::Ack { seq: acked }));
    }

    /// How long the step rests after this report.
    fn pause_after(&self, report: &Report) -> Option<Duration> {
        let attempt = report.attempt();
        match report {
            Report::Abandoned { .. } => Some(GIVEN_BACK_PAUSE),
            Report::Ended { outcome, .. } if outcome.ending == Ending::Failed => {
                let run = self.state.runs.get(&attempt.run)?;
                if outcome.refused_a_permit() {
                    return Some(GIVEN_BACK_PAUSE);
                }
                let wait = run.plan_step(&attempt.step)?.retry.wait;
                let failures = run.step(&attempt.step)?.failures;
                Some(wait.saturating_mul(2_u32.saturating_pow(failures.min(10))).min(wait.saturating_mul(10)))
            }
            Report::Accepted { .. } | Report::Began { .. } | Report::WorkEnded { .. } | Report::Ended { .. } => None,
        }
    }

    fn probed(&mut self, host: &HostId, id: u64, node: &NodeId, seen: Seen) {
        // An agent speaks for its own nodes only; a foreign answer does not use up the question.
        if !self.probes.get(&id).is_some_and(|asked| &asked.host == host && &asked.node == node) {
            tracing::warn!(%host, %node, "an answer to a look that was not asked of this host");
            return;
        }
        let Some(Asked { run, permit, .. }) = self.probes.remove(&id) else { return };
        let at = self.world.now.saturating_sub(Duration::from_millis(seen.age_millis));
        let journaled = self.state.servers.get(node).cloned();
        if let Some(nonce) = permit {
            self.permit_look(&nonce, node, &seen, journaled.as_ref());
        }
        if seen.ready && journaled.as_ref() != Some(&seen.process) {
            self.happen_or_log(Event::ServerSeen { node: node.clone(), process: seen.process.clone() });
        }
        self.services_seen(&run, node, &seen.observed);
        self.world.seen.insert(node.clone(), (at, seen));
    }

    fn ask_permit(&mut self, host: &HostId, nonce: String, attempt: AttemptId) {
        if self.permits.contains_key(&nonce) {
            return;
        }
        if !self.is_current(host, &attempt) {
            let answer = Err("the attempt is not the current one".to_owned());
            self.outbox.push((host.clone(), ToAgent::Permit { nonce, answer }));
            return;
        }
        let Some(run) = self.state.runs.get(&attempt.run) else { return };
        let Some(step) = run.plan_step(&attempt.step) else { return };
        if let Some(why) = self.cancelled(&attempt) {
            self.outbox.push((host.clone(), ToAgent::Permit { nonce, answer: Err(why) }));
            return;
        }
        let query = PermitQuery::new(host.clone(), attempt.clone(), step, self.world.now);
        let (nodes, looks) = (query.nodes(), query.looks().clone());
        self.permits.insert(nonce.clone(), query);
        if nodes.is_empty() && looks.is_empty() {
            self.give_permit(&nonce);
        }
        for node in nodes {
            self.send_probe(&attempt.run, &node, Some(nonce.clone()));
        }
        for (look, from) in looks {
            self.send_look(look, &from, Some(nonce.clone()));
        }
    }

    pub(super) fn permit_alone(&mut self, nonce: &str, look: &Look, found: &Strangers) {
        let Some(query) = self.permits.get_mut(nonce) else { return };
        let taken = query.take_look(look, found);
        self.permit_shown(nonce, taken);
    }

    fn permit_look(&mut self, nonce: &str, node: &NodeId, seen: &Seen, journaled: Option<&String>) {
        let Some(query) = self.permits.get_mut(nonce) else { return };
        let taken = query.take(node, seen, journaled);
        self.permit_shown(nonce, taken);
    }

    fn permit_shown(&mut self, nonce: &str, taken: Result<(), String>) {
        match taken {
            Err(missing) => self.refuse_permit(nonce, missing),
            Ok(()) if self.permits.get(nonce).is_some_and(|query| query.missing().is_empty()) => self.give_permit(nonce),
            Ok(()) => {}
        }
    }

    /// Nothing is launched for a run that is cancelled: what was accepted before is given back, and a script that was
    /// interrupted stays where its ledger says.
    fn cancelled(&self, attempt: &AttemptId) -> Option<String> {
        let mode = &self.state.runs.get(&attempt.run)?.mode;
        matches!(mode, Mode::Cancelling { .. }).then(|| format!("run {} is cancelled", attempt.run))
    }

    fn give_permit(&mut self, nonce: &str) {
        if let Some(why) = self.permits.get(nonce).and_then(|query| self.cancelled(&query.attempt)) {
            return self.refuse_permit(nonce, why);
        }
        let Some(query) = self.permits.remove(nonce) else { return };
        let (host, attempt) = (query.host.clone(), query.attempt.clone());
        let evidence = query.evidence();
        let event = Event::Permitted { attempt, nonce: nonce.to_owned(), evidence: evidence.clone() };
        if self.happen_or_log(event) {
            self.outbox.push((host, ToAgent::Permit { nonce: nonce.to_owned(), answer: Ok(evidence) }));
        }
    }

    fn refuse_permit(&mut self, nonce: &str, missing: String) {
        let Some(query) = self.permits.remove(nonce) else { return };
        self.outbox.push((query.host, ToAgent::Permit { nonce: nonce.to_owned(), answer: Err(missing) }));
    }

    pub(super) fn expire_permits(&mut self) {
        let late: Vec<(String, String)> = self
            .permits
            .iter()
            .filter(|(_, q)| q.deadline <= self.world.now)
            .map(|(nonce, q)| (nonce.clone(), format!("no answer of {} within 20 s", q.missing().join(", "))))
            .collect();
        for (nonce, why) in late {
            self.refuse_permit(&nonce, why);
        }
        self.expire_looks();
        // Answers that never came: the nodes are asked again under new numbers.
        while self.probes.len() > 4096 {
            self.probes.pop_first();
        }
    }

    pub(super) fn ask(&mut self, host: HostId, ask: Ask, reply: oneshot::Sender<Result<Answer, Fault>>) {
        if !self.links.contains_key(&host) {
            let _ = reply.send(Err(unreachable_host(&host)));
            return;
        }
        let id = self.id();
        self.asks.insert(id, (host.clone(), reply));
        self.outbox.push((host, ToAgent::Ask { id, ask: Box::new(ask) }));
    }

    fn answered(&mut self, host: &HostId, id: u64, answer: Result<Answer, String>) {
        let Some(answer) = self.look_answered(host, id, answer) else { return };
        let Some((asked, reply)) = self.asks.remove(&id) else { return };
        let answer = if &asked == host {
            answer.map_err(|why| Fault::new(codes::run::AGENT_ANSWER, why).on(host))
        } else {
            Err(Fault::new(codes::run::AGENT_ANSWER, "another host answered").on(host))
        };
        let _ = reply.send(answer);
    }
}

fn unreachable_host(host: &HostId) -> Fault {
    Fault::new(codes::run::HOST_UNREACHABLE, format!("the agent of {host} is not connected")).on(host)
}

/// Whether the ledger that a hello tells of is not the one that the journal knows: it is behind, or it was set back and holds
/// other reports under the same numbers, or knows more to be journaled than is (10, rule 2).
fn other_past(known: &HostState, hello: &Hello) -> bool {
    let told = hello.marks.get(&known.last_seq).or(known.mark.as_ref());
    let differs = known.mark.as_ref().is_some_and(|journaled| Some(journaled) != told);
    hello.last_seq < known.last_seq || hello.acked > known.last_seq || differs
}
