//! Promise 3 and rule 3: what had to be there before something started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use cavalcade_common::id::Epoch;

use super::super::fleet;
use super::super::machine::Witnessed;
use super::super::network::Carried;
use super::{Record, folder};

/// Promise 3: for each start of an API Manager, every Identity Server has a ready interval that reaches into the 60 s
/// before it.
pub(super) fn identity_server_first(record: &Record) -> Vec<String> {
    let needed = fleet::IS.map(|name| PathBuf::from(fleet::home(name)));
    let mut ready_until: BTreeMap<PathBuf, Duration> = BTreeMap::new();
    let mut up: BTreeSet<PathBuf> = BTreeSet::new();
    let mut found = Vec::new();
    for (at, w) in &record.witness {
        match w {
            Witnessed::ServerReady { home } if needed.contains(home) => {
                up.insert(home.clone());
            }
            Witnessed::ServerDown { home, .. } if up.remove(home) => {
                ready_until.insert(home.clone(), *at);
            }
            Witnessed::ServerUp { home, api_manager: true } => {
                let recent = |is: &PathBuf| ready_until.get(is).is_some_and(|t| at.saturating_sub(*t) <= Duration::from_secs(60));
                let missing = needed.iter().filter(|is| !up.contains(*is) && !recent(is));
                found.extend(
                    missing.map(|is| format!("promise 3: {} started at {at:?}, {} was not ready", home.display(), is.display())),
                );
            }
            _ => {}
        }
    }
    found
}

/// Rule 3: whatever an agent starts was offered to this very process of it, by the newest controller that it had met.
pub(super) fn begun_by_an_offer(record: &Record) -> Vec<String> {
    let mut met: BTreeMap<&str, Epoch> = BTreeMap::new();
    let mut offered: BTreeMap<(&str, u64, String), Duration> = BTreeMap::new();
    for (at, carried) in &record.carried {
        match carried {
            Carried::WelcomeCame { host, epoch } => {
                let highest = met.entry(host).or_insert(*epoch);
                *highest = (*highest).max(*epoch);
            }
            Carried::OfferCame { host, life, attempt, epoch } if met.get(host.as_str()).is_none_or(|m| epoch >= m) => {
                offered.entry((host.as_str(), *life, attempt.folder())).or_insert(*at);
            }
            Carried::OfferCame { .. } | Carried::OfferSent { .. } => {}
        }
    }
    let mut found = Vec::new();
    for (_, w) in &record.witness {
        let Witnessed::Started { host, dir, asked, life, .. } = w else { continue };
        let name = folder(dir);
        if offered.get(&(host.as_str(), *life, name.clone())).is_none_or(|at| at > asked) {
            found.push(format!("rule 3: {name} was started on {host} at {asked:?} with no offer that counts"));
        }
    }
    found
}
