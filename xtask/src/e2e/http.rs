//! The few plain requests that the suites make themselves: is a server up, and the admin API.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// The status of a GET, or `None` when nobody answers.
pub(crate) fn status(port: u16, path: &str) -> Option<u16> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    exchange(port, &head).ok().map(|(status, _)| status)
}

/// Creates something through the admin API, and says what it became.
pub(super) fn create(port: u16, path: &str, key: &str, body: &Value) -> Result<Value> {
    let body = body.to_string();
    // HTTP/1.0: the answer is not cut into chunks.
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost:{port}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, answer) = exchange(port, &request)?;
    if !(200..300).contains(&status) {
        bail!("POST {path} answered {status}: {answer}");
    }
    serde_json::from_str(&answer).with_context(|| format!("POST {path} answered no JSON"))
}

fn exchange(port: u16, request: &str) -> Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status.context("not an HTTP answer")?, body.to_owned()))
}
