//! A person at a browser, and the application as that browser sees it. Redirects are not followed and
//! cookies are kept by hand, so that a test sees each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use fapi_backend::app::App;
use fapi_backend::settings::{BaseUrl, Settings};
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, StatusCode};
use tokio::net::TcpListener;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Where users reach the application. A proxy that is not there leads on to the replicas.
pub(crate) const ORIGIN: &str = "https://app.example";

/// Starts the application. It ends with the test's runtime.
pub(crate) async fn serve(settings: Settings) -> String {
    let routes = App::build(settings).await.unwrap().routes();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

pub(crate) fn base_url() -> BaseUrl {
    BaseUrl::parse(ORIGIN).unwrap()
}

/// A client that trusts this authority, and follows no redirects.
pub(crate) fn http(ca_pem: &str) -> Client {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

/// A browser. A clone is the same browser a moment earlier: what a thief or a second tab may have.
#[derive(Clone)]
pub(crate) struct Visitor {
    http: Client,
    /// The replica that the proxy leads to.
    pub(crate) replica: String,
    pub(crate) cookies: BTreeMap<String, String>,
    /// The token in the forms of the page that was seen last.
    pub(crate) token: String,
}

/// What came back.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        self.header(LOCATION.as_str())
    }

    /// The line that sets a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers.get_all(SET_COOKIE).iter();
        let mut lines = lines.map(|line| line.to_str().unwrap().to_owned());
        lines.find(|line| line.starts_with(&format!("{name}=")))
    }

    pub(crate) fn title(&self) -> &str {
        let (_, rest) = self.body.split_once("<title>").unwrap_or_default();
        rest.split('<').next().unwrap()
    }

    /// What stands behind `before`, up to the next quote.
    pub(crate) fn quoted(&self, before: &str) -> String {
        let (_, rest) = self.body.split_once(before).unwrap_or_default();
        rest.split('"').next().unwrap().replace("&amp;", "&")
    }
}

impl Visitor {
    pub(crate) fn new(http: &Client, replica: &str) -> Self {
        Self {
            http: http.clone(),
            replica: replica.to_owned(),
            cookies: BTreeMap::new(),
            token: String::new(),
        }
    }

    /// Opens a path, or a whole URL of ours.
    pub(crate) async fn open(&mut self, path: &str) -> Page {
        let path = path.strip_prefix(ORIGIN).unwrap_or(path);
        let request = self.http.get(format!("{}{path}", self.replica));
        self.send(request).await
    }

    /// Presses a button of the page that was seen last.
    pub(crate) async fn press(&mut self, path: &str) -> Page {
        let token = self.token.clone();
        self.post(
            path,
            &[("origin", ORIGIN), ("sec-fetch-site", "same-origin")],
            &format!("token={token}"),
        )
        .await
    }

    /// Posts a form with headers that a browser may or may not send.
    pub(crate) async fn post(&mut self, path: &str, headers: &[(&str, &str)], form: &str) -> Page {
        let request = self.http.post(format!("{}{path}", self.replica));
        let mut request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Page {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !pairs.is_empty() {
            request = request.header("cookie", pairs.join("; "));
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let page = Page {
            status,
            headers,
            body: response.text().await.unwrap(),
        };
        let token = page.quoted("name=\"token\" value=\"");
        if !token.is_empty() {
            self.token = token;
        }
        page
    }

    /// Begins a login; the URL of the server comes back.
    pub(crate) async fn begin_login(&mut self) -> String {
        self.open("/").await;
        self.press("/login").await.location().to_owned()
    }
}
