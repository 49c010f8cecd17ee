//! A program that waits for its callback, and the sockets that come to it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use fapi_client::native::{Loopback, Progress};
use fapi_client::{Client, Error, Session, Violation};
use fapi_testkit::{Endpoint, Registration, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use url::Url;

use crate::common;

pub const REGISTERED: &str = "http://127.0.0.1/callback";

/// A client whose redirect URI is on the loopback address.
pub async fn client(server: &TestServer, redirect_uri: &str) -> Client {
    let keys = common::register(server);
    server.register(
        Registration::new(common::CLIENT_ID)
            .jwks(keys.jwks())
            .redirect_uri(redirect_uri),
    );
    common::builder_with(server, keys)
        .redirect_uri(redirect_uri)
        .build()
        .await
        .unwrap()
}

/// A program that waits.
pub struct Desk {
    pub server: TestServer,
    pub address: SocketAddr,
    /// Where the user's browser is sent first.
    pub url: String,
    /// Why callbacks did not count.
    pub refused: Arc<Mutex<Vec<Violation>>>,
    waiting: JoinHandle<Result<Session, Error>>,
}

impl Desk {
    pub async fn open() -> Self {
        Self::with(|loopback| loopback.app_name("Bank")).await
    }

    pub async fn with(set: impl FnOnce(Loopback) -> Loopback) -> Self {
        let server = TestServer::start().await;
        let client = client(&server, REGISTERED).await;
        let refused: Arc<Mutex<Vec<Violation>>> = Arc::default();
        let told = refused.clone();
        let loopback = set(Loopback::bind_for(&client).await.unwrap());
        let loopback = loopback.on_progress(move |progress| {
            if let Progress::Refused(violation) = progress {
                told.lock().unwrap().push(violation.clone());
            }
        });
        let address = loopback.local_addr();
        let request = client.login().scope("openid accounts");
        let login = loopback.aim(request).unwrap().start().await.unwrap();
        let url = login.url().to_string();
        let waiting = tokio::spawn(async move { loopback.wait(&client, &login).await });
        Self {
            server,
            address,
            url,
            refused,
            waiting,
        }
    }

    /// The callback's path and query, the user having agreed.
    pub async fn approved(&self) -> String {
        target(&self.server.browser("alice").approve(&self.url).await)
    }

    /// The `state` of the login.
    pub fn state(&self) -> String {
        let pushed = self.server.requests_to(Endpoint::Par).pop().unwrap();
        pushed.form_value("state").unwrap().to_owned()
    }

    pub async fn get(&self, target: &str) -> Answer {
        get(self.address, target).await
    }

    /// A callback that counts: where it is sent, and the page there.
    pub async fn ends(&self, target: &str) -> Answer {
        let answer = self.get(target).await;
        assert_eq!(answer.status, "303 See Other");
        assert_eq!(answer.header("location"), Some("/done"));
        self.get("/done").await
    }

    /// How the wait ended.
    pub async fn outcome(self) -> (TestServer, Result<Session, Error>) {
        (self.server, self.waiting.await.unwrap())
    }
}

/// The path and query of a URL.
pub fn target(url: &str) -> String {
    Url::parse(url).unwrap()[url::Position::BeforePath..].to_owned()
}

/// What came back over a connection.
#[derive(Debug)]
pub struct Answer {
    pub status: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name);
        let (_, value) = found.next()?;
        assert!(found.next().is_none(), "{name} twice");
        Some(value)
    }

    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            status: status.to_owned(),
            headers,
            body: body.to_owned(),
        }
    }
}

/// What a browser sends.
pub fn request(address: SocketAddr, target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n\r\n"
    )
}

pub async fn get(address: SocketAddr, target: &str) -> Answer {
    send(address, request(address, target).as_bytes()).await
}

pub async fn send(address: SocketAddr, bytes: &[u8]) -> Answer {
    answer(begin(address, bytes).await).await
}

/// A connection that sends this, and waits.
pub async fn begin(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

pub async fn answer(mut stream: TcpStream) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    Answer::read(&text)
}

/// Nobody listens there.
pub async fn assert_closed(address: SocketAddr) {
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
