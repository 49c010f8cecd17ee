//! What went over the wire, as the transport saw it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use fapi_client::{BoxFuture, RequestBody, Transport, TransportError, TransportRequest};
use http::Response;
use serde_json::Value;
use url::form_urlencoded;

/// A record of requests and answers, in their order.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Vec<Exchange>>>);

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub path: String,
    /// The fields of its form, where it carried one.
    pub form: Vec<(String, String)>,
    /// The DPoP proof's claims.
    pub proof: Option<Value>,
    pub status: u16,
    pub body: String,
    pub challenge: String,
}

impl Exchange {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn assertion(&self) -> Option<Value> {
        self.field("client_assertion").map(claims)
    }

    fn wants_nonce(&self) -> bool {
        self.json()["error"] == "use_dpop_nonce" || self.challenge.contains("\"use_dpop_nonce\"")
    }
}

impl Wire {
    /// A transport that keeps a record of what goes through it.
    pub fn through(&self, transport: impl Transport + 'static) -> impl Transport + 'static {
        Recorder {
            wire: self.clone(),
            transport,
        }
    }

    pub fn exchanges(&self) -> Vec<Exchange> {
        self.0.lock().unwrap().clone()
    }

    /// The exchanges of one kind, by the end of the path, that succeeded.
    pub fn served(&self, path: &str) -> Vec<Exchange> {
        let of_kind = |exchange: &Exchange| exchange.path.ends_with(path) && exchange.status < 300;
        self.exchanges().into_iter().filter(of_kind).collect()
    }

    /// R6749-6: every refresh used the newest refresh token that the server had given. Returns how
    /// many different ones there were.
    pub fn refresh_tokens(&self) -> usize {
        let mut all = BTreeSet::new();
        let mut newest = None;
        for exchange in self.served("/token") {
            if exchange.field("grant_type") == Some("refresh_token") {
                assert_eq!(exchange.field("refresh_token"), newest.as_deref());
            }
            if let Some(token) = exchange.json()["refresh_token"].as_str() {
                all.insert(token.to_owned());
                newest = Some(token.to_owned());
            }
        }
        all.len()
    }

    /// What was refused, but for a nonce: path, status, body.
    pub fn refusals(&self) -> Vec<(String, u16, String)> {
        self.exchanges()
            .into_iter()
            .filter(|exchange| exchange.status >= 400 && !exchange.wants_nonce())
            .map(|exchange| (exchange.path, exchange.status, exchange.body))
            .collect()
    }

    /// How often a nonce was asked for.
    pub fn nonce_challenges(&self) -> usize {
        let challenged = |exchange: &&Exchange| exchange.status >= 400 && exchange.wants_nonce();
        self.exchanges().iter().filter(challenged).count()
    }

    /// CA-6, DPOP-7.3: every assertion and every proof was made for one request.
    pub fn assert_every_jti_is_fresh(&self) {
        let mut seen = BTreeSet::new();
        for exchange in self.exchanges() {
            for jwt in [exchange.proof.clone(), exchange.assertion()]
                .into_iter()
                .flatten()
            {
                let jti = jwt["jti"].as_str().expect("a jti").to_owned();
                assert!(seen.insert(jti), "a jti came twice: {exchange:?}");
            }
        }
        assert!(!seen.is_empty());
    }
}

struct Recorder<T> {
    wire: Wire,
    transport: T,
}

impl<T: Transport> Transport for Recorder<T> {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        let sent = &request.request;
        let proof = sent
            .headers()
            .get("dpop")
            .map(|proof| claims(proof.to_str().unwrap()));
        let path = sent.uri().path().to_owned();
        let form = match sent.body() {
            RequestBody::Bytes(bytes) => form_urlencoded::parse(bytes).into_owned().collect(),
            RequestBody::Stream(_) => Vec::new(),
        };
        Box::pin(async move {
            let response = self.transport.send(request).await?;
            let challenge = response
                .headers()
                .get_all("www-authenticate")
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect::<Vec<_>>()
                .join(", ");
            self.wire.0.lock().unwrap().push(Exchange {
                path,
                form,
                proof,
                status: response.status().as_u16(),
                body: String::from_utf8_lossy(response.body()).into_owned(),
                challenge,
            });
            Ok(response)
        })
    }
}

fn claims(jwt: &str) -> Value {
    let payload = jwt.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(payload).unwrap()).unwrap()
}
