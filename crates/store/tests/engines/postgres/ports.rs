//! Ports for programs that are told theirs before they start.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Below the range from which the system takes ports for outgoing connections, so that one stays free until it is used.
const PORTS: Range<u16> = 20_000..32_000;

/// As many as a process takes at a time.
const BLOCK: u16 = 100;

/// A port that nobody listens on: no call gets it again, in this process or in another that runs at the same time.
pub fn free_port() -> u16 {
    static OWN: Mutex<Blocks> = Mutex::new(Blocks {
        held: Vec::new(),
        left: 0..0,
    });
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = own.next();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// What this process has taken.
struct Blocks {
    /// A block is whose process holds the UDP port of its first number, which no TCP server minds: the system gives it back
    /// when the process ends, however it ends.
    held: Vec<UdpSocket>,
    /// What was not handed out of the last block.
    left: Range<u16>,
}

impl Blocks {
    fn next(&mut self) -> u16 {
        loop {
            if let Some(port) = self.left.next() {
                return port;
            }
            let mut firsts = PORTS.step_by(usize::from(BLOCK));
            let found =
                firsts.find_map(|first| Some((first, UdpSocket::bind((Ipv4Addr::LOCALHOST, first)).ok()?)));
            if let Some((first, socket)) = found {
                self.held.push(socket);
                self.left = first..first + BLOCK;
            } else {
                // All were handed out: the oldest of ours have long been used.
                self.held.clear();
            }
        }
    }
}
