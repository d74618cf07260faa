//! What agents saw of the servers of a run's nodes, in the order of the moments, and what follows of it: since when a
//! service is down, since when it is up again. Nothing here is made from the times of steps: what no look saw is unknown.

use std::collections::BTreeMap;

use cavalcade_common::id::NodeId;
use cavalcade_common::plan::PlanNode;
use cavalcade_common::report::Sight;
use jiff::Timestamp;

use crate::event::Home;

/// One look at one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighted {
    /// When, by the node's clock.
    pub at: Timestamp,
    /// Which server.
    pub home: Home,
    /// What was seen.
    pub sight: Sight,
}

/// What was seen, by node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services(BTreeMap<NodeId, Vec<Sighted>>);

/// A time in which a node had no service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The first look that found it so.
    pub from: Timestamp,
    /// Whether a look before found it up. Else it may have been down for long.
    pub seen_up_before: bool,
    /// The first look that found it up again.
    pub until: Option<Timestamp>,
}

/// What is known of a node's service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// When it was away, in order; only the last one may still be open.
    pub outages: Vec<Outage>,
    /// The first look that found the new server up.
    pub new_up: Option<Timestamp>,
    /// Whether it was up at the last look.
    pub up: Option<bool>,
}

impl Services {
    /// Whether a look tells something that is not known. Reports come late: what counts is the order of the looks.
    #[must_use]
    pub fn is_news(&self, node: &NodeId, seen: Sighted) -> bool {
        let before = self.of(node).iter().rev().find(|s| s.home == seen.home && s.at <= seen.at);
        before.is_none_or(|before| before.sight != seen.sight)
    }

    pub(super) fn note(&mut self, node: &NodeId, seen: Sighted) {
        let all = self.0.entry(node.clone()).or_default();
        let place = all.partition_point(|s| s.at <= seen.at);
        all.insert(place, seen);
    }

    /// Whether a look has ever found the node's new server up.
    #[must_use]
    pub fn was_up(&self, node: &NodeId) -> bool {
        self.of(node).iter().any(|s| s.home == Home::New && s.sight == Sight::Up)
    }

    fn of(&self, node: &NodeId) -> &[Sighted] {
        self.0.get(node).map_or(&[], Vec::as_slice)
    }

    /// What is known of a node's service.
    #[must_use]
    pub fn service(&self, node: &PlanNode) -> Service {
        let mut service = Service::default();
        let (mut old, mut new) = (None, None);
        for seen in self.of(&node.id) {
            let up = Some(seen.sight == Sight::Up);
            match seen.home {
                Home::Old => old = up,
                Home::New => new = up,
            }
            if seen.home == Home::New && seen.sight == Sight::Up {
                service.new_up = service.new_up.or(Some(seen.at));
            }
            let up = if old == Some(true) || new == Some(true) {
                Some(true)
            } else if node.old.is_some() {
                old
            } else {
                // A server that never was before is missed only once it was there.
                new.filter(|_| service.new_up.is_some())
            };
            service.turn(up, seen.at);
        }
        service
    }
}

impl Service {
    fn turn(&mut self, up: Option<bool>, at: Timestamp) {
        match (self.up, up) {
            (Some(true) | None, Some(false)) => {
                self.outages.push(Outage { from: at, seen_up_before: self.up.is_some(), until: None });
            }
            (Some(false), Some(true)) => {
                if let Some(outage) = self.outages.last_mut() {
                    outage.until = Some(at);
                }
            }
            (Some(true), Some(true) | None) | (Some(false), Some(false) | None) | (None, Some(true) | None) => {}
        }
        self.up = up.or(self.up);
    }

    /// The first look that found it down.
    #[must_use]
    pub fn down_since(&self) -> Option<Timestamp> {
        self.outages.first().map(|o| o.from)
    }

    /// The look since which it is up again; where none found it down, the first one that found the new server up.
    #[must_use]
    pub fn up_since(&self) -> Option<Timestamp> {
        match self.outages.last() {
            Some(last) => last.until,
            None => self.new_up,
        }
    }

    /// Seconds without service, over all times that are over; `None` while one is open, and where none was seen.
    #[must_use]
    pub fn down_seconds(&self) -> Option<u64> {
        let spans = self.outages.iter().map(|o| u64::try_from(o.until?.duration_since(o.from).as_secs()).ok());
        spans.collect::<Option<Vec<u64>>>().filter(|all| !all.is_empty()).map(|all| all.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(old: bool) -> PlanNode {
        let mut node = crate::view::example_plan::plan().nodes.remove(0);
        let side = node.new.clone().or(node.old.clone());
        node.old = side.clone().filter(|_| old);
        node.new = side;
        node
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second).expect("an instant")
    }

    fn seen(second: i64, home: Home, sight: Sight) -> Sighted {
        Sighted { at: at(second), home, sight }
    }

    fn service(old: bool, all: &[Sighted]) -> Service {
        let (node, mut services) = (node(old), Services::default());
        all.iter().for_each(|s| services.note(&node.id, *s));
        services.service(&node)
    }

    #[test]
    fn a_service_is_away_from_the_first_look_that_misses_it_to_the_first_that_finds_it() {
        let night = [
            seen(0, Home::Old, Sight::Up),
            seen(10, Home::Old, Sight::Down),
            seen(20, Home::New, Sight::Down),
            seen(100, Home::New, Sight::NotReady),
            seen(130, Home::New, Sight::Up),
        ];
        let known = service(true, &night);
        assert_eq!((known.down_since(), known.up_since(), known.down_seconds()), (Some(at(10)), Some(at(130)), Some(120)));
        assert!(known.outages[0].seen_up_before);

        // It fails again, and comes back.
        let again = [night.as_slice(), &[seen(200, Home::New, Sight::NotReady), seen(230, Home::New, Sight::Up)]].concat();
        let known = service(true, &again);
        assert_eq!((known.down_since(), known.up_since(), known.down_seconds()), (Some(at(10)), Some(at(230)), Some(150)));
        let open = service(true, &again[..6]);
        assert_eq!((open.up_since(), open.down_seconds(), open.up), (None, None, Some(false)));
    }

    #[test]
    fn what_no_look_saw_is_unknown() {
        assert_eq!(service(true, &[]), Service::default());
        // Down at the first look: since when, nobody saw.
        let known = service(true, &[seen(10, Home::Old, Sight::Down), seen(20, Home::New, Sight::Up)]);
        assert!(!known.outages[0].seen_up_before);
        // Only the new server was seen: whether the old one was ever down, nobody saw.
        let known = service(true, &[seen(15, Home::New, Sight::Down), seen(20, Home::New, Sight::Up)]);
        assert_eq!((known.down_since(), known.up_since(), known.down_seconds()), (None, Some(at(20)), None));
        // A server that is new is missed by nobody before it was there.
        let born = [seen(15, Home::New, Sight::Down), seen(20, Home::New, Sight::Up), seen(30, Home::New, Sight::Down)];
        assert_eq!(service(false, &born[..2]).outages, []);
        assert_eq!(service(false, &born).down_since(), Some(at(30)));
    }

    #[test]
    fn looks_count_in_their_own_order_whenever_they_come() {
        let id = node(true).id;
        let mut services = Services::default();
        services.note(&id, seen(10, Home::Old, Sight::Down));
        assert!(
            !services.is_news(&id, seen(10, Home::Old, Sight::Down)) && !services.is_news(&id, seen(12, Home::Old, Sight::Down))
        );
        assert!(services.is_news(&id, seen(12, Home::New, Sight::Down)), "of the other server nothing is known");
        // The step's report was under way for long: it saw the same earlier, and that the server was up before.
        for earlier in [seen(7, Home::Old, Sight::Down), seen(3, Home::Old, Sight::Up)] {
            assert!(services.is_news(&id, earlier));
            services.note(&id, earlier);
        }
        let known = services.service(&node(true));
        assert_eq!((known.down_since(), known.outages.len()), (Some(at(7)), 1));
        assert!(known.outages[0].seen_up_before);
    }

    #[test]
    fn a_clock_that_is_mad_breaks_nothing() {
        let mad = [
            Sighted { at: Timestamp::MAX, home: Home::Old, sight: Sight::Down },
            Sighted { at: Timestamp::MIN, home: Home::New, sight: Sight::Up },
        ];
        let known = service(true, &mad);
        assert_eq!((known.up, known.down_seconds()), (Some(true), None));
        let known = service(
            true,
            &[
                Sighted { at: Timestamp::MIN, home: Home::Old, sight: Sight::Down },
                Sighted { at: Timestamp::MAX, home: Home::New, sight: Sight::Up },
            ],
        );
        assert!(known.down_seconds().is_some());
    }
}
