//! Through the operator's proxy: the rules for targets stay.

use std::sync::{Arc, Mutex};

use doorward_fetch::{FetchError, FetchPolicy, Fetcher, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::addresses::{Fixed, fetcher_with, private_exception, tls_server};
use crate::support::{clock, json, requests, server};

type Asked = Arc<Mutex<Vec<String>>>;

/// A proxy that tunnels everything to `port` on loopback and writes down what it was asked.
async fn proxy(port: u16, answer: &'static str) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:p%40ss@{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let log = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = client.read(&mut head).await.unwrap();
            log.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&head[..length]).into_owned());
            client.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains("200") {
                let mut target = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut target).await;
            }
        }
    });
    (url, asked)
}

const TUNNEL: &str = "HTTP/1.1 200 OK\r\n\r\n";

fn through(proxy: &str, port: u16) -> FetchPolicy {
    FetchPolicy {
        proxy: Some(proxy.parse().unwrap()),
        ..private_exception(port)
    }
}

#[tokio::test]
async fn a_public_name_is_vetted_here_and_reached_through_a_tunnel() {
    let port = tls_server().await;
    let (url, asked) = proxy(port, TUNNEL).await;
    let resolver = Fixed::new(&["93.184.216.34"]);
    let fetcher = fetcher_with(through(&url, 1), &resolver);
    let target = format!("https://documents.example:{port}/c");
    let document = fetcher.get_json(&target, &Limits::default()).await.unwrap();
    assert_eq!(document.body, "{}");
    assert_eq!(resolver.count(), 1);
    let asked = asked.lock().unwrap().concat();
    assert!(
        asked.starts_with(&format!("CONNECT documents.example:{port} HTTP/1.1\r\n")),
        "{asked}"
    );
    // user:p@ss
    assert!(
        asked
            .to_ascii_lowercase()
            .contains("proxy-authorization: basic dxnlcjpwqhnz"),
        "{asked}"
    );
}

#[tokio::test]
async fn what_may_not_be_reached_directly_may_not_be_reached_through_the_proxy() {
    let (url, asked) = proxy(1, TUNNEL).await;
    for answer in ["10.0.0.5", "127.0.0.1", "169.254.169.254", "::1", "fd00::1"] {
        let fetcher = fetcher_with(through(&url, 1), &Fixed::new(&["93.184.216.34", answer]));
        let outcome = fetcher
            .get_json("https://documents.example/c", &Limits::default())
            .await;
        assert_eq!(outcome, Err(FetchError::Blocked("documents.example".into())));
    }
    let unknown = fetcher_with(through(&url, 1), &Fixed::unknown());
    let outcome = unknown
        .get_json("https://documents.example/c", &Limits::default())
        .await;
    assert_eq!(outcome, Err(FetchError::Dns));
    let public = fetcher_with(through(&url, 1), &Fixed::new(&["93.184.216.34"]));
    for target in [
        "https://169.254.169.254/c",
        "https://[::ffff:10.0.0.1]/c",
        "https://127.0.0.1:8443/c",
        "https://db.internal/c",
        "http://documents.example/c",
        "https://documents.example:6379/c",
    ] {
        let outcome = public.get_json(target, &Limits::default()).await;
        assert!(
            matches!(outcome, Err(FetchError::Blocked(_) | FetchError::InvalidUrl(_))),
            "{target}: {outcome:?}"
        );
    }
    assert!(asked.lock().unwrap().is_empty(), "nothing was sent");
}

/// Behind many proxies no names of the outside can be resolved.
#[tokio::test]
async fn the_operators_own_host_need_not_be_resolved_here() {
    let port = tls_server().await;
    let (url, _) = proxy(port, TUNNEL).await;
    let resolver = Fixed::unknown();
    let fetcher = fetcher_with(through(&url, port), &resolver);
    let target = format!("https://internal.example:{port}/c");
    assert!(fetcher.get_json(&target, &Limits::default()).await.is_ok());
    assert_eq!(resolver.count(), 0);
}

#[tokio::test]
async fn loopback_is_this_machines_and_not_the_proxys() {
    let own = server(json("{}")).await;
    let (url, asked) = proxy(1, TUNNEL).await;
    let policy = FetchPolicy {
        allow_loopback_http: true,
        ..through(&url, 1)
    };
    let fetcher = Fetcher::new(policy, Arc::new(clock())).unwrap();
    let target = format!("{}/c", own.uri());
    assert!(fetcher.get_json(&target, &Limits::default()).await.is_ok());
    assert_eq!((requests(&own).await, asked.lock().unwrap().len()), (1, 0));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_failed_connection() {
    let (refusing, _) = proxy(1, "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    for url in [refusing.as_str(), "http://127.0.0.1:1"] {
        let fetcher = fetcher_with(through(url, 1), &Fixed::new(&["93.184.216.34"]));
        let outcome = fetcher
            .get_json("https://documents.example/c", &Limits::default())
            .await;
        assert_eq!(outcome, Err(FetchError::Connect), "{url}");
    }
}

#[test]
fn a_proxy_is_a_plain_url_and_keeps_its_password() {
    for text in [
        "",
        "proxy.example:3128",
        "socks5://proxy.example",
        "http://proxy.example/path",
        "http://proxy.example?x",
        "http://proxy.example#x",
        "http://",
    ] {
        assert!(text.parse::<doorward_fetch::Proxy>().is_err(), "{text}");
    }
    let policy = through("http://user:canary@proxy.example:3128", 1);
    let debug = format!("{policy:?}");
    assert!(debug.contains("proxy.example:3128") && !debug.contains("canary"));
}

/// What is set for other programs would take the requests away from the addresses that were vetted.
#[tokio::test]
async fn the_environment_names_no_proxy() {
    const NAMES: [&str; 3] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"];
    let is_set = |name| std::env::var(name).is_ok_and(|proxy| proxy == NOBODY);
    if NAMES.into_iter().all(is_set) {
        let port = tls_server().await;
        let fetcher = fetcher_with(private_exception(port), &Fixed::new(&["127.0.0.1"]));
        let target = format!("https://internal.example:{port}/c");
        let document = fetcher.get_json(&target, &Limits::default()).await.unwrap();
        assert_eq!(document.body, "{}");
        return;
    }
    // The same test in a process in which they are set.
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "proxy::the_environment_names_no_proxy"])
        .envs(NAMES.map(|name| (name, NOBODY)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    let child = child.output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";
