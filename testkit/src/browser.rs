//! A browser without a screen.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use crate::form::{self, Form};
use crate::net::tls::{Authority, client_config};
use crate::state::lock;

/// A browser without a screen, at which one user sits.
///
/// It goes to the authorization endpoint over real TLS, decides, and hands back the URL to which
/// the server sends it, without visiting it. Clones share their cookies, so the user stays signed
/// in. It needs a tokio runtime.
#[derive(Clone)]
pub struct Browser {
    user: String,
    acr: Option<String>,
    authority: Arc<Authority>,
    cookie: Arc<Mutex<Option<String>>>,
}

/// A page of the authorization server, on which the user has yet to decide.
///
/// Dropping it is what a user does who closes the tab.
pub struct ConsentPage {
    browser: Browser,
    action: Url,
    page: String,
}

/// What the server answered to a browser.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BrowserAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl BrowserAnswer {
    /// Where the server sends the browser.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.headers
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok())
    }
}

impl Browser {
    pub(crate) fn new(user: &str, authority: Arc<Authority>) -> Self {
        Self {
            user: user.to_owned(),
            acr: None,
            authority,
            cookie: Arc::default(),
        }
    }

    /// Lets the user reach this authentication class, whatever was asked for.
    #[must_use]
    pub fn with_acr(mut self, acr: &str) -> Self {
        self.acr = Some(acr.to_owned());
        self
    }

    /// Goes to `url`, approves, and returns the callback URL.
    ///
    /// # Panics
    /// Where the server does not answer with a redirect; the message says what it answered.
    pub async fn approve(&self, url: &str) -> String {
        self.decide(url, "approve").await
    }

    /// Goes to `url`, refuses, and returns the callback URL.
    ///
    /// # Panics
    /// Where the server does not answer with a redirect; the message says what it answered.
    pub async fn deny(&self, url: &str) -> String {
        self.decide(url, "deny").await
    }

    /// Goes to `url`, and stops at the page on which the user decides.
    ///
    /// # Panics
    /// Where the server shows no such page; the message says what it answered.
    pub async fn open(&self, url: &str) -> ConsentPage {
        let answer = self.visit(url).await.expect("the server can be reached");
        self.page(url, &answer)
            .unwrap_or_else(|| panic!("no page to decide on: {answer:?}"))
    }

    /// Goes to `url`, and returns whatever the server answers.
    ///
    /// # Errors
    /// Where the server can't be reached.
    pub async fn visit(&self, url: &str) -> io::Result<BrowserAnswer> {
        let url = Url::parse(url).map_err(io::Error::other)?;
        self.send(Method::GET, &url, String::new()).await
    }

    /// Posts a form to `url`, as a page of the client's does, and returns whatever the server answers.
    ///
    /// # Errors
    /// Where the server can't be reached.
    pub async fn post(&self, url: &str, fields: &[(&str, &str)]) -> io::Result<BrowserAnswer> {
        let url = Url::parse(url).map_err(io::Error::other)?;
        let form: Form = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.send(Method::POST, &url, form::encode(&form)).await
    }

    async fn decide(&self, url: &str, decision: &str) -> String {
        let answer = self.visit(url).await.expect("the server can be reached");
        if let Some(page) = self.page(url, &answer) {
            return page.decide(decision).await;
        }
        // With `prompt=none` the server answers at once.
        callback(&answer)
    }

    fn page(&self, url: &str, answer: &BrowserAnswer) -> Option<ConsentPage> {
        let after = |marker: &str| {
            let (_, rest) = answer.body.split_once(marker)?;
            rest.split('"').next()
        };
        let page = after("name=\"page\" value=\"")?.to_owned();
        let action = Url::parse(url).ok()?.join(after("action=\"")?).ok()?;
        Some(ConsentPage {
            browser: self.clone(),
            action,
            page,
        })
    }

    async fn send(&self, method: Method, url: &Url, body: String) -> io::Result<BrowserAnswer> {
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        if url.scheme() != "https" {
            return Err(io::Error::other("this browser goes to https alone"));
        }
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        let connector = TlsConnector::from(Arc::new(client_config(&self.authority)?));
        let stream = connector.connect(name, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);

        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, authority);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(cookie) = lock(&self.cookie).as_deref() {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(io::Error::other)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        connection.abort();

        let cookie = parts
            .headers
            .get(header::SET_COOKIE)
            .and_then(|value| value.to_str().ok());
        if let Some(cookie) = cookie.and_then(|cookie| cookie.split(';').next()) {
            *lock(&self.cookie) = Some(cookie.to_owned());
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(BrowserAnswer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

impl ConsentPage {
    /// Approves, and returns the callback URL.
    ///
    /// # Panics
    /// Where the server does not answer with a redirect; the message says what it answered.
    pub async fn approve(self) -> String {
        self.decide("approve").await
    }

    /// Refuses, and returns the callback URL.
    ///
    /// # Panics
    /// Where the server does not answer with a redirect; the message says what it answered.
    pub async fn deny(self) -> String {
        self.decide("deny").await
    }

    async fn decide(self, decision: &str) -> String {
        let browser = &self.browser;
        let mut fields: Form = [("page", &self.page), ("user", &browser.user)]
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .to_vec();
        fields.push(("decision".to_owned(), decision.to_owned()));
        if let Some(acr) = &browser.acr {
            fields.push(("acr".to_owned(), acr.clone()));
        }
        let answer = browser
            .send(Method::POST, &self.action, form::encode(&fields))
            .await;
        callback(&answer.expect("the server can be reached"))
    }
}

/// SP-5.3.2.2-10/11: 303, so that nothing that was posted goes along.
fn callback(answer: &BrowserAnswer) -> String {
    match (answer.status, answer.location()) {
        (StatusCode::SEE_OTHER, Some(location)) => location.to_owned(),
        _ => panic!("no redirect to the client: {answer:?}"),
    }
}
