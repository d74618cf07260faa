//! A record of the central log as lines: address, time, level, text. Control characters of the servers are shown, not
//! sent; a gap is a line.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::services::ZoneStatus;
use super::text::{Style, clean, ranges, wrap};
use crate::logs::{Gap, Level, LogLine, LostBy, shown};
use crate::operate::request::LogNote;

/// A record for people; the lines of its stack trace are indented. No line end at the end.
#[must_use]
pub fn text(line: &LogLine, zone: &TimeZone, colour: bool) -> String {
    let paint = |style: Style, text: &str| style.paint(text, colour);
    let at = line.at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string();
    let address = format!("{:<14}", line.address.to_string());
    let step = if line.step.is_empty() { String::new() } else { format!(" {}", line.step) };
    let head = format!("{} {at}{} {}", paint(Style::Blue, &address), clean(&step), clean(&line.stream));
    if let Some(gap) = line.gap {
        return format!("{head} {}", paint(Style::Yellow, &gap_text(gap)));
    }
    let style = match line.level {
        Some(Level::Error | Level::Fatal) => Style::Red,
        Some(Level::Warn) => Style::Yellow,
        Some(Level::Info | Level::Debug | Level::Trace) | None => Style::Plain,
    };
    let mut out = format!("{head} {}", paint(style, &shown(&line.text)));
    for more in &line.more {
        out.push_str("\n    ");
        out.push_str(&shown(more));
    }
    out
}

/// A record as the node wrote it, with line ends. A gap is a line all the same.
#[must_use]
pub fn raw(line: &LogLine) -> String {
    match line.gap {
        Some(gap) => format!("{}\n", gap_text(gap)),
        None => line.lines().map(|text| format!("{text}\n")).collect(),
    }
}

/// What an answer lacks, as a line among the others.
#[must_use]
pub fn note(note: &LogNote, colour: bool) -> String {
    let text = match note {
        LogNote::Damage(what) => format!("--- DAMAGE: {} ---", shown(what)),
        LogNote::Cut { shown, wanted } => {
            format!("--- CUT: only the newest {shown} of {wanted} records: more are too large for one answer (--since TIME) ---")
        }
        LogNote::Zones(zones) => format!("--- ZONES: {} ---", each(zones.iter())),
    };
    Style::Yellow.paint(&text, colour)
}

/// What a person has to know of the times inside of lines, where servers write another one than theirs; `None`: nothing.
#[must_use]
pub fn zones(zones: &BTreeMap<String, ZoneStatus>, own: &TimeZone, now: Timestamp) -> Option<String> {
    let offset = own.to_offset(now).seconds();
    let other: Vec<(&String, &ZoneStatus)> = zones.iter().filter(|(_, zone)| zone.offset_seconds != offset).collect();
    let yours = now.to_zoned(own.clone()).strftime("%Z").to_string();
    let text = || {
        format!(
            "Times in front of lines are yours ({yours}); inside of them servers write their own: {}",
            each(other.iter().copied())
        )
    };
    (!other.is_empty()).then(|| wrap(&text(), 79, "", "  "))
}

/// Zones with their nodes, equal ones together.
fn each<'z>(zones: impl Iterator<Item = (&'z String, &'z ZoneStatus)>) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for (node, zone) in zones {
        let text = zone.text();
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, nodes)) => nodes.push(node),
            None => groups.push((text, vec![node.as_str()])),
        }
    }
    groups.into_iter().map(|(zone, nodes)| format!("{} {zone}", ranges(nodes))).collect::<Vec<_>>().join(", ")
}

fn gap_text(gap: Gap) -> String {
    let lines = match gap.lines {
        0 => "lines are missing here".to_owned(),
        1 => "1 line is missing here".to_owned(),
        n => format!("{n} lines are missing here"),
    };
    let why = match gap.by {
        LostBy::Agent => "the agent lost them: its buffer was full, or a file rolled away",
        LostBy::Unexplained => "nobody said why",
        LostBy::Budget => "the central log's room was used up",
        LostBy::Age => "they were old and were removed to make room",
    };
    format!("--- GAP: {lines} ({why}) ---")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> LogLine {
        LogLine {
            address: "is-1:8841".parse().unwrap(),
            position: 1,
            host: "is-1.example.com".parse().unwrap(),
            run: None,
            step: "4.6".to_owned(),
            stream: "output".to_owned(),
            seq: 1,
            at: "2026-11-23T01:12:40.5Z".parse().unwrap(),
            level: Some(Level::Error),
            text: "ERROR {org.wso2} - no \u{1b}[2Jconnection".to_owned(),
            more: vec!["\tat org.wso2.X".to_owned()],
            gap: None,
        }
    }

    #[test]
    fn a_record_looks_like_this() {
        let mut line = record();
        let out = text(&line, &TimeZone::UTC, false);
        assert_eq!(out, "is-1:8841      01:12:40.500 4.6 output ERROR {org.wso2} - no \\u{1b}[2Jconnection\n    \tat org.wso2.X");
        let coloured = text(&line, &TimeZone::UTC, true);
        assert_eq!(console::strip_ansi_codes(&coloured), out);
        assert_eq!(raw(&line), "ERROR {org.wso2} - no \u{1b}[2Jconnection\n\tat org.wso2.X\n");
        line.gap = Some(Gap { lines: 12, by: LostBy::Agent });
        assert!(
            text(&line, &TimeZone::UTC, false).ends_with(
                "GAP: 12 lines are missing here (the agent lost them: its buffer was full, or a file rolled away) ---"
            )
        );
        assert!(raw(&line).starts_with("--- GAP"));
    }

    #[test]
    fn servers_in_other_zones_are_named_once() {
        let zone = |offset_seconds| ZoneStatus { name: String::new(), offset_seconds };
        let all = BTreeMap::from([
            ("gw-1".to_owned(), zone(0)),
            ("is-1".to_owned(), zone(9 * 3600)),
            ("is-2".to_owned(), zone(9 * 3600)),
        ]);
        let said = |own: &TimeZone| zones(&all, own, Timestamp::UNIX_EPOCH).map(|text| text.replace("\n  ", " "));
        let wanted = "Times in front of lines are yours (UTC); inside of them servers write their own: is-1 is-2 +09:00\n";
        assert_eq!(said(&TimeZone::UTC).as_deref(), Some(wanted));
        let same = BTreeMap::from([("gw-1".to_owned(), zone(0))]);
        assert_eq!(zones(&same, &TimeZone::UTC, Timestamp::UNIX_EPOCH), None);
    }
}
