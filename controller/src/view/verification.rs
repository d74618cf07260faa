//! What the looking steps of a plan saw, grouped by node. Pure.

use serde::Serialize;

use super::text::{Line, Style, wrap};
use crate::operate::request::{VerifyAnswer, VerifyItem};

/// Columns of the text.
const WIDTH: usize = 79;
/// Column of what was found.
const FOUND: &str = "          ";

/// Steps by what they saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// All that they saw is as wanted.
    pub holds: usize,
    /// Something is not.
    pub open: usize,
    /// Nobody looked.
    pub unasked: usize,
}

impl Verdicts {
    /// Counts.
    #[must_use]
    pub fn of(items: &[VerifyItem]) -> Self {
        let mut counts = Self::default();
        for item in items {
            match &item.checked {
                Ok(checked) if checked.holds => counts.holds += 1,
                Ok(_) => counts.open += 1,
                Err(_) => counts.unasked += 1,
            }
        }
        counts
    }
}

/// The whole answer.
#[must_use]
pub fn verification(answer: &VerifyAnswer, colour: bool) -> String {
    let mut out = String::new();
    let mut nodes: Vec<&str> = Vec::new();
    for item in &answer.items {
        let node = item.step.node.as_str();
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    for node in &nodes {
        out.push_str(&Line::of(" ").add(Style::Bold, node).render(WIDTH, colour));
        out.push('\n');
        for item in answer.items.iter().filter(|i| i.step.node.as_str() == *node) {
            out.push_str(&step(item, colour));
        }
    }
    out + "\n" + &summary(answer, nodes.len())
}

fn step(item: &VerifyItem, colour: bool) -> String {
    let (mark, style, word) = match &item.checked {
        Ok(checked) if checked.holds => ("=", Style::Green, "holds"),
        Ok(_) => ("x", Style::Red, "does not hold"),
        Err(_) => ("?", Style::Yellow, "not asked"),
    };
    let place = format!("{}.{}", item.step.stage, item.step.step);
    let row = item.row.as_ref().map_or_else(String::new, |row| format!(" ({row})"));
    let head = Line::of("   ").add(style, mark).text(format!(" {place} ")).add(Style::Bold, &item.name).text(row);
    let head = if head.width() + word.len() < WIDTH { head.to_column(WIDTH - word.len()) } else { head.text("   ") };
    let mut out = head.add(style, word).render(WIDTH, colour) + "\n";
    let fault = match &item.checked {
        Ok(checked) => {
            for evidence in &checked.evidence {
                let mark = if evidence.holds { "" } else { "NOT AS WANTED: " };
                let text = format!("{}: {mark}{}", evidence.what, evidence.found);
                out.push_str(&wrap(&text, WIDTH, "        - ", FOUND));
            }
            // The fault of a gate repeats the evidence that does not hold.
            checked.fault.as_ref().filter(|_| checked.evidence.iter().all(|e| e.holds))
        }
        Err(fault) => Some(fault),
    };
    if let Some(fault) = fault {
        out.push_str(&wrap(&format!("{}: {}", fault.code, fault.message), WIDTH, "        - ", FOUND));
    }
    out
}

fn summary(answer: &VerifyAnswer, nodes: usize) -> String {
    let counts = Verdicts::of(&answer.items);
    let on = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
    let mut text = format!("Verified {}: {} of {} steps hold on {on}", answer.fleet, counts.holds, answer.items.len());
    if counts.open > 0 {
        text.push_str(&format!("; {} {} not", counts.open, if counts.open == 1 { "does" } else { "do" }));
    }
    if counts.unasked > 0 {
        text.push_str(&format!("; nobody looked for {}", counts.unasked));
    }
    wrap(&format!("{text}. Nothing was changed."), WIDTH, "", "  ")
}

#[cfg(test)]
mod tests {
    use cavalcade_common::codes;
    use cavalcade_common::error::Fault;
    use cavalcade_common::id::{Digest, StepKey};
    use cavalcade_common::report::{Checked, Evidence};

    use super::*;

    fn item(key: &str, name: &str, checked: Result<Checked, Fault>) -> VerifyItem {
        let step: StepKey = serde_json::from_value(key.into()).expect("a key");
        VerifyItem { step, name: name.to_owned(), row: Some("D16".to_owned()), checked }
    }

    fn saw(evidence: Vec<Evidence>, fault: Option<Fault>) -> Result<Checked, Fault> {
        Ok(Checked { holds: fault.is_none() && evidence.iter().all(|e| e.holds), evidence, fault })
    }

    #[test]
    fn it_looks_like_this() {
        let health = Evidence::holds("GET https://is-1:9443/api/health-check/v1.0/health", "status 200, 15 bytes");
        let refused = Evidence::fails("token: POST https://is-1:9443/oauth2/token", "status 401, 33 bytes");
        let closed = Fault::new(codes::server::GATE_CLOSED, "token: POST https://is-1:9443/oauth2/token: status 401");
        let gone = Fault::new(codes::run::HOST_UNREACHABLE, "gw-1.example.com is not connected");
        let lost = Fault::new(codes::database::ASSERTION, "am_db: every API has its UUID");
        let answer = VerifyAnswer {
            plan: Digest::of(b"plan"),
            fleet: "emea-production".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            asks: std::collections::BTreeMap::new(),
            items: vec![
                item("16.1@is-1", "health", saw(vec![health.clone()], None)),
                item("16.1@gw-1", "menu", Err(gone)),
                item("16.2@is-1", "token-through-is", saw(vec![refused], Some(closed))),
                item("16.3@is-1", "apis", saw(vec![health], Some(lost))),
            ],
        };
        let text = verification(&answer, false);
        insta::assert_snapshot!(text);
        assert_eq!(console::strip_ansi_codes(&verification(&answer, true)), text);
        assert_eq!(Verdicts::of(&answer.items), Verdicts { holds: 1, open: 2, unasked: 1 });
    }
}
