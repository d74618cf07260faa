//! Port offsets for servers that run beside each other on one machine.

use std::net::TcpListener;
use std::ops::Range;

use anyhow::bail;

/// Every port of the products without an offset, and that of a lease.
const BASES: [u16; 10] = [LEASE, 9443, 9763, 8280, 8243, 9099, 8099, 5672, 9611, 9711];
/// The port (with the offset) that a lease holds.
const LEASE: u16 = 9000;
/// No two of the ports above differ by a multiple of this: servers with different offsets never meet.
const STEP: u16 = 22;

/// Numbers of offsets that are held as long as their servers run.
pub const HELD: Range<u16> = 0..400;
/// Numbers of offsets for the demo, which ends before its servers do: no held one ever meets them.
pub const FREE: Range<u16> = 400..500;

/// An offset that no other test of this machine gets while this value lives.
#[derive(Debug)]
pub struct OffsetLease {
    offset: u16,
    _held: TcpListener,
}

impl OffsetLease {
    /// Takes an offset at which none of the ports is in use. All ports stay below those that the system hands out.
    ///
    /// # Errors
    ///
    /// When none was found.
    pub fn take() -> anyhow::Result<Self> {
        Self::take_from(HELD)
    }

    /// As [`OffsetLease::take`], from other numbers: [`FREE`] for a program that cannot hold its leases while its servers
    /// run.
    ///
    /// # Errors
    ///
    /// When none was found.
    pub fn take_from(numbers: Range<u16>) -> anyhow::Result<Self> {
        for _attempt in 0..500 {
            let offset = 10_000 + STEP * rand::random_range(numbers.clone());
            let Ok(held) = TcpListener::bind(("127.0.0.1", LEASE + offset)) else { continue };
            if BASES[1..].iter().all(|base| TcpListener::bind(("0.0.0.0", base + offset)).is_ok()) {
                return Ok(Self { offset, _held: held });
            }
        }
        bail!("no free ports")
    }

    /// The offset.
    #[must_use]
    pub fn offset(&self) -> u16 {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_offsets_share_no_port() {
        for one in BASES {
            for other in BASES {
                assert!(one == other || one.abs_diff(other) % STEP != 0, "{one} {other}");
            }
        }
        let leases: Vec<OffsetLease> = (0..20).map(|_| OffsetLease::take().unwrap()).collect();
        let mut offsets: Vec<u16> = leases.iter().map(OffsetLease::offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets.len(), 20);
    }
}
