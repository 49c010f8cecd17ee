//! A client written by hand, so that a test can get any part of a request wrong. It signs with
//! `ring`, while the servers verify ES256 and Ed25519 with other crates.

use std::collections::HashMap;
use std::sync::Mutex;

use fapi_testkit::{Jwt, Registration, TestServer};
use http::Method;
use reqwest::Client;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder};
use serde_json::{Map, Value, json};

use crate::wire::{Draft, Key, Reply, Shot, hash, unique};

pub(crate) const CALLBACK: &str = "https://app.example/callback";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A client that is registered with a server.
pub(crate) struct Party {
    pub(crate) server: TestServer,
    pub(crate) id: String,
    pub(crate) key: Key,
    pub(crate) dpop: Key,
    pub(crate) http: Client,
    pub(crate) metadata: Value,
    nonces: Mutex<HashMap<String, String>>,
}

impl Party {
    pub(crate) async fn new(server: &TestServer) -> Self {
        Self::with_keys(server, "client", Key::es256(), Key::es256()).await
    }

    pub(crate) async fn with_keys(server: &TestServer, id: &str, key: Key, dpop: Key) -> Self {
        let mut party = Self {
            server: server.clone(),
            id: id.to_owned(),
            key,
            dpop,
            http: http(server),
            metadata: Value::Null,
            nonces: Mutex::default(),
        };
        server.register(party.registration());
        let issuer = server.issuer();
        let url = format!("{issuer}/.well-known/openid-configuration");
        party.metadata = party.send_raw(Method::GET, &url).await.json();
        party
    }

    pub(crate) fn registration(&self) -> Registration {
        let mut jwk = self.key.jwk();
        jwk["kid"] = self.key.thumbprint().into();
        Registration::new(&self.id)
            .jwks(json!({"keys": [jwk]}))
            .redirect_uri(CALLBACK)
    }

    pub(crate) fn endpoint(&self, name: &str) -> String {
        self.metadata[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name}"))
            .to_owned()
    }

    pub(crate) fn now(&self) -> i64 {
        self.server.clock().now()
    }

    pub(crate) fn assertion(&self) -> Draft {
        Draft {
            header: json!({"alg": self.key.alg(), "kid": self.key.thumbprint(), "typ": "JWT"}),
            claims: json!({
                "iss": self.id, "sub": self.id, "aud": self.server.issuer(), "jti": unique(),
                "iat": self.now(), "exp": self.now() + 60,
            }),
            instead: None,
            spoil: None,
        }
    }

    pub(crate) fn proof(&self, method: &Method, url: &str, access_token: Option<&str>) -> Draft {
        let htu = url.split(['?', '#']).next().unwrap();
        let mut claims =
            json!({"jti": unique(), "htm": method.as_str(), "htu": htu, "iat": self.now()});
        if let Some(token) = access_token {
            claims["ath"] = hash(token.as_bytes()).into();
        }
        if let Some(nonce) = self.nonces.lock().unwrap().get(self.role(url)) {
            claims["nonce"] = nonce.as_str().into();
        }
        Draft {
            header: json!({"typ": "dpop+jwt", "alg": self.dpop.alg(), "jwk": self.dpop.jwk()}),
            claims,
            instead: None,
            spoil: None,
        }
    }

    /// Nonces are kept apart by role.
    fn role(&self, url: &str) -> &'static str {
        match url {
            url if url.starts_with(self.server.api()) => "api",
            url if url.ends_with("/userinfo") => "userinfo",
            _ => "provider",
        }
    }

    pub(crate) fn par(&self, scope: &str) -> Shot {
        let challenge = hash(VERIFIER.as_bytes());
        let jkt = self.dpop.thumbprint();
        let mut shot = self.post(
            "pushed_authorization_request_endpoint",
            &[
                ("client_id", &self.id),
                ("response_type", "code"),
                ("redirect_uri", CALLBACK),
                ("scope", scope),
                ("state", "the-state"),
                ("nonce", "the-nonce"),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
                ("dpop_jkt", &jkt),
            ],
        );
        if scope.is_empty() {
            shot.unset("scope");
        }
        shot
    }

    pub(crate) fn code(&self, code: &str) -> Shot {
        self.post(
            "token_endpoint",
            &[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", VERIFIER),
            ],
        )
    }

    pub(crate) fn refresh(&self, token: &str) -> Shot {
        self.post(
            "token_endpoint",
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        )
    }

    pub(crate) fn service(&self, scope: &str) -> Shot {
        self.post(
            "token_endpoint",
            &[("grant_type", "client_credentials"), ("scope", scope)],
        )
    }

    pub(crate) fn revoke(&self, token: &str) -> Shot {
        let mut shot = self.post("revocation_endpoint", &[("token", token)]);
        shot.proof = None;
        shot
    }

    pub(crate) fn post(&self, endpoint: &str, form: &[(&str, &str)]) -> Shot {
        let url = self.endpoint(endpoint);
        Shot {
            proof: Some(self.proof(&Method::POST, &url, None)),
            method: Method::POST,
            url,
            form: form
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            assertion: Some(self.assertion()),
            headers: vec![],
            body: None,
            content_type: "application/x-www-form-urlencoded",
        }
    }

    pub(crate) fn call(&self, method: Method, url: &str, token: &str) -> Shot {
        Shot {
            proof: Some(self.proof(&method, url, Some(token))),
            method,
            url: url.to_owned(),
            form: vec![],
            assertion: None,
            headers: vec![("authorization", format!("DPoP {token}"))],
            body: None,
            content_type: "",
        }
    }

    pub(crate) fn api(&self, path: &str, token: &str) -> Shot {
        self.call(Method::GET, &format!("{}{path}", self.server.api()), token)
    }

    pub(crate) fn userinfo(&self, token: &str) -> Shot {
        self.call(Method::GET, &self.endpoint("userinfo_endpoint"), token)
    }

    /// Sends a request as it is, once.
    pub(crate) async fn send(&self, shot: Shot) -> Reply {
        let mut form = shot.form.clone();
        if let Some(assertion) = &shot.assertion {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            if !form.iter().any(|(name, _)| name == "client_assertion_type") {
                form.push(("client_assertion_type".to_owned(), kind.to_owned()));
            }
            form.push(("client_assertion".to_owned(), assertion.sign(&self.key)));
        }
        let mut request = self.http.request(shot.method.clone(), &shot.url);
        if let Some(proof) = &shot.proof {
            request = request.header("dpop", proof.sign(&self.dpop));
        }
        for (name, value) in &shot.headers {
            request = request.header(*name, value);
        }
        if !shot.content_type.is_empty() {
            let body = shot.body.clone().unwrap_or_else(|| {
                let mut text = url::form_urlencoded::Serializer::new(String::new());
                text.extend_pairs(&form).finish().into_bytes()
            });
            request = request.header("content-type", shot.content_type).body(body);
        }
        let reply = read(request.send().await.unwrap()).await;
        if let Some(nonce) = reply.headers.get("dpop-nonce") {
            let nonce = nonce.to_str().unwrap().to_owned();
            self.nonces
                .lock()
                .unwrap()
                .insert(self.role(&shot.url).to_owned(), nonce);
        }
        reply
    }

    /// Sends what `make` makes, and again if a nonce is demanded.
    pub(crate) async fn with_nonce(&self, make: impl Fn() -> Shot) -> Reply {
        let reply = self.send(make()).await;
        if reply.error() == "use_dpop_nonce" {
            self.send(make()).await
        } else {
            reply
        }
    }

    pub(crate) async fn send_raw(&self, method: Method, url: &str) -> Reply {
        read(self.http.request(method, url).send().await.unwrap()).await
    }

    /// Pushes a request that must succeed, and returns the URL for the browser.
    pub(crate) async fn push(&self, scope: &str, extra: &[(&str, &str)]) -> String {
        let reply = self
            .with_nonce(|| {
                let mut shot = self.par(scope);
                for (name, value) in extra {
                    shot.add(name, value);
                }
                shot
            })
            .await;
        assert_eq!(reply.status, 201, "{reply:?}");
        self.authorization_url(reply.json()["request_uri"].as_str().unwrap())
    }

    pub(crate) fn authorization_url(&self, request_uri: &str) -> String {
        let mut url = url::Url::parse(&self.endpoint("authorization_endpoint")).unwrap();
        url.query_pairs_mut()
            .append_pair("client_id", &self.id)
            .append_pair("request_uri", request_uri);
        url.into()
    }

    /// Logs alice in, and returns the code.
    pub(crate) async fn fresh_code(&self, scope: &str) -> String {
        let url = self.push(scope, &[]).await;
        callback(&self.server.browser("alice").approve(&url).await)["code"].clone()
    }

    /// The whole flow; returns the token response.
    pub(crate) async fn log_in(&self, scope: &str) -> Value {
        let code = self.fresh_code(scope).await;
        let reply = self.with_nonce(|| self.code(&code)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }
}

pub(crate) fn callback(url: &str) -> HashMap<String, String> {
    url::Url::parse(url)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}

pub(crate) fn claims(tokens: &Value) -> Map<String, Value> {
    Jwt::read(tokens["id_token"].as_str().unwrap())
        .unwrap()
        .claims
}

pub(crate) fn http(server: &TestServer) -> Client {
    http_with(server, rustls::crypto::ring::default_provider())
        .build()
        .unwrap()
}

/// A client that shows a certificate, given with its key as PEM.
pub(crate) fn http_showing(server: &TestServer, (chain, key): &(String, String)) -> Client {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = config(server, rustls::crypto::ring::default_provider());
    let config = config.with_client_auth_cert(chain, key).unwrap();
    over(config).build().unwrap()
}

pub(crate) fn http_with(
    server: &TestServer,
    provider: rustls::crypto::CryptoProvider,
) -> reqwest::ClientBuilder {
    over(config(server, provider).with_no_client_auth())
}

fn config(
    server: &TestServer,
    provider: rustls::crypto::CryptoProvider,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(server.ca_der())).unwrap();
    ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

fn over(mut config: ClientConfig) -> reqwest::ClientBuilder {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
}

async fn read(response: reqwest::Response) -> Reply {
    let (status, headers) = (response.status(), response.headers().clone());
    Reply {
        status,
        headers,
        body: response.bytes().await.unwrap().to_vec(),
    }
}
