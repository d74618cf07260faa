//! Messages from the agent.

use std::collections::BTreeMap;

use cavalcade_proto::v1;
use v1::from_agent::Message as Kind;

use super::WireError;
use super::field::{
    attempt, attempt_to_wire, incarnation, instant, instant_to_wire, json, json_to_wire, mark, name, required, required_attempt,
};
use super::parts::{Carried, Wired};
use super::report::{
    checked, checked_to_wire, evidence_from_wire, evidence_to_wire, observed_from_wire, observed_to_wire, preview,
    preview_to_wire, report, report_to_wire, shorten,
};
use crate::id::{Epoch, NodeId};
use crate::message::{Answer, FromAgent, Heartbeat, Hello, Seen};
use crate::report::Progress;

impl Carried for v1::FromAgent {
    fn of_part(part: v1::Part) -> Self {
        Self { message: Some(Kind::Part(part)) }
    }

    fn into_part(self) -> Result<v1::Part, Self> {
        match self.message {
            Some(Kind::Part(part)) => Ok(part),
            other => Err(Self { message: other }),
        }
    }
}

impl Wired for FromAgent {
    type Wire = v1::FromAgent;

    fn to_wire(self) -> Result<v1::FromAgent, WireError> {
        let kind = match self {
            Self::Hello(hello) => Kind::Hello(hello_to_wire(hello)),
            Self::Report { seq, mark, report } => Kind::Report(Box::new(report_to_wire(seq, mark, report))),
            Self::Progress { attempt, progress: Progress { done, total, label, quiet_seconds } } => {
                let attempt = Some(attempt_to_wire(attempt));
                Kind::Progress(v1::AttemptProgress { attempt, done, total, label, quiet_seconds })
            }
            Self::Heartbeat(Heartbeat { count, running, resident_kib, unconfirmed }) => {
                let unconfirmed = unconfirmed.into_iter().map(attempt_to_wire).collect();
                Kind::Heartbeat(v1::AgentHeartbeat { count, running, resident_kib, unconfirmed })
            }
            Self::AskPermit { nonce, attempt } => {
                Kind::AskPermit(v1::AskPermit { nonce, attempt: Some(attempt_to_wire(attempt)) })
            }
            Self::Probed { id, node, seen } => Kind::Probed(v1::Probed { id, node: node.into(), seen: Some(seen_to_wire(seen)) }),
            Self::Answer { id, answer } => Kind::Answered(v1::Answered { id, answer: Some(answer_to_wire(answer)?) }),
        };
        Ok(v1::FromAgent { message: Some(kind) })
    }

    fn from_wire(wire: v1::FromAgent) -> Result<Self, WireError> {
        let v1::FromAgent { message } = wire;
        Ok(match required(message, "from_agent.message")? {
            Kind::Hello(wire) => Self::Hello(hello(wire)?),
            Kind::Report(wire) => {
                let (seq, mark, report) = report(*wire)?;
                Self::Report { seq, mark, report }
            }
            Kind::Progress(v1::AttemptProgress { attempt, done, total, label, quiet_seconds }) => Self::Progress {
                attempt: required_attempt(attempt, "progress.attempt")?,
                progress: Progress { done, total, label, quiet_seconds },
            },
            Kind::Heartbeat(v1::AgentHeartbeat { count, running, resident_kib, unconfirmed }) => {
                let unconfirmed =
                    unconfirmed.into_iter().map(|a| attempt(a, "heartbeat.unconfirmed")).collect::<Result<_, _>>()?;
                Self::Heartbeat(Heartbeat { count, running, resident_kib, unconfirmed })
            }
            Kind::AskPermit(v1::AskPermit { nonce, attempt }) => {
                Self::AskPermit { nonce, attempt: required_attempt(attempt, "ask_permit.attempt")? }
            }
            Kind::Probed(v1::Probed { id, node, seen: wire }) => {
                Self::Probed { id, node: name(&node, "probed.node")?, seen: seen(required(wire, "probed.seen")?)? }
            }
            Kind::Answered(v1::Answered { id, answer: wire }) => {
                Self::Answer { id, answer: answer(required(wire, "answered.answer")?)? }
            }
            Kind::Part(v1::Part { id, .. }) => return Err(WireError::PartInterrupted { id }),
        })
    }

    fn too_large(self, bytes: u64, limit: u64) -> Option<Self> {
        match self {
            Self::Answer { id, answer: Ok(_) } => {
                let says = format!("the answer has {bytes} bytes, the link carries at most {limit}");
                Some(Self::Answer { id, answer: Err(says) })
            }
            Self::Report { seq, mark, report } => shorten(report, limit).map(|report| Self::Report { seq, mark, report }),
            Self::Hello(_)
            | Self::Progress { .. }
            | Self::Heartbeat(_)
            | Self::AskPermit { .. }
            | Self::Probed { .. }
            | Self::Answer { .. } => None,
        }
    }
}

fn hello_to_wire(hello: Hello) -> v1::Hello {
    let Hello { version, host, incarnation, program, highest_epoch, last_seq, acked, marks, open, utc_offset_seconds, zone, now } =
        hello;
    v1::Hello {
        version,
        host: host.into(),
        incarnation: incarnation.0,
        program,
        highest_epoch: highest_epoch.0,
        last_seq,
        acked,
        marks: marks.into_iter().map(|(seq, mark)| v1::ReportMark { seq, mark: mark.0 }).collect(),
        open: open.into_iter().map(attempt_to_wire).collect(),
        utc_offset_seconds,
        zone,
        now: Some(instant_to_wire(now)),
    }
}

fn hello(wire: v1::Hello) -> Result<Hello, WireError> {
    let v1::Hello {
        version,
        host,
        incarnation: id,
        program,
        highest_epoch,
        last_seq,
        acked,
        marks: told,
        open,
        utc_offset_seconds,
        now,
        zone,
    } = wire;
    let mut marks = BTreeMap::new();
    for v1::ReportMark { seq, mark: text } in told {
        marks.insert(seq, required(mark(text, "hello.marks")?, "hello.marks")?);
    }
    Ok(Hello {
        version,
        host: name(&host, "hello.host")?,
        incarnation: incarnation(id, "hello.incarnation")?,
        program,
        highest_epoch: Epoch(highest_epoch),
        last_seq,
        acked,
        marks,
        open: open.into_iter().map(|a| attempt(a, "hello.open")).collect::<Result<_, _>>()?,
        utc_offset_seconds,
        zone,
        now: instant(now, "hello.now")?,
    })
}

fn seen_to_wire(seen: Seen) -> v1::Seen {
    let Seen { ready, process, age_millis, old_down, evidence, observed } = seen;
    let observed = observed_to_wire(observed);
    v1::Seen { ready, process, age_millis, old_down, evidence: evidence_to_wire(evidence), observed }
}

fn seen(wire: v1::Seen) -> Result<Seen, WireError> {
    let v1::Seen { ready, process, age_millis, old_down, evidence, observed } = wire;
    let observed = observed_from_wire(observed)?;
    Ok(Seen { ready, process, age_millis, old_down, evidence: evidence_from_wire(evidence), observed })
}

fn answer_to_wire(answer: Result<Answer, String>) -> Result<v1::answered::Answer, WireError> {
    use v1::answered::Answer as Wire;
    Ok(match answer {
        Ok(Answer::Facts(facts)) => {
            let mut nodes = Vec::with_capacity(facts.len());
            for (node, facts) in facts {
                nodes.push(v1::NodeFacts { node: node.into(), facts_json: json_to_wire(&facts, "facts.facts_json")? });
            }
            Wire::Facts(v1::FactsAnswer { nodes })
        }
        Ok(Answer::Previews(previews)) => {
            Wire::Previews(v1::PreviewsAnswer { previews: previews.into_iter().map(preview_to_wire).collect() })
        }
        Ok(Answer::Checked(all)) => Wire::Checked(v1::CheckedAnswer { checked: all.into_iter().map(checked_to_wire).collect() }),
        Ok(Answer::Strangers(sessions)) => Wire::Strangers(v1::StrangersAnswer { sessions }),
        Ok(Answer::Judged(evidence)) => Wire::Judged(v1::EvidenceList { evidence: evidence_to_wire(evidence) }),
        Err(why) => Wire::Refused(why),
    })
}

fn answer(wire: v1::answered::Answer) -> Result<Result<Answer, String>, WireError> {
    use v1::answered::Answer as Wire;
    Ok(match wire {
        Wire::Facts(v1::FactsAnswer { nodes }) => {
            let mut facts = BTreeMap::new();
            for v1::NodeFacts { node, facts_json } in nodes {
                let node: NodeId = name(&node, "facts.node")?;
                facts.insert(node, json(&facts_json, "facts.facts_json")?);
            }
            Ok(Answer::Facts(facts))
        }
        Wire::Previews(v1::PreviewsAnswer { previews }) => {
            Ok(Answer::Previews(previews.into_iter().map(preview).collect::<Result<_, _>>()?))
        }
        Wire::Checked(v1::CheckedAnswer { checked: all }) => {
            Ok(Answer::Checked(all.into_iter().map(checked).collect::<Result<_, _>>()?))
        }
        Wire::Strangers(v1::StrangersAnswer { sessions }) => Ok(Answer::Strangers(sessions)),
        Wire::Judged(v1::EvidenceList { evidence }) => Ok(Answer::Judged(evidence_from_wire(evidence))),
        Wire::Refused(why) => Err(why),
    })
}
