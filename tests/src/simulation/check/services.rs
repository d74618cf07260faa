//! What the journal has of services, against what the machines had.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cavalcade_common::report::Sight;
use cavalcade_controller::event::{Event, Home};

use super::Record;
use crate::simulation::host::since_start;
use crate::simulation::machine::Witnessed;

/// What the journal has of a service is what the machine saw at that very moment.
pub(super) fn as_witnessed(record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    for (_, event) in &record.events {
        let Event::ServiceSeen { node, home: Home::New, sight, at, .. } = event else { continue };
        let (home, moment) = (PathBuf::from(crate::simulation::fleet::home(node.as_str())), since_start(*at));
        // What happens at the moment itself may come before the look or behind it.
        let around = [stood(record, &home, |t| t < moment), stood(record, &home, |t| t <= moment)];
        let fits = around.iter().any(|(running, ready)| match sight {
            Sight::Up => *ready,
            Sight::Running | Sight::NotReady => *running,
            Sight::Down => !*running,
        });
        if !fits {
            found.push(format!("services: {node} is journaled {sight:?} at {moment:?}, the machine had it {around:?}"));
        }
    }
    found
}

/// Whether the server of a home ran, and whether it was ready, behind what was witnessed so far.
fn stood(record: &Record, home: &Path, so_far: impl Fn(Duration) -> bool) -> (bool, bool) {
    let mut stood = (false, false);
    for (_, w) in record.witness.iter().filter(|(at, _)| so_far(*at)) {
        match w {
            Witnessed::ServerUp { home: of, .. } if of == home => stood = (true, false),
            Witnessed::ServerReady { home: of } if of == home => stood.1 = stood.0,
            Witnessed::ServerDown { home: of, .. } if of == home => stood = (false, false),
            _ => {}
        }
    }
    stood
}

#[cfg(test)]
mod tests {
    use cavalcade_common::id::{NodeId, RunId};

    use super::*;
    use crate::simulation::machine::Ender;

    /// The checker itself: a service that is journaled otherwise than it was is noticed.
    #[test]
    fn a_service_that_was_not_so_is_noticed() {
        let home = PathBuf::from(crate::simulation::fleet::home("is-1"));
        let second = Duration::from_secs;
        let witness = vec![
            (second(10), Witnessed::ServerUp { home: home.clone(), api_manager: false }),
            (second(20), Witnessed::ServerReady { home: home.clone() }),
            (second(30), Witnessed::ServerDown { home, dir: PathBuf::new(), by: Ender::Agent }),
        ];
        let base = crate::simulation::host::started_at();
        let noticed = |sight, at: i64| {
            let (run, node) = (RunId::new("r").expect("an id"), NodeId::new("is-1").expect("a name"));
            let at = base + jiff::SignedDuration::from_secs(at);
            let events = vec![(at, Event::ServiceSeen { run, node, home: Home::New, sight, at })];
            let record = Record { witness: witness.clone(), events, carried: Vec::new(), ledgers: Vec::new(), open: Vec::new() };
            !as_witnessed(&record).is_empty()
        };
        let right =
            [(Sight::Down, 5), (Sight::NotReady, 15), (Sight::Up, 20), (Sight::Up, 25), (Sight::Up, 30), (Sight::Down, 31)];
        for (sight, at) in right {
            assert!(!noticed(sight, at), "{sight:?} at {at} s is right");
        }
        for (sight, at) in [(Sight::Up, 5), (Sight::Up, 15), (Sight::Down, 25), (Sight::Up, 31), (Sight::NotReady, 5)] {
            assert!(noticed(sight, at), "{sight:?} at {at} s is wrong");
        }
    }
}
