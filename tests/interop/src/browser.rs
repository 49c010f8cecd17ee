use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::{Url, form_urlencoded};

use crate::Pki;

/// Someone who can sign in at both servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user name.
    pub name: &'static str,
    /// The password.
    pub password: &'static str,
}

impl User {
    /// The first user.
    pub const ALICE: Self = Self {
        name: "alice",
        password: "correct horse",
    };
    /// The second one.
    pub const BOB: Self = Self {
        name: "bob",
        password: "correct horse",
    };
}

/// What the user says to the client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Signs in where asked to, and agrees.
    Allow,
    /// Refuses as soon as there is something to refuse with.
    Refuse,
}

/// A user with a browser: follows redirects, keeps cookies, fills in forms. No scripts.
#[derive(Debug)]
pub struct Browser {
    client: reqwest::Client,
    cookies: HashMap<(String, String), String>,
}

impl Browser {
    /// A browser without cookies that trusts the authority of `pki`.
    #[must_use]
    pub fn new(pki: &Pki) -> Self {
        Self {
            client: Self::client(pki),
            cookies: HashMap::new(),
        }
    }

    /// A client that trusts the authority of `pki` alone, and follows no redirects.
    #[must_use]
    pub fn client(pki: &Pki) -> reqwest::Client {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(pki.authority().as_bytes()).expect("PEM");
        roots.add(root).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that the provider has")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client")
    }

    /// Opens `url` and does what its pages ask for, until the server redirects to `redirect_uri`.
    /// Returns that whole URL, which is not visited.
    pub async fn visit(
        &mut self,
        url: &str,
        redirect_uri: &str,
        user: User,
        answer: Answer,
    ) -> String {
        let mut address = Url::parse(url).expect("a URL");
        let mut form: Option<String> = None;
        for _ in 0..20 {
            let response = self.send(&address, form.take()).await;
            if response.status().is_redirection() {
                let location = response
                    .headers()
                    .get(LOCATION)
                    .expect("a redirect says where to");
                let location = location.to_str().expect("ASCII");
                let next = address.join(location).expect("a URL");
                if location.split(['?', '#']).next() == Some(redirect_uri) {
                    return location.to_owned();
                }
                address = next;
                continue;
            }
            let status = response.status();
            let page = response.text().await.expect("a page");
            assert!(
                status.is_success(),
                "the server says {status} at {address}:\n{page}"
            );
            let (next, body) = respond(&page, user, answer)
                .unwrap_or_else(|| panic!("nothing to do on the page at {address}:\n{page}"));
            address = address.join(&next).expect("a URL");
            form = body;
        }
        panic!("the server asks on and on, at last at {address}");
    }

    /// Opens the redirect URI of a program that waits for it on a loopback address.
    pub async fn deliver(&self, callback: &str) -> String {
        let response = self
            .client
            .get(callback)
            .send()
            .await
            .expect("the receiver answers");
        response.text().await.expect("a page")
    }

    async fn send(&mut self, address: &Url, form: Option<String>) -> reqwest::Response {
        let mut request = match form {
            Some(body) => self
                .client
                .post(address.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body),
            None => self.client.get(address.clone()),
        };
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((_, path), _)| address.path().starts_with(path))
            .map(|((name, _), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        let response = request.send().await.expect("the server answers");
        for cookie in response.headers().get_all(SET_COOKIE) {
            self.keep(cookie.to_str().expect("ASCII"));
        }
        response
    }

    fn keep(&mut self, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let mut path = "/";
        let mut deleted = value.is_empty();
        for (attribute, value) in parts.filter_map(|part| part.split_once('=')) {
            match attribute.to_ascii_lowercase().as_str() {
                "path" => path = value,
                "max-age" => deleted |= value == "0",
                "expires" => deleted |= value.contains(" 1970 "),
                _ => {}
            }
        }
        let key = (name.to_owned(), path.to_owned());
        if deleted {
            self.cookies.remove(&key);
        } else {
            self.cookies.insert(key, value.to_owned());
        }
    }
}

/// Where a page leads, and the form to send there, if any.
fn respond(page: &str, user: User, answer: Answer) -> Option<(String, Option<String>)> {
    let tags = tags(page);
    if answer == Answer::Refuse {
        let links = tags
            .iter()
            .filter(|tag| tag.name == "a")
            .filter_map(|tag| tag.get("href"));
        if let Some(abort) = links.into_iter().find(|link| link.ends_with("/abort")) {
            return Some((abort.to_owned(), None));
        }
    }
    let start = tags.iter().position(|tag| {
        tag.name == "form"
            && tag
                .get("method")
                .is_some_and(|m| m.eq_ignore_ascii_case("post"))
    })?;
    let action = tags[start].get("action")?.to_owned();
    let mut body = form_urlencoded::Serializer::new(String::new());
    let mut pressed = false;
    for tag in tags[start + 1..]
        .iter()
        .take_while(|tag| tag.name != "/form")
    {
        let value = tag.get("value").unwrap_or("");
        let kind = match (tag.name.as_str(), tag.get("type")) {
            ("input", kind) => kind.unwrap_or("text"),
            ("button", kind) => kind.unwrap_or("submit"),
            _ => continue,
        };
        let Some(name) = tag.get("name") else {
            continue;
        };
        match kind {
            "hidden" => _ = body.append_pair(name, value),
            "text" | "email" => _ = body.append_pair(name, user.name),
            "password" => _ = body.append_pair(name, user.password),
            "submit" if !pressed && wanted(name, answer, &tags[start..]) => {
                pressed = true;
                body.append_pair(name, value);
            }
            _ => {}
        }
    }
    Some((action, Some(body.finish())))
}

/// Whether this is the button to press. A form without a button `cancel` can't be refused.
fn wanted(name: &str, answer: Answer, form: &[Tag]) -> bool {
    let refusable = form.iter().any(|tag| tag.get("name") == Some("cancel"));
    (answer == Answer::Refuse && refusable) == (name == "cancel")
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The tags of a page in their order. Enough for the pages of these servers, and no more.
fn tags(page: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '>')
            .unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = &rest[end..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            let end = rest.find(|c: char| c.is_whitespace() || "=>".contains(c));
            let Some(end) = end.filter(|_| !rest.starts_with('>')) else {
                break;
            };
            let key = rest[..end].to_ascii_lowercase();
            rest = rest[end..].trim_start();
            let mut value = "";
            if let Some(after) = rest.strip_prefix('=') {
                let after = after.trim_start();
                (value, rest) = match after.chars().next() {
                    Some(quote @ ('"' | '\'')) => {
                        after[1..].split_once(quote).unwrap_or((&after[1..], ""))
                    }
                    _ => after.split_at(
                        after
                            .find(|c: char| c.is_whitespace() || c == '>')
                            .unwrap_or(after.len()),
                    ),
                };
            }
            attributes.push((key, unescape(value)));
        }
        if name == "script" {
            rest = rest.find("</script").map_or("", |end| &rest[end..]);
        }
        tags.push(Tag { name, attributes });
    }
    tags
}

fn unescape(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        result.push_str(&rest[..start]);
        rest = &rest[start..];
        let entity = rest.find(';').map(|end| (&rest[1..end], &rest[end + 1..]));
        let known = entity.and_then(|(name, after)| Some((character(name)?, after)));
        let (character, after) = known.unwrap_or(('&', &rest[1..]));
        result.push(character);
        rest = after;
    }
    result + rest
}

fn character(entity: &str) -> Option<char> {
    let number = |text: &str, radix| {
        u32::from_str_radix(text, radix)
            .ok()
            .and_then(char::from_u32)
    };
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match entity.strip_prefix('#')? {
            hex if hex.starts_with(['x', 'X']) => number(&hex[1..], 16),
            decimal => number(decimal, 10),
        },
    }
}
