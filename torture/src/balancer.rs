//! What stands before the nodes, as a load balancer does: picks one at random of those that say that they are ready, and
//! sends a request once more only when no node can have seen it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::random::Random;

/// How often a node is asked whether it is ready, and how long it may take to say so.
const LOOK: Duration = Duration::from_millis(100);
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may take: longer than the server's own bounds, and what scenarios allow beyond them.
const ANSWER: Duration = Duration::from_secs(30);

/// A request that can be sent several times.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: String,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Which node it came from.
    pub node: usize,
}

/// Why there is none.
#[derive(Debug)]
pub enum Failure {
    /// No node has seen the request.
    Unsent(String),
    /// A node may have carried it out.
    Lost(String),
}

impl Ask {
    /// `GET`.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Bytes::new(),
            headers: Vec::new(),
        }
    }

    /// `POST` of a form.
    pub fn form(path: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        Self {
            method: Method::POST,
            body: form.into(),
            headers: vec![(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )],
            ..Self::get(path)
        }
    }

    /// JSON, by any method.
    pub fn json(method: Method, path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            method,
            body: body.to_string().into(),
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            ..Self::get(path)
        }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &HeaderValue) -> Self {
        self.headers.push((name, value.clone()));
        self
    }

    fn request(&self, host: &HeaderValue) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .body(Full::new(self.body.clone()))
            .map_err(|error| Failure::Unsent(error.to_string()))?;
        request.headers_mut().insert(HOST, host.clone());
        for (name, value) in &self.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        Ok(request)
    }
}

impl Answer {
    /// Where a redirect leads.
    pub fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    /// The body as text; empty if it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The start of what the server said.
    pub fn summary(&self) -> String {
        let text: String = self.text().chars().take(200).collect();
        format!("{} {text}", self.status.as_u16())
    }
}

/// One node as the balancer sees it.
struct Upstream {
    address: SocketAddr,
    ready: AtomicBool,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Upstream {
    async fn send(
        &self,
        node: usize,
        ask: &Ask,
        host: &HeaderValue,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        let request = ask.request(host)?;
        let mut sender = match self.rested().await {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let exchange = async {
            let response = sender.try_send_request(request).await.map_err(|mut error| {
                let why = error.error().to_string();
                // Given back: not a byte of it went out.
                if error.take_message().is_some() {
                    Failure::Unsent(why)
                } else {
                    Failure::Lost(why)
                }
            })?;
            let (parts, body) = response.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| Failure::Lost(error.to_string()))?;
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
                node,
            })
        };
        let answer = timeout(patience, exchange)
            .await
            .unwrap_or_else(|_| Err(Failure::Lost(format!("no answer in {} s", patience.as_secs()))))?;
        self.pool().push(sender);
        Ok(answer)
    }

    /// A connection that waits for its next request, and that the node has not closed.
    async fn rested(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let mut sender = self.pool().pop()?;
            if matches!(timeout(CONNECT, sender.ready()).await, Ok(Ok(()))) {
                return Some(sender);
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let unsent = |error: &dyn std::fmt::Display| Failure::Unsent(error.to_string());
        let stream = timeout(CONNECT, TcpStream::connect(self.address))
            .await
            .map_err(|_| Failure::Unsent("no connection in time".to_owned()))?
            .map_err(|error| unsent(&error))?;
        stream.set_nodelay(true).map_err(|error| unsent(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unsent(&error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Asks for readiness, over and over.
    async fn watch(&self, host: &HeaderValue) {
        let ask = Ask::get("/readyz");
        loop {
            let look = self.send(0, &ask, host, Duration::from_secs(1));
            let ready = look.await.is_ok_and(|answer| answer.status.is_success());
            self.ready.store(ready, Ordering::Relaxed);
            sleep(LOOK).await;
        }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Picks a node for each request.
pub struct Balancer {
    upstreams: Vec<Arc<Upstream>>,
    host: HeaderValue,
    watches: Vec<JoinHandle<()>>,
}

impl Balancer {
    /// Before these nodes, which all go by the name of `host`.
    pub fn new(addresses: &[SocketAddr], host: &HeaderValue) -> Self {
        let upstreams: Vec<_> = addresses
            .iter()
            .map(|address| {
                Arc::new(Upstream {
                    address: *address,
                    ready: AtomicBool::new(true),
                    idle: Mutex::default(),
                })
            })
            .collect();
        let watches = upstreams
            .iter()
            .map(|upstream| {
                let (upstream, host) = (Arc::clone(upstream), host.clone());
                tokio::spawn(async move { upstream.watch(&host).await })
            })
            .collect();
        Self {
            upstreams,
            host: host.clone(),
            watches,
        }
    }

    /// Sends it to one of the nodes that are ready, or, when none is, to any.
    pub async fn send(&self, ask: &Ask, random: &mut Random) -> Result<Answer, Failure> {
        let mut nodes: Vec<usize> = (0..self.upstreams.len()).collect();
        nodes.sort_by_cached_key(|node| {
            let ready = self.upstreams[*node].ready.load(Ordering::Relaxed);
            (!ready, random.below(1 << 20))
        });
        let mut unsent = Failure::Unsent("there are no nodes".to_owned());
        for node in nodes {
            match self.send_to(node, ask).await {
                Err(Failure::Unsent(why)) => {
                    self.upstreams[node].ready.store(false, Ordering::Relaxed);
                    unsent = Failure::Unsent(why);
                }
                other => return other,
            }
        }
        Err(unsent)
    }

    /// Sends it to this node.
    pub async fn send_to(&self, node: usize, ask: &Ask) -> Result<Answer, Failure> {
        // A connection that was closed meanwhile has carried nothing: then a new one.
        match self.upstreams[node].send(node, ask, &self.host, ANSWER).await {
            Err(Failure::Unsent(_)) => self.upstreams[node].send(node, ask, &self.host, ANSWER).await,
            other => other,
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
    }
}
