//! Whether the place of a server that does not run is free: its ports, and the number in its PID file. A server of another
//! home there is an error, never a reason to go on (11).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use cavalcade_common::action::Server;
use cavalcade_common::codes::server as codes;
use cavalcade_common::error::Fault;

use super::start::{PID_FILE, pid_in};
use crate::action::Context;
use crate::action::launch::not_seen;
use crate::host::Occupant;

/// How long a connection is tried.
const CONNECT: Duration = Duration::from_secs(2);

/// Who is in the way. The caller saw that no process has this home.
///
/// # Errors
/// [`codes::NOT_SEEN`].
pub(super) async fn occupied(spec: &Server, cx: &Context) -> Result<Option<Fault>, Fault> {
    if let Some(fault) = by_number(spec, cx)? {
        return Ok(Some(fault));
    }
    let urls = spec.ready.http.iter().filter_map(|check| authority(&check.url));
    let places = spec.ready.tcp.iter().map(|address| (address.as_str(), true)).chain(urls);
    for (address, own) in places {
        // A name that cannot be resolved now says nothing; the start will.
        let listener = cx.host.listener(address).await.unwrap_or(None);
        if let Some(found) = listener.as_ref().filter(|found| found.home.is_some()) {
            return Ok(Some(other_home(&format!("{address} is held by"), found, spec)));
        }
        if own && cx.host.tcp_connect(address, CONNECT).await.is_ok() {
            let who = listener.map_or_else(|| "something".to_owned(), |found| found.words());
            let text = format!("{who} accepts connections at {address}, and no process has the home {}", spec.home);
            return Ok(Some(Fault::new(codes::PORT_TAKEN, text)));
        }
    }
    Ok(None)
}

/// The products' script takes the process of this number for the server, and says that it runs already (09).
fn by_number(spec: &Server, cx: &Context) -> Result<Option<Fault>, Fault> {
    let path = Path::new(&spec.home).join(PID_FILE);
    let content = cx.host.read(&path).map_err(|e| not_seen(&path.display().to_string(), &e))?;
    let Some(pid) = content.as_deref().and_then(pid_in) else { return Ok(None) };
    let found = cx.host.occupant(pid).map_err(|e| not_seen(&format!("process {pid}"), &e))?;
    // A number that no server has is stale, and its file is put aside.
    let found = found.filter(|found| found.home.is_some());
    Ok(found.map(|found| other_home(&format!("{} names", path.display()), &found, spec)))
}

fn other_home(what: &str, found: &Occupant, spec: &Server) -> Fault {
    Fault::new(codes::OTHER_HOME, format!("{what} {}, not {}", found.words(), spec.home))
}

/// Ports that can only be the server's own, as far as its readiness names them.
pub(crate) fn own_ports(spec: &Server) -> BTreeSet<u16> {
    let of_urls = spec.ready.http.iter().filter_map(|check| authority(&check.url)).filter(|(_, own)| *own);
    let places = spec.ready.tcp.iter().map(String::as_str).chain(of_urls.map(|(place, _)| place));
    places.filter_map(|place| place.rsplit_once(':')?.1.parse().ok()).collect()
}

/// `host:port` of an URL, and whether it can only be the server's own: one of another name may lead to a load balancer.
fn authority(url: &str) -> Option<(&str, bool)> {
    let authority = url.split_once("://")?.1.split(['/', '?']).next()?;
    let (host, port) = authority.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    Some((authority, ["localhost", "127.0.0.1", "[::1]"].contains(&host)))
}
