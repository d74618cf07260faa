//! What a home says of itself: version, product, owner, running servers.

use std::path::Path;

use serde_json::{Value, json};

use super::config::Config;
use crate::host::{Host, Process};

/// The first word that is a `v` and a number: `v5.10.0`.
pub(super) fn version_in(text: &str) -> Option<String> {
    let numbers = text.split_whitespace().filter_map(|w| w.strip_prefix('v'));
    numbers.into_iter().find(|w| w.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// The product, by its name in version.txt. An IS-KM calls itself Identity Server there; its toml tells it apart, so
/// without a toml nothing is said.
pub(super) fn product(named: &str, config: Option<&Config>) -> Option<&'static str> {
    if named.contains("API Manager") {
        return Some("wso2am");
    }
    if !named.contains("Identity Server") {
        return None;
    }
    config.map(|c| if c.speaks_of_apim() { "wso2is-km" } else { "wso2is" })
}

/// The product of a home; `None` where its files do not tell.
pub(crate) fn product_at(host: &dyn Host, home: &Path) -> Option<&'static str> {
    let named = host.read(&home.join(super::VERSION)).ok()??;
    let config = host.read(&home.join(super::CONFIG)).ok()?.and_then(|bytes| Config::read(&bytes).ok());
    product(&String::from_utf8_lossy(&named), config.as_ref())
}

/// `[ { pid, user, profile, started } ]`.
pub(super) fn running(processes: &[Process]) -> Value {
    let one = |p: &Process| {
        // A server started without a profile has no such argument: what the product calls default.
        let profile = p.args.iter().find_map(|a| a.strip_prefix("-Dprofile="));
        json!({ "pid": p.id.pid, "user": p.user, "profile": profile, "started": p.started })
    };
    processes.iter().map(one).collect()
}
