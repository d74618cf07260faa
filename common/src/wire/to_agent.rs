//! Messages to the agent.

use std::collections::BTreeMap;

use cavalcade_proto::v1;
use v1::to_agent::Message as Kind;

use super::WireError;
use super::field::{attempt_to_wire, json, json_to_wire, name, required, required_attempt};
use super::parts::{Carried, Wired};
use super::report::{evidence_from_wire, evidence_to_wire};
use crate::given::GivenSecrets;
use crate::id::{EffectKey, Epoch, Generation};
use crate::message::{ApprovedRepeat, Ask, Offer, ToAgent};
use crate::report::Evidence;
use crate::secret::SecretValue;

impl Carried for v1::ToAgent {
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

impl Wired for ToAgent {
    type Wire = v1::ToAgent;

    fn to_wire(self) -> Result<v1::ToAgent, WireError> {
        let kind = match self {
            Self::Welcome { epoch, acked } => Kind::Welcome(v1::Welcome { epoch: epoch.0, acked }),
            Self::Refuse { why } => Kind::Refuse(v1::Refuse { why }),
            Self::Offer(offer) => Kind::Offer(Box::new(offer_to_wire(*offer)?)),
            Self::Ack { seq } => Kind::Ack(v1::Ack { seq }),
            Self::Withdraw { attempt, epoch } => {
                Kind::Withdraw(v1::Withdraw { attempt: Some(attempt_to_wire(attempt)), epoch: epoch.0 })
            }
            Self::StopJob { attempt, epoch, why } => {
                Kind::StopJob(v1::StopJob { attempt: Some(attempt_to_wire(attempt)), epoch: epoch.0, why })
            }
            Self::Permit { nonce, answer } => Kind::Permit(v1::Permit { nonce, answer: Some(permit_to_wire(answer)) }),
            Self::Probe { id, node, probe, old_home } => {
                let probe_json = probe.map(|probe| json_to_wire(&probe, "probe.probe_json")).transpose()?;
                Kind::Probe(v1::ProbeNode { id, node: node.into(), probe_json, old_home })
            }
            Self::Ask { id, ask } => Kind::Ask(v1::Ask { id, ask: Some(ask_to_wire(*ask)?) }),
            Self::Heartbeat { count } => Kind::Heartbeat(v1::ControllerHeartbeat { count }),
        };
        Ok(v1::ToAgent { message: Some(kind) })
    }

    fn from_wire(wire: v1::ToAgent) -> Result<Self, WireError> {
        let v1::ToAgent { message } = wire;
        Ok(match required(message, "to_agent.message")? {
            Kind::Welcome(v1::Welcome { epoch, acked }) => Self::Welcome { epoch: Epoch(epoch), acked },
            Kind::Refuse(v1::Refuse { why }) => Self::Refuse { why },
            Kind::Offer(wire) => Self::Offer(Box::new(offer(*wire)?)),
            Kind::Ack(v1::Ack { seq }) => Self::Ack { seq },
            Kind::Withdraw(v1::Withdraw { attempt, epoch }) => {
                Self::Withdraw { attempt: required_attempt(attempt, "withdraw.attempt")?, epoch: Epoch(epoch) }
            }
            Kind::StopJob(v1::StopJob { attempt, epoch, why }) => {
                Self::StopJob { attempt: required_attempt(attempt, "stop_job.attempt")?, epoch: Epoch(epoch), why }
            }
            Kind::Permit(v1::Permit { nonce, answer }) => {
                Self::Permit { nonce, answer: permit(required(answer, "permit.answer")?) }
            }
            Kind::Probe(v1::ProbeNode { id, node, probe_json, old_home }) => Self::Probe {
                id,
                node: name(&node, "probe.node")?,
                probe: probe_json.map(|text| json(&text, "probe.probe_json")).transpose()?,
                old_home,
            },
            Kind::Ask(v1::Ask { id, ask: wire }) => Self::Ask { id, ask: Box::new(ask(required(wire, "ask.ask")?)?) },
            Kind::Heartbeat(v1::ControllerHeartbeat { count }) => Self::Heartbeat { count },
            Kind::Part(v1::Part { id, .. }) => return Err(WireError::PartInterrupted { id }),
        })
    }

    fn too_large(self, _bytes: u64, _limit: u64) -> Option<Self> {
        None
    }
}

fn offer_to_wire(offer: Offer) -> Result<v1::Offer, WireError> {
    let Offer { attempt, epoch, generation, step, home, incarnations, secrets, also_hide, given, hide, approved, decision } =
        offer;
    Ok(v1::Offer {
        attempt: Some(attempt_to_wire(attempt)),
        epoch: epoch.0,
        generation: generation.0,
        step_json: json_to_wire(&step, "offer.step_json")?,
        secrets_json: json_to_wire(&secrets, "offer.secrets_json")?,
        also_hide_json: if also_hide.is_empty() { Vec::new() } else { json_to_wire(&also_hide, "offer.also_hide_json")? },
        given: given_to_wire(&given),
        hide,
        approved: approved.map(|ApprovedRepeat { effect, replaces, says }| v1::ApprovedRepeat {
            effect: effect.0,
            replaces: Some(attempt_to_wire(replaces)),
            says,
        }),
        decision,
        home,
        incarnations: incarnations.into_iter().collect(),
    })
}

fn offer(wire: v1::Offer) -> Result<Offer, WireError> {
    let v1::Offer {
        attempt,
        epoch,
        generation,
        step_json,
        secrets_json,
        also_hide_json,
        given,
        hide,
        approved,
        decision,
        home,
        incarnations,
    } = wire;
    Ok(Offer {
        attempt: required_attempt(attempt, "offer.attempt")?,
        epoch: Epoch(epoch),
        generation: Generation(generation),
        step: json(&step_json, "offer.step_json")?,
        secrets: json(&secrets_json, "offer.secrets_json")?,
        also_hide: match also_hide_json.is_empty() {
            true => BTreeMap::new(),
            false => json(&also_hide_json, "offer.also_hide_json")?,
        },
        given: given_from_wire(given),
        hide,
        approved: approved.map(approved_repeat).transpose()?,
        decision,
        home,
        incarnations: incarnations.into_iter().collect(),
    })
}

fn given_to_wire(given: &GivenSecrets) -> Vec<v1::GivenSecret> {
    given.iter().map(|(name, value)| v1::GivenSecret { name: name.clone(), value: value.expose().to_owned() }).collect()
}

fn given_from_wire(wire: Vec<v1::GivenSecret>) -> GivenSecrets {
    wire.into_iter().map(|v1::GivenSecret { name, value }| (name, SecretValue::new(value))).collect()
}

fn approved_repeat(wire: v1::ApprovedRepeat) -> Result<ApprovedRepeat, WireError> {
    let v1::ApprovedRepeat { effect, replaces, says } = wire;
    Ok(ApprovedRepeat { effect: EffectKey(effect), replaces: required_attempt(replaces, "approved.replaces")?, says })
}

fn permit_to_wire(answer: Result<Vec<Evidence>, String>) -> v1::permit::Answer {
    match answer {
        Ok(evidence) => v1::permit::Answer::Granted(v1::EvidenceList { evidence: evidence_to_wire(evidence) }),
        Err(why) => v1::permit::Answer::Refused(why),
    }
}

fn permit(wire: v1::permit::Answer) -> Result<Vec<Evidence>, String> {
    match wire {
        v1::permit::Answer::Granted(v1::EvidenceList { evidence }) => Ok(evidence_from_wire(evidence)),
        v1::permit::Answer::Refused(why) => Err(why),
    }
}

fn ask_to_wire(ask: Ask) -> Result<v1::ask::Ask, WireError> {
    use v1::ask::Ask as Wire;
    Ok(match ask {
        Ask::Facts(wanted) => Wire::Facts(v1::AskFacts { wanted_json: json_to_wire(&wanted, "ask.facts.wanted_json")? }),
        Ask::Preview { steps, secrets, given, hide } => Wire::Preview(v1::AskPreview {
            steps_json: json_to_wire(&steps, "ask.preview.steps_json")?,
            secrets_json: json_to_wire(&secrets, "ask.preview.secrets_json")?,
            given: given_to_wire(&given),
            hide,
        }),
        Ask::Check { steps, secrets, given, hide } => Wire::Check(v1::AskCheck {
            steps_json: json_to_wire(&steps, "ask.check.steps_json")?,
            secrets_json: json_to_wire(&secrets, "ask.check.secrets_json")?,
            given: given_to_wire(&given),
            hide,
        }),
        Ask::Strangers { database, but_from, secrets, given } => Wire::Strangers(v1::AskStrangers {
            database_json: json_to_wire(&database, "ask.strangers.database_json")?,
            but_from,
            secrets_json: json_to_wire(&secrets, "ask.strangers.secrets_json")?,
            given: given_to_wire(&given),
        }),
        Ask::Rejudge { attempt, evidence } => Wire::Rejudge(v1::AskRejudge {
            attempt: Some(attempt_to_wire(attempt)),
            evidence_json: json_to_wire(&evidence, "ask.rejudge.evidence_json")?,
        }),
    })
}

fn ask(wire: v1::ask::Ask) -> Result<Ask, WireError> {
    use v1::ask::Ask as Wire;
    Ok(match wire {
        Wire::Facts(v1::AskFacts { wanted_json }) => Ask::Facts(json(&wanted_json, "ask.facts.wanted_json")?),
        Wire::Preview(v1::AskPreview { steps_json, secrets_json, given, hide }) => Ask::Preview {
            steps: json(&steps_json, "ask.preview.steps_json")?,
            secrets: json(&secrets_json, "ask.preview.secrets_json")?,
            given: given_from_wire(given),
            hide,
        },
        Wire::Check(v1::AskCheck { steps_json, secrets_json, given, hide }) => Ask::Check {
            steps: json(&steps_json, "ask.check.steps_json")?,
            secrets: json(&secrets_json, "ask.check.secrets_json")?,
            given: given_from_wire(given),
            hide,
        },
        Wire::Strangers(v1::AskStrangers { database_json, but_from, secrets_json, given }) => Ask::Strangers {
            database: json(&database_json, "ask.strangers.database_json")?,
            but_from,
            secrets: json(&secrets_json, "ask.strangers.secrets_json")?,
            given: given_from_wire(given),
        },
        Wire::Rejudge(v1::AskRejudge { attempt, evidence_json }) => Ask::Rejudge {
            attempt: required_attempt(attempt, "ask.rejudge.attempt")?,
            evidence: json(&evidence_json, "ask.rejudge.evidence_json")?,
        },
    })
}
