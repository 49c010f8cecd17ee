//! Connections: TLS, HTTP/1.1 and HTTP/2, and the way of every request through the servers.

pub(crate) mod answer;
mod asking;
pub(crate) mod body;
pub(crate) mod tls;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{HandshakeKind, ServerConnection};

use crate::dpop::{NONCE, Role};
use crate::form;
use crate::mutual_tls::Shown;
use crate::record::{Endpoint, Request};
use crate::reply::Reply;
use crate::state::{Site, State, lock};
use crate::{provider, resource};

use answer::{Answer, Delivery};
use body::AnswerBody;

/// The longest body that the servers take.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// Listens on one port of the loopback addresses, IPv4 and, where the machine has it, IPv6.
pub(crate) fn bind() -> io::Result<(u16, Vec<StdListener>)> {
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..16 {
        let v4 = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = v4.local_addr()?.port();
        let listeners = match StdListener::bind((Ipv6Addr::LOCALHOST, port)) {
            Ok(v6) => vec![v4, v6],
            // `localhost` may mean the IPv6 address, so nobody else may have that port there.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
            Err(_) => vec![v4],
        };
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        result = Ok((port, listeners));
        break;
    }
    result
}

/// Accepts connections for ever.
pub(crate) async fn serve(
    listener: StdListener,
    acceptor: TlsAcceptor,
    site: Site,
    state: Arc<State>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, acceptor.clone(), site, state.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, site: Site, state: Arc<State>) {
    let mut offline = state.offline.subscribe();
    let cut = Arc::new(Notify::new());
    let serve = async {
        let _ = stream.set_nodelay(true);
        let Ok(stream) = acceptor.accept(stream).await else {
            return;
        };
        let opened = Arc::new(opened(&state, site, stream.get_ref().1));
        let service =
            service_fn(|request| handle(state.clone(), opened.clone(), request, cut.clone()));
        let _ = auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    };
    tokio::select! {
        biased;
        _ = offline.wait_for(|offline| *offline) => {}
        () = cut.notified() => {}
        () = serve => {}
    }
}

/// What is known of a connection.
struct Opened {
    site: Site,
    number: u64,
    resumed: bool,
    shown: Option<Arc<Shown>>,
}

fn opened(state: &State, site: Site, tls: &ServerConnection) -> Opened {
    Opened {
        site,
        number: state.connections.fetch_add(1, Ordering::SeqCst),
        resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
        shown: tls.peer_certificates().and_then(Shown::new),
    }
}

async fn handle(
    state: Arc<State>,
    opened: Arc<Opened>,
    request: hyper::Request<Incoming>,
    cut: Arc<Notify>,
) -> Result<Response<AnswerBody>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return Ok(finish(&state, Answer::status(413)));
    };
    let request = received(&state, &opened, parts, body.to_bytes());
    let endpoint = request.endpoint;
    let number = record(&state, &request);

    let held = lock(&state.misbehaviour).held(endpoint);
    if let Some(mut held) = held {
        let _ = held.wait_for(|released| *released).await;
    }
    let prescribed = lock(&state.misbehaviour).prescribed(endpoint);
    let (processed, delay) = prescribed
        .as_ref()
        .map_or((true, Duration::ZERO), |a| (a.processed, a.delay));
    let real = processed.then(|| process(&state, opened.site, &request));
    tokio::time::sleep(delay).await;

    let answer = match (prescribed, real) {
        (Some(answer), _) if answer.delivery == Delivery::Sent => answer,
        (Some(answer), _) if answer.delivery == Delivery::Never => std::future::pending().await,
        (Some(answer), _) if answer.delivery == Delivery::Cut => {
            cut.notify_one();
            std::future::pending().await
        }
        (_, Some(reply)) => Answer {
            headers: reply.headers,
            ..Answer::status(reply.status.as_u16()).body(reply.body)
        },
        (_, None) => Answer::status(500),
    };
    let mut records = lock(&state.records);
    if let Some((_, request)) = records
        .requests
        .iter_mut()
        .find(|(other, _)| *other == number)
    {
        request.status = Some(answer.status);
    }
    drop(records);
    Ok(finish(&state, answer))
}

fn received(state: &State, opened: &Opened, parts: Parts, body: Bytes) -> Request {
    let uri = parts
        .uri
        .path_and_query()
        .map_or("/", |uri| uri.as_str())
        .to_owned();
    let host = || {
        parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
    };
    let authority = parts
        .uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(host);
    let authority = authority.unwrap_or_default().to_owned();
    let endpoint = match opened.site {
        Site::Provider | Site::MtlsProvider => provider::route(state, parts.uri.path()),
        Site::Api | Site::MtlsApi => Endpoint::Api,
    };
    let is_form = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| {
            value
                .as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
    let form = if is_form {
        form::parse(&body).unwrap_or_default()
    } else {
        Vec::new()
    };
    Request {
        endpoint,
        method: parts.method,
        uri,
        version: parts.version,
        authority,
        headers: parts.headers,
        body,
        form,
        at: state.now(),
        status: None,
        connection: opened.number,
        resumed: opened.resumed,
        shown: opened.shown.clone(),
    }
}

/// Writes a request down, and returns its number.
fn record(state: &State, request: &Request) -> u64 {
    let mut records = lock(&state.records);
    let proof = request.header("dpop");
    let form = ["client_assertion", "code_verifier"].map(|name| request.form_value(name));
    let secrets: Vec<String> = form
        .into_iter()
        .chain([proof])
        .flatten()
        .map(str::to_owned)
        .collect();
    records.secrets.extend(secrets);
    let number = records.next;
    records.next += 1;
    records.requests.push((number, request.clone()));
    drop(records);
    state.arrivals.send_modify(|count| *count += 1);
    number
}

fn process(state: &State, site: Site, request: &Request) -> Reply {
    let port = state.origin_of(site).rsplit(':').next().unwrap_or_default();
    let own = ["localhost", "127.0.0.1", "[::1]"];
    if !own
        .iter()
        .any(|host| format!("{host}:{port}") == request.authority)
    {
        state.refused(
            request.endpoint,
            &format!("the authority `{}`", request.authority),
        );
        return Reply::empty(StatusCode::MISDIRECTED_REQUEST);
    }
    let mut reply = match site {
        Site::Provider | Site::MtlsProvider => provider::answer(state, request),
        Site::Api | Site::MtlsApi => resource::answer(state, request),
    };
    let role = match request.endpoint {
        Endpoint::Par | Endpoint::Token => Role::Provider,
        Endpoint::UserInfo => Role::UserInfo,
        Endpoint::Api => Role::Api,
        _ => return reply,
    };
    // DPOP-8.2: any answer may bring a new nonce. A challenge has brought its own.
    if !reply.headers.contains_key(NONCE)
        && let Some(nonce) = lock(&state.nonces).unasked(role)
    {
        reply = reply.with(NONCE, &nonce);
    }
    reply
}

fn finish(state: &State, answer: Answer) -> Response<AnswerBody> {
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    date(state, response.headers_mut());
    response
}

/// The server's own idea of the time, which a client may learn from (SP-5.3.3.1-N1).
fn date(state: &State, headers: &mut HeaderMap) {
    // The last second that an HTTP date can name is that of the year 9999.
    let now = state.now().clamp(0, 253_402_300_799).unsigned_abs();
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
    if let (false, Ok(value)) = (
        headers.contains_key(header::DATE),
        HeaderValue::try_from(text),
    ) {
        headers.insert(header::DATE, value);
    }
}
