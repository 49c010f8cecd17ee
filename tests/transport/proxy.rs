//! Proxies: the named one, the environment's, none.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use fapi_client::{ConfigError, HttpsTransport, HttpsTransportBuilder, TransportFault};
use fapi_testkit::contract::wire::{WireServer, WireSetup};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::{get, ok_server};

/// A proxy that joins whom it is asked to, or says no.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(join(client, answer, seen.clone()));
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn join(mut client: TcpStream, answer: &'static str, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let port = head.split([' ', ':']).nth(2).unwrap().parse().unwrap();
    seen.lock().unwrap().push(head);
    client.write_all(answer.as_bytes()).await.unwrap();
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap();
    // Either side may end this as it likes.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

const YES: &str = "HTTP/1.1 200 Connected\r\n\r\n";
const NO: &str = "HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n";

fn by(proxy: &Proxy, user: &str) -> HttpsTransport {
    HttpsTransport::builder()
        .only_root_certificates(WireServer::root_pem())
        .and_then(|builder| builder.proxy(format!("http://{user}{}", proxy.address)))
        .and_then(HttpsTransportBuilder::build)
        .unwrap()
}

/// SP-5.2.1-1: a proxy is asked to join the two ends; TLS goes through it, and the server sees nothing of
/// the proxy's password, nor the proxy anything of the request.
#[tokio::test]
async fn a_proxy_is_a_tunnel() {
    let proxy = Proxy::start(YES).await;
    let server = ok_server(WireSetup::default()).await;
    let transport = by(&proxy, "user:pass@");
    get(&transport, &server.url("/path?query")).await.unwrap();

    let head = proxy.heads().concat().to_ascii_lowercase();
    let target = format!("connect localhost:{} http/1.1\r\n", server.address().port());
    assert!(head.starts_with(&target), "{head}");
    assert!(
        head.contains("proxy-authorization: basic dxnlcjpwyxnz\r\n"),
        "{head}"
    );
    assert!(!head.contains("query"), "{head}");
    assert!(
        server.requests()[0]
            .header("proxy-authorization")
            .is_empty()
    );
}

/// SP-5.2.1-5: a proxy that hands the connection to another server gains nothing.
#[tokio::test]
async fn the_certificate_is_checked_through_a_proxy() {
    let proxy = Proxy::start(YES).await;
    let server = ok_server(WireSetup::default()).await;
    let url = server.url("/").replace("localhost", "as.example");
    let error = get(&by(&proxy, ""), &url).await.unwrap_err();
    assert!(matches!(error.fault, TransportFault::Tls(_)), "{error:?}");
    assert_eq!(server.requests().len(), 0);
}

/// A proxy that says no is told as no connection; its password is in no error.
#[tokio::test]
async fn a_proxy_that_refuses_is_no_connection() {
    let proxy = Proxy::start(NO).await;
    let server = ok_server(WireSetup::default()).await;
    let error = get(&by(&proxy, "user:pass@"), &server.url("/"))
        .await
        .unwrap_err();
    assert_eq!(error.fault, TransportFault::Connect);
    assert_eq!(server.requests().len(), 0);
}

/// A proxy's URL that is none is an error that does not repeat it.
#[test]
fn a_malformed_proxy_is_refused() {
    for url in [
        "user:pass",
        "socks5://user:pass@proxy.example",
        "http://user:pass@",
        "",
    ] {
        let error = HttpsTransport::builder().proxy(url).unwrap_err();
        assert!(matches!(error, ConfigError::Transport(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("pass"), "{error:?}");
    }
    let builder = HttpsTransport::builder().proxy("http://user:pass@proxy.example");
    assert!(!format!("{builder:?}").contains("pass"));
}

/// The environment's proxy is used by default, and not where `no_proxy` says so.
#[tokio::test]
async fn the_environments_proxy_is_used_unless_forbidden() {
    const URL: &str = "FAPI_CLIENT_TEST_PROXY_URL";
    const ROOT: &str = "FAPI_CLIENT_TEST_PROXY_ROOT";

    if let (Ok(url), Ok(root)) = (std::env::var(URL), std::env::var(ROOT)) {
        let builder = || {
            HttpsTransport::builder()
                .only_root_certificates(&root)
                .unwrap()
        };
        get(&builder().build().unwrap(), &format!("{url}by-proxy"))
            .await
            .unwrap();
        get(
            &builder().no_proxy().build().unwrap(),
            &format!("{url}directly"),
        )
        .await
        .unwrap();
        return;
    }
    let proxy = Proxy::start(YES).await;
    let server = ok_server(WireSetup::default()).await;
    super::run_alone(
        "transport::proxy::the_environments_proxy_is_used_unless_forbidden",
        vec![
            (URL, server.url("/")),
            (ROOT, WireServer::root_pem()),
            ("HTTPS_PROXY", format!("http://{}", proxy.address)),
            ("https_proxy", format!("http://{}", proxy.address)),
            ("NO_PROXY", String::new()),
            ("no_proxy", String::new()),
        ],
    )
    .await;
    assert_eq!(proxy.heads().len(), 1);
    assert_eq!(server.requests().len(), 2);
}
