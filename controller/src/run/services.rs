//! What agents saw of servers, and the time zones of their hosts: journaled where it is news.

use cavalcade_common::id::{HostId, NodeId, RunId};
use cavalcade_common::message::Hello;
use cavalcade_common::report::{Observation, Sight};
use jiff::tz::Offset;

use super::RunLoop;
use crate::event::{Event, Home};
use crate::state::HostZone;
use crate::state::services::Sighted;

/// Most observations that are taken of one message: an agent sends fewer.
const MOST_SEEN: usize = 64;
/// Longest name of a time zone.
const LONGEST_ZONE: usize = 64;

/// The zone of a hello; `None` where there can be no such zone.
pub(super) fn zone_of(hello: &Hello) -> Option<HostZone> {
    Offset::from_seconds(hello.utc_offset_seconds).ok()?;
    let may = |c: char| c.is_ascii_alphanumeric() || "_+-/".contains(c);
    let sound = hello.zone.len() <= LONGEST_ZONE && hello.zone.chars().all(may);
    let name = if sound { hello.zone.clone() } else { String::new() };
    Some(HostZone { name, offset_seconds: hello.utc_offset_seconds })
}

impl RunLoop {
    /// The session goes on: the zone that its hello told is the host's of today.
    pub(super) fn prove_zone(&mut self, host: &HostId) {
        let Some(told) = self.links.get_mut(host).and_then(|link| link.zone.take()) else { return };
        if self.state.zones.get(host) != Some(&told) {
            let HostZone { name, offset_seconds } = told;
            self.happen_or_log(Event::ZoneTold { host: host.clone(), zone: name, offset_seconds });
        }
    }

    /// Looks at the servers of a node of a run. What is no home of the node is none of its matter.
    pub(super) fn services_seen(&mut self, run: &RunId, node: &NodeId, observed: &[Observation]) {
        let Some(state) = self.state.runs.get(run).filter(|r| !r.is_closed()) else { return };
        let Some(planned) = state.plan.plan.node(node).cloned() else { return };
        for Observation { home, sight, at } in observed.iter().take(MOST_SEEN) {
            let is = |side: Option<&cavalcade_common::plan::Side>| side.is_some_and(|s| s.home == *home);
            let home = match (is(planned.new.as_ref()), is(planned.old.as_ref())) {
                (true, _) => Home::New,
                (false, true) => Home::Old,
                (false, false) => continue,
            };
            let at = *at;
            let sight = match (home, *sight) {
                // Whether an old server is ready nobody asks: while it runs it serves.
                (Home::Old, Sight::Running) => Sight::Up,
                // A new one that runs may be a migration's.
                (Home::New, Sight::Running) => continue,
                (Home::Old | Home::New, sight) => sight,
            };
            let news = self.state.runs.get(run).is_some_and(|r| r.services.is_news(node, Sighted { at, home, sight }));
            if news {
                self.happen_or_log(Event::ServiceSeen { run: run.clone(), node: node.clone(), home, sight, at });
            }
        }
    }
}
