//! Since when services are down and up, as probed, with the time zones of their nodes. Pure.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

use super::document::age;
use crate::run::view::View;
use crate::state::services::Outage;
use crate::state::{HostZone, RunState};

/// A node's time zone, as its agent told it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneStatus {
    /// Its name; empty where the host has none.
    pub name: String,
    /// Seconds east of UTC.
    pub offset_seconds: i32,
}

impl From<&HostZone> for ZoneStatus {
    fn from(zone: &HostZone) -> Self {
        Self { name: zone.name.clone(), offset_seconds: zone.offset_seconds }
    }
}

impl ZoneStatus {
    /// The zone for people: `+09:00 Asia/Tokyo`.
    #[must_use]
    pub fn text(&self) -> String {
        let (sign, minutes) = (if self.offset_seconds < 0 { '-' } else { '+' }, self.offset_seconds.unsigned_abs() / 60);
        let offset = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
        if self.name.is_empty() { offset } else { format!("{offset} {}", self.name) }
    }

    /// An instant by the node's own clock.
    #[must_use]
    pub fn clock(&self, at: Timestamp) -> String {
        let offset = Offset::from_seconds(self.offset_seconds).unwrap_or(Offset::UTC);
        at.to_zoned(TimeZone::fixed(offset)).strftime("%H:%M:%S").to_string()
    }
}

/// A time without service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutageStatus {
    /// The first look that found it so.
    pub from: Timestamp,
    /// Whether a look before found it up; else it may have been down for longer.
    pub seen_up_before: bool,
    /// The first look that found it up again.
    pub until: Option<Timestamp>,
}

/// What looks saw of one node's service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The node.
    pub node: String,
    /// Its time zone; `None` where its agent told none.
    pub zone: Option<ZoneStatus>,
    /// The first look that found it down; `None`: unknown.
    pub down_since: Option<Timestamp>,
    /// The look since which it is up again; `None`: unknown, or not yet.
    pub up_since: Option<Timestamp>,
    /// Seconds without service, as probed; `None`: unknown, or not over.
    pub down_seconds: Option<u64>,
    /// Each time without service.
    pub outages: Vec<OutageStatus>,
    /// How long it was down, for people.
    pub says: String,
}

/// The services of a run's nodes, in the plan's order.
#[must_use]
pub fn services(view: &View, run: &RunState) -> Vec<ServiceStatus> {
    let mut all = Vec::new();
    for node in &run.plan.plan.nodes {
        let known = run.services.service(node);
        // Nobody misses a server that never was.
        if node.old.is_none() && known.new_up.is_none() {
            continue;
        }
        let open = known.outages.last().is_some_and(|o| o.until.is_none());
        let says = match known.down_seconds() {
            Some(seconds) => spans(&known.outages, seconds),
            None if open && node.new.is_none() => "is retired".to_owned(),
            None if open && run.is_closed() => "unknown: no probe saw it up again".to_owned(),
            None if open => "is down".to_owned(),
            None if known.up.is_none() => "unknown: no probe saw it".to_owned(),
            None if known.new_up.is_some() && node.old.is_some() => "unknown: no probe saw it down".to_owned(),
            None => "was not seen down".to_owned(),
        };
        let outage = |o: &Outage| OutageStatus { from: o.from, seen_up_before: o.seen_up_before, until: o.until };
        all.push(ServiceStatus {
            node: node.id.to_string(),
            zone: view.state.zones.get(&node.host).map(ZoneStatus::from),
            down_since: known.down_since(),
            up_since: known.up_since(),
            down_seconds: known.down_seconds(),
            outages: known.outages.iter().map(outage).collect(),
            says,
        });
    }
    all
}

/// How long it was down: how often, where it was more than once, and what is not known of it.
fn spans(outages: &[Outage], seconds: u64) -> String {
    let least = if outages.iter().all(|o| o.seen_up_before) { "" } else { "at least " };
    let times = if outages.len() > 1 { format!(", {} times", outages.len()) } else { String::new() };
    let found = if least.is_empty() { "" } else { " (down at the first look)" };
    format!("{least}{}{times}{found}", age(std::time::Duration::from_secs(seconds)))
}

impl ServiceStatus {
    /// An instant of this node: UTC, then by its own clock where that is another one.
    #[must_use]
    pub fn instant(&self, at: Option<Timestamp>) -> String {
        let Some(at) = at else { return "unknown".to_owned() };
        let utc = super::report::instant(at);
        match self.zone.as_ref().filter(|zone| zone.offset_seconds != 0) {
            Some(zone) => format!("{utc} ({} there)", zone.clock(at)),
            None => utc,
        }
    }

    /// Its zone for people.
    #[must_use]
    pub fn zone_text(&self) -> String {
        self.zone.as_ref().map_or_else(|| "unknown".to_owned(), ZoneStatus::text)
    }

    /// The look since which it is down now.
    #[must_use]
    pub fn is_down_since(&self) -> Option<Timestamp> {
        self.outages.last().filter(|o| o.until.is_none()).map(|o| o.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_its_offset_and_its_name() {
        let zone = |name: &str, offset_seconds| ZoneStatus { name: name.to_owned(), offset_seconds };
        assert_eq!(zone("Asia/Tokyo", 9 * 3600).text(), "+09:00 Asia/Tokyo");
        assert_eq!(zone("America/St_Johns", -(2 * 3600 + 1800)).text(), "-02:30 America/St_Johns");
        assert_eq!(zone("", 0).text(), "+00:00");
        assert_eq!(zone("", 9 * 3600).clock(Timestamp::UNIX_EPOCH), "09:00:00");
        assert_eq!(zone("", i32::MAX).clock(Timestamp::UNIX_EPOCH), "00:00:00", "an offset that cannot be is none");
    }

    #[test]
    fn what_is_not_known_of_a_downtime_is_said() {
        let at = |s: i64| Timestamp::from_second(s).expect("an instant");
        let outage = |seen_up_before| Outage { from: at(0), seen_up_before, until: Some(at(60)) };
        assert_eq!(spans(&[outage(true)], 60), "1m00s");
        assert_eq!(spans(&[outage(true), outage(true)], 90), "1m30s, 2 times");
        assert_eq!(spans(&[outage(false)], 60), "at least 1m00s (down at the first look)");
    }
}
