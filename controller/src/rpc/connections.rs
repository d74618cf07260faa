//! Open connections of agents, so that a host can be cut off: TLS checks a certificate once, at the handshake, and a
//! stream would outlast its revocation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cavalcade_common::id::{Digest, HostId};
use tokio_util::sync::CancellationToken;

use crate::ca::certificates::Certificates;

/// How often open connections are compared with the list of revoked certificates; 60 s are promised.
pub const SWEEP: Duration = Duration::from_secs(30);

/// Most connections of one host: control, data, and both once more while a broken one is not yet noticed.
const MOST_PER_HOST: usize = 8;

#[derive(Debug)]
struct Open {
    host: HostId,
    certificate: Digest,
    cut: CancellationToken,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Open>,
}

/// All open connections of agents.
#[derive(Debug)]
pub struct Connections {
    certificates: Arc<Certificates>,
    table: Mutex<Table>,
}

/// Why a connection is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Its certificate is revoked.
    #[error("its certificate is revoked")]
    Revoked,
    /// The host has too many connections.
    #[error("the host has {MOST_PER_HOST} connections already")]
    TooMany,
}

impl Connections {
    /// An empty table over the list of certificates.
    #[must_use]
    pub fn new(certificates: Arc<Certificates>) -> Arc<Self> {
        Arc::new(Self { certificates, table: Mutex::default() })
    }

    /// Enters a connection until the answer is dropped.
    ///
    /// # Errors
    /// See [`NotAdmitted`].
    pub fn admit(self: &Arc<Self>, host: &HostId, certificate: Digest) -> Result<Admitted, NotAdmitted> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.open.values().filter(|open| &open.host == host).count() >= MOST_PER_HOST {
            return Err(NotAdmitted::TooMany);
        }
        let (id, cut) = (table.next, CancellationToken::new());
        table.next += 1;
        table.open.insert(id, Open { host: host.clone(), certificate: certificate.clone(), cut: cut.clone() });
        drop(table);
        let admitted = Admitted { connections: Arc::clone(self), id, cut };
        // Looked at after the entry, so that a revocation in between is not missed.
        if self.certificates.is_revoked(&certificate) { Err(NotAdmitted::Revoked) } else { Ok(admitted) }
    }

    /// Cuts every connection of a host now; gives how many there were.
    pub fn cut(&self, host: &HostId) -> usize {
        self.cut_if(|open| &open.host == host)
    }

    /// Cuts every connection; gives how many there were.
    pub fn cut_all(&self) -> usize {
        self.cut_if(|_| true)
    }

    /// Cuts every connection whose certificate is revoked; gives how many there were.
    pub fn cut_revoked(&self) -> usize {
        self.cut_if(|open| self.certificates.is_revoked(&open.certificate))
    }

    /// Hosts with at least one open connection.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostId> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hosts: Vec<_> = table.open.values().map(|open| open.host.clone()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Sweeps every [`SWEEP`] until `stop`.
    pub async fn keep_sweeping(&self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let cut = self.cut_revoked();
            if cut > 0 {
                tracing::warn!(cut, "connections with revoked certificates were cut");
            }
        }
    }

    fn cut_if(&self, which: impl Fn(&Open) -> bool) -> usize {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.open.values().filter(|open| which(open)).map(|open| open.cut.cancel()).count()
    }
}

/// An entry in the table of open connections.
#[derive(Debug)]
pub struct Admitted {
    connections: Arc<Connections>,
    id: u64,
    cut: CancellationToken,
}

impl Admitted {
    /// Ends when the connection is cut.
    #[must_use]
    pub fn cut(&self) -> CancellationToken {
        self.cut.clone()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.table.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&self.id);
    }
}
