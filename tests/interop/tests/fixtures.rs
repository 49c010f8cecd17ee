//! The fixtures by themselves, with a client of a few lines: where these pass and the tests beside
//! them fail, the fault is not the servers'.

use std::cell::RefCell;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64ct::{Base64UrlUnpadded, Encoding};
use fapi_interop::{
    Algorithm, Answer, Browser, ClientKey, Keycloak, NodeProvider, Pki, Registration, User,
};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

fn node() -> &'static NodeProvider {
    static SERVER: OnceLock<NodeProvider> = OnceLock::new();
    SERVER.get_or_init(NodeProvider::start)
}

fn keycloak() -> &'static Keycloak {
    static SERVER: OnceLock<Keycloak> = OnceLock::new();
    SERVER.get_or_init(Keycloak::start)
}

#[tokio::test]
async fn node_oidc_provider_serves_every_client() {
    let server = node();
    for id in ["es256", "ps256", "eddsa", "loopback"] {
        let client = server.client(id);
        let mut probe = Probe::new(server.pki(), server.issuer(), client).await;
        let mut tokens = probe.log_in("openid email accounts").await;

        let userinfo = probe.userinfo(&tokens).await;
        assert_eq!(userinfo["email"], "alice@example.com", "{id}: {userinfo}");

        let url = format!("{}/accounts", server.api());
        let accounts = probe.call("GET", &url, &tokens).await;
        assert_eq!(accounts.json()["subject"], "alice", "{id}");

        for _ in 0..2 {
            let next = probe.refresh(&tokens).await;
            let rotated = next["refresh_token"] != tokens["refresh_token"];
            assert_eq!(rotated, NodeProvider::rotates(client), "{id}");
            tokens = next;
        }

        assert_eq!(probe.revoke(&tokens, "refresh_token").await.status, 200);
        assert_eq!(probe.call("GET", &url, &tokens).await.status, 401, "{id}");

        let tokens = probe.client_credentials("accounts").await;
        assert_eq!(probe.call("GET", &url, &tokens).await.json()["client"], id);
    }
}

#[tokio::test]
async fn keycloak_serves_every_client() {
    let server = keycloak();
    for id in ["es256", "ps256", "eddsa", "loopback"] {
        for (issuer, rotating) in [(server.issuer(), false), (server.rotating_issuer(), true)] {
            let client = server.client(id);
            let mut probe = Probe::new(server.pki(), &issuer, client).await;
            let tokens = probe.log_in("openid email").await;

            let userinfo = probe.userinfo(&tokens).await;
            assert_eq!(userinfo["email"], "alice@example.com", "{id}: {userinfo}");

            let account = probe
                .call("GET", &format!("{issuer}/account/"), &tokens)
                .await;
            assert_eq!(account.json()["username"], "alice", "{id}");

            let next = probe.refresh(&tokens).await;
            let old_again = probe.try_refresh(&tokens).await;
            assert_eq!(
                old_again.status == 200,
                !rotating,
                "{id}: {}",
                old_again.body
            );

            let revoked = probe.revoke(&next, "refresh_token").await;
            assert_eq!(
                revoked.status == 200,
                !Keycloak::strict(client),
                "{id}: {}",
                revoked.body
            );
            assert_eq!(probe.revoke(&next, "access_token").await.status, 200);

            let tokens = probe.client_credentials("openid").await;
            assert!(tokens["access_token"].is_string());
        }
    }
}

/// Both servers take the user's no back to the client.
#[tokio::test]
async fn a_user_can_refuse() {
    let node = node();
    let mut probe = Probe::new(node.pki(), node.issuer(), node.client("es256")).await;
    let callback = probe.authorize("openid", Answer::Refuse).await;
    assert_eq!(parameter(&callback, "error"), Some("access_denied".into()));

    let keycloak = keycloak();
    let mut probe = Probe::new(keycloak.pki(), &keycloak.issuer(), keycloak.client("es256")).await;
    let callback = probe.authorize("openid", Answer::Refuse).await;
    assert_eq!(parameter(&callback, "error"), Some("access_denied".into()));
}

/// A client of the least that a FAPI 2.0 server asks for. It checks nothing.
struct Probe<'a> {
    http: reqwest::Client,
    browser: Browser,
    metadata: Value,
    client: &'a Registration,
    redirect_uri: String,
    dpop: ClientKey,
    nonce: RefCell<Option<(String, String)>>,
}

struct Reply {
    status: u16,
    body: String,
    nonce: Option<String>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("{}: {}", self.status, self.body))
    }
}

const VERIFIER: &str = "a-verifier-that-is-not-secret-at-all-but-long-enough";

impl<'a> Probe<'a> {
    async fn new(pki: &Pki, issuer: &str, client: &'a Registration) -> Self {
        let http = Browser::client(pki);
        let url = format!("{issuer}/.well-known/openid-configuration");
        let metadata = http.get(url).send().await.unwrap().text().await.unwrap();
        let metadata: Value = serde_json::from_str(&metadata).unwrap();
        assert_eq!(metadata["issuer"], issuer);
        let redirect_uri = client
            .redirect_uri()
            .replace("127.0.0.1", "127.0.0.1:54321");
        Self {
            http,
            browser: Browser::new(pki),
            metadata,
            client,
            redirect_uri,
            dpop: ClientKey::generate(Algorithm::Es256),
            nonce: RefCell::default(),
        }
    }

    fn endpoint(&self, name: &str) -> String {
        self.metadata[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name}"))
            .to_owned()
    }

    async fn authorize(&mut self, scope: &str, answer: Answer) -> String {
        let challenge = hash(VERIFIER);
        let pushed = self
            .post(
                &self.endpoint("pushed_authorization_request_endpoint"),
                &[
                    ("response_type", "code"),
                    ("redirect_uri", &self.redirect_uri),
                    ("scope", scope),
                    ("state", "the-state"),
                    ("nonce", "the-nonce"),
                    ("code_challenge", &challenge),
                    ("code_challenge_method", "S256"),
                    ("dpop_jkt", self.dpop.thumbprint()),
                ],
            )
            .await;
        assert_eq!(
            pushed.status, 201,
            "{}: {}",
            self.client.client_id, pushed.body
        );
        let mut url = Url::parse(&self.endpoint("authorization_endpoint")).unwrap();
        url.query_pairs_mut()
            .append_pair("client_id", self.client.client_id)
            .append_pair(
                "request_uri",
                pushed.json()["request_uri"].as_str().unwrap(),
            );
        let callback = self
            .browser
            .visit(url.as_str(), &self.redirect_uri, User::ALICE, answer)
            .await;
        assert_eq!(
            parameter(&callback, "state"),
            Some("the-state".into()),
            "{callback}"
        );
        assert_eq!(
            parameter(&callback, "iss"),
            Some(self.endpoint("issuer")),
            "{callback}"
        );
        callback
    }

    async fn log_in(&mut self, scope: &str) -> Value {
        let callback = self.authorize(scope, Answer::Allow).await;
        let code = parameter(&callback, "code").unwrap_or_else(|| panic!("{callback}"));
        let tokens = self
            .token(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", &self.redirect_uri),
                ("code_verifier", VERIFIER),
            ])
            .await;
        let (header, claims) = decoded(tokens["id_token"].as_str().unwrap());
        assert_eq!(header["alg"], self.client.key.algorithm().name());
        assert_eq!(claims["nonce"], "the-nonce");
        println!("{} ID token: {header} {claims}", self.client.client_id);
        tokens
    }

    async fn userinfo(&self, tokens: &Value) -> Value {
        let answer = self
            .call("GET", &self.endpoint("userinfo_endpoint"), tokens)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        if !self.client.signed_userinfo {
            return answer.json();
        }
        let (header, claims) = decoded(&answer.body);
        assert_eq!(header["alg"], self.client.key.algorithm().name());
        println!("{} UserInfo: {header} {claims}", self.client.client_id);
        claims
    }

    async fn try_refresh(&self, tokens: &Value) -> Reply {
        let refresh_token = tokens["refresh_token"].as_str().unwrap();
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        self.post(&self.endpoint("token_endpoint"), &form).await
    }

    async fn refresh(&self, tokens: &Value) -> Value {
        let answer = self.try_refresh(tokens).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    async fn client_credentials(&self, scope: &str) -> Value {
        self.token(&[("grant_type", "client_credentials"), ("scope", scope)])
            .await
    }

    async fn revoke(&self, tokens: &Value, token: &str) -> Reply {
        let form = [
            ("token", tokens[token].as_str().unwrap()),
            ("token_type_hint", token),
        ];
        self.post(&self.endpoint("revocation_endpoint"), &form)
            .await
    }

    async fn token(&self, form: &[(&str, &str)]) -> Value {
        let answer = self.post(&self.endpoint("token_endpoint"), form).await;
        assert_eq!(
            answer.status, 200,
            "{}: {}",
            self.client.client_id, answer.body
        );
        let tokens = answer.json();
        assert_eq!(tokens["token_type"], "DPoP");
        tokens
    }

    async fn call(&self, method: &str, url: &str, tokens: &Value) -> Reply {
        self.send(method, url, None, tokens["access_token"].as_str())
            .await
    }

    async fn post(&self, url: &str, form: &[(&str, &str)]) -> Reply {
        self.send("POST", url, Some(form), None).await
    }

    /// Sends once, and once more where the server wants a nonce.
    async fn send(
        &self,
        method: &str,
        url: &str,
        form: Option<&[(&str, &str)]>,
        token: Option<&str>,
    ) -> Reply {
        let origin = Url::parse(url).unwrap().origin().ascii_serialization();
        let known = self
            .nonce
            .borrow()
            .clone()
            .filter(|(of, _)| *of == origin)
            .map(|pair| pair.1);
        let mut answer = self
            .send_once(method, url, form, token, known.as_deref())
            .await;
        if answer.nonce.is_some() && answer.nonce != known && matches!(answer.status, 400 | 401) {
            let nonce = answer.nonce.clone();
            answer = self
                .send_once(method, url, form, token, nonce.as_deref())
                .await;
        }
        if let Some(nonce) = &answer.nonce {
            *self.nonce.borrow_mut() = Some((origin, nonce.clone()));
        }
        answer
    }

    async fn send_once(
        &self,
        method: &str,
        url: &str,
        form: Option<&[(&str, &str)]>,
        token: Option<&str>,
        nonce: Option<&str>,
    ) -> Reply {
        let mut payload = json!({"htm": method, "htu": url, "iat": now(), "jti": unique()});
        if let Some(nonce) = nonce {
            payload["nonce"] = nonce.into();
        }
        if let Some(token) = token {
            payload["ath"] = hash(token).into();
        }
        let mut jwk = self.dpop.public_jwk().clone();
        jwk.as_object_mut()
            .unwrap()
            .retain(|name, _| ["kty", "crv", "x", "y"].contains(&&**name));
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
        let mut request = self
            .http
            .request(method.parse().unwrap(), url)
            .header("dpop", self.dpop.sign(&header, &payload))
            .header("accept", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("DPoP {token}"));
        }
        if let Some(form) = form {
            let key = &self.client.key;
            let header = json!({"alg": key.algorithm().name(), "kid": key.thumbprint()});
            let assertion = json!({
                "iss": self.client.client_id,
                "sub": self.client.client_id,
                "aud": self.metadata["issuer"],
                "jti": unique(),
                "iat": now(),
                "exp": now() + 60,
            });
            let body = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(form)
                .append_pair("client_id", self.client.client_id)
                .append_pair(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .append_pair("client_assertion", &key.sign(&header, &assertion))
                .finish();
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body);
        }
        let response = request.send().await.unwrap();
        Reply {
            status: response.status().as_u16(),
            nonce: response
                .headers()
                .get("dpop-nonce")
                .map(|n| n.to_str().unwrap().to_owned()),
            body: response.text().await.unwrap(),
        }
    }
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn decoded(jwt: &str) -> (Value, Value) {
    let mut parts = jwt.split('.').map(|part| {
        let bytes = Base64UrlUnpadded::decode_vec(part).unwrap();
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

fn hash(text: &str) -> String {
    Base64UrlUnpadded::encode_string(digest(&SHA256, text.as_bytes()).as_ref())
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn unique() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    Base64UrlUnpadded::encode_string(&bytes)
}
