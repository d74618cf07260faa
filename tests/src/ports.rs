//! Ports for servers that take no port 0.

use std::{io, net::Ipv4Addr, net::TcpListener};

/// Two different free ports of a loopback address. Of one on which nobody else takes ports by himself: elsewhere another
/// test may get a port between this look and the server's start.
///
/// # Errors
///
/// When none is free.
pub fn free(address: Ipv4Addr) -> io::Result<(u16, u16)> {
    let (one, other) = (TcpListener::bind((address, 0))?, TcpListener::bind((address, 0))?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}
