//! Ports for programs that are told theirs before they start.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody listens on, another one every time in a process: below the range from which the system takes ports
/// for outgoing connections, so that it stays free until it is used.
pub fn free_port() -> u16 {
    static OFFSET: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 600).unwrap_or(0) * 20;
    loop {
        let offset = start.wrapping_add(OFFSET.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
