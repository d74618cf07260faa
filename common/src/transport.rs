//! Numbers of the transport that both sides must agree on.

use std::time::Duration;

/// HTTP/2 pings, on both sides of every link. A peer that stops answering is noticed after at most `interval + timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence after which a ping is sent.
    pub interval: Duration,
    /// Wait for its answer.
    pub timeout: Duration,
}

impl Default for Keepalive {
    /// 10 s and 10 s: a half-open link is noticed within 20 s, where 25 s are promised (04-guarantees).
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(10) }
    }
}

/// Window of a stream and of a connection, in bytes: what a peer may send before it is read. Small, since an agent keeps
/// below 15 MiB at rest.
pub const WINDOW: u32 = 256 << 10;

/// Largest list of headers, in bytes.
pub const MAX_HEADERS: u32 = 16 << 10;

/// Messages that wait in each direction between the link and the logic.
pub const SESSION_QUEUE: usize = 64;

/// Encoded messages that wait for the connection, behind [`SESSION_QUEUE`].
pub const WIRE_QUEUE: usize = 4;

/// Limit of a TCP connect and of a TLS handshake.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_open_link_is_noticed_within_25_s() {
        let Keepalive { interval, timeout } = Keepalive::default();
        assert!(interval + timeout <= Duration::from_secs(25));
    }
}
