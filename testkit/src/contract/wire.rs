//! A server whose answers are given byte by byte, to see what an HTTP client does with them.
//!
//! It speaks TLS properly and HTTP only as far as it must: it finds the end of a request, writes down
//! what it received, and sends what the test hands it, which may be no HTTP at all.

mod read;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub use read::WireRequest;

use crate::net::tls::{Authority, Certificate, Tls, server_config};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a [`WireServer`] shows itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct WireSetup {
    /// The certificate that it shows.
    pub certificate: Certificate,
    /// The TLS versions and cipher suites that it takes.
    pub tls: Tls,
    /// Whether it agrees to HTTP/2.
    pub http2: bool,
    /// Whether it lets clients that come back send early data.
    pub early_data: bool,
}

/// What a [`WireServer`] sends, and what it does then.
#[derive(Clone, Debug)]
pub struct WireAnswer {
    bytes: Vec<u8>,
    then: Then,
}

#[derive(Clone, Debug)]
enum Then {
    Next,
    Close,
    Hang,
    Repeat(Vec<u8>),
}

impl WireAnswer {
    /// These bytes, and then the next request of the same connection.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            then: Then::Next,
        }
    }

    /// An HTTP/1.1 answer of this status and body, with these lines in its head.
    #[must_use]
    pub fn http(status: u16, head: &[&str], body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {status} Reason\r\n").into_bytes();
        for line in head {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        Self::bytes(bytes)
    }

    /// Nothing at all.
    #[must_use]
    pub fn nothing() -> Self {
        Self::bytes(Vec::new())
    }

    /// The connection is cut afterwards, without the farewell that TLS has.
    #[must_use]
    pub fn then_close(mut self) -> Self {
        self.then = Then::Close;
        self
    }

    /// The connection stays open afterwards and nothing comes.
    #[must_use]
    pub fn then_hang(mut self) -> Self {
        self.then = Then::Hang;
        self
    }

    /// These bytes come afterwards, again and again, for as long as the client takes them.
    #[must_use]
    pub fn then_repeat(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then = Then::Repeat(bytes.into());
        self
    }
}

/// A TLS server on loopback whose answers are given byte by byte. It stops when it is dropped.
#[derive(Debug)]
pub struct WireServer {
    address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    first_flights: Mutex<Vec<Vec<u8>>>,
    requests: Mutex<Vec<WireRequest>>,
}

type Answers = Arc<dyn Fn(&WireRequest) -> WireAnswer + Send + Sync>;

impl WireServer {
    /// Starts a server that answers every request with what `answers` says.
    pub async fn start(
        setup: WireSetup,
        answers: impl Fn(&WireRequest) -> WireAnswer + Send + Sync + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(tls(setup)));
        let answers: Answers = Arc::new(answers);
        Self::accept(move |tcp, seen| {
            let acceptor = acceptor.clone();
            let answers = answers.clone();
            tokio::spawn(async move {
                // What goes wrong on a connection is what the client is tested with.
                let _ = tls_connection(tcp, &acceptor, &answers, &seen).await;
            });
        })
        .await
    }

    /// Starts a server that answers the first bytes of a connection with these, whatever they are: no
    /// TLS of its own.
    pub async fn start_raw(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::accept(move |mut tcp, _| {
            let answer = answer.clone();
            tokio::spawn(async move {
                let _ = tcp.write_all(&answer).await;
                let _ = tcp.read_to_end(&mut Vec::new()).await;
            });
        })
        .await
    }

    /// Starts a server that knows TLS 1.1 and nothing newer: it answers every greeting with that.
    pub async fn start_tls_1_1() -> Self {
        // A record that holds a ServerHello: version 3.2, 32 random bytes, no session, a suite, no
        // compression.
        let mut record = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
        record.extend_from_slice(&[7; 32]);
        record.extend_from_slice(&[0, 0xc0, 0x13, 0]);
        Self::start_raw(record).await
    }

    async fn accept(serve: impl Fn(TcpStream, Arc<Seen>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Seen::default());
        let record = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let serve = &serve;
                let mut first = [0; 4096];
                let read = tcp.peek(&mut first).await.unwrap_or(0);
                locked(&record.first_flights).push(first[..read].to_vec());
                serve(tcp, record.clone());
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The https URL of a path, on `localhost`, the name that the server's certificate is for.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// The root certificate, in PEM, of the authority that all servers of this process share.
    #[must_use]
    pub fn root_pem() -> String {
        Authority::shared().pem()
    }

    /// How many connections were opened.
    #[must_use]
    pub fn connections(&self) -> usize {
        locked(&self.seen.first_flights).len()
    }

    /// The first bytes of each connection: the greeting of TLS.
    #[must_use]
    pub fn first_flights(&self) -> Vec<Vec<u8>> {
        locked(&self.seen.first_flights).clone()
    }

    /// The requests that came, in their order.
    #[must_use]
    pub fn requests(&self) -> Vec<WireRequest> {
        locked(&self.seen.requests).clone()
    }
}

impl Drop for WireServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tls(setup: WireSetup) -> ServerConfig {
    let hellos = Arc::default();
    let mut config = server_config(&Authority::shared(), setup.certificate, setup.tls, hellos);
    config.alpn_protocols = if setup.http2 {
        vec![b"h2".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    if setup.early_data {
        config.max_early_data_size = 16 * 1024;
    }
    config
}

async fn tls_connection(
    tcp: TcpStream,
    acceptor: &TlsAcceptor,
    answers: &Answers,
    seen: &Seen,
) -> io::Result<()> {
    let mut stream = acceptor.accept(tcp).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if http2 {
        stream.read_exact(&mut [0; HTTP2_PREFACE.len()]).await?;
        stream.write_all(&frame(read::SETTINGS, 0, 0, &[])).await?;
    }
    loop {
        let request = if http2 {
            read::http2_request(&mut stream).await?
        } else {
            read::http1_request(&mut stream).await?
        };
        locked(&seen.requests).push(request.clone());
        let answer = answers(&request);
        stream.write_all(&answer.bytes).await?;
        stream.flush().await?;
        match answer.then {
            Then::Next => {}
            Then::Close => return Ok(()),
            Then::Hang => std::future::pending().await,
            Then::Repeat(bytes) => loop {
                stream.write_all(&bytes).await?;
            },
        }
    }
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
///
/// # Panics
/// Where the payload is longer than a frame may be.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    assert!(length < 1 << 14, "a frame holds at most 16 KB");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
