//! A server that answers at once, in memory, with what a benchmark wants. It checks nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fapi_client::{
    BoxFuture, Client, ClientAuth, Error, Session, SoftwareKey, Stores, Transport, TransportError,
    TransportFault, TransportRequest,
};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

/// The issuer of the server.
pub const ISSUER: &str = "https://as.example";
/// The API that it protects.
pub const API: &str = "https://api.example";

/// The server. Each token that it gives is another one: 1 KiB of access token, 256 bytes of refresh
/// token.
#[derive(Clone, Default)]
pub struct Server {
    given: Arc<AtomicU64>,
}

impl Server {
    fn answer(&self, path: &str, form: &[u8]) -> (StatusCode, Value) {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        match path {
            "/.well-known/openid-configuration" => (StatusCode::OK, metadata()),
            // The state comes back in the request URI, so that whoever has that knows the callback.
            "/par" => {
                let state = url::form_urlencoded::parse(form)
                    .find(|(name, _)| name == "state")
                    .map(|(_, state)| state.into_owned());
                let request_uri = format!("urn:example:{}", state.unwrap_or_default());
                (
                    StatusCode::CREATED,
                    json!({"request_uri": request_uri, "expires_in": 60}),
                )
            }
            "/token" => (
                StatusCode::OK,
                json!({
                    "access_token": format!("{number:0>1024}"),
                    "token_type": "DPoP",
                    "expires_in": 300,
                    "refresh_token": format!("{number:0>256}"),
                    "scope": "accounts",
                }),
            ),
            _ => (StatusCode::OK, json!({"accounts": []})),
        }
    }
}

impl Transport for Server {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(async move {
            let (parts, body) = request.request.into_parts();
            let form = body.collect().await;
            let form = form.map_err(|_| TransportError::new(TransportFault::RequestBody))?;
            let (status, body) = self.answer(parts.uri.path(), &form.to_bytes());
            let mut response = Response::new(Bytes::from(body.to_string()));
            *response.status_mut() = status;
            let json = http::HeaderValue::from_static("application/json");
            response
                .headers_mut()
                .insert(http::header::CONTENT_TYPE, json);
            Ok(response)
        })
    }
}

fn metadata() -> Value {
    let at = |path: &str| format!("{ISSUER}{path}");
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "pushed_authorization_request_endpoint": at("/par"),
        "jwks_uri": at("/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "subject_types_supported": ["public"],
        "require_pushed_authorization_requests": true,
        "authorization_response_iss_parameter_supported": true,
    })
}

/// A client of the server.
///
/// # Errors
/// Where the client does not fit the server, which would be a fault of this file.
pub async fn client(server: &Server, stores: Stores) -> Result<Client, Error> {
    Client::builder(ISSUER, "client")
        .redirect_uri("https://app.example/callback")
        .authenticate_with(ClientAuth::private_key_jwt(SoftwareKey::generate_es256()?))
        .api(API)
        .transport(server.clone())
        .stores(stores)
        .build()
        .await
}

/// A whole login.
///
/// # Errors
/// As those of the client.
pub async fn log_in(client: &Client) -> Result<Session, Error> {
    let login = client.login().scope("accounts").start().await?;
    let (_, request_uri) = login
        .url()
        .query_pairs()
        .find(|(name, _)| name == "request_uri")
        .unwrap_or_default();
    let state = request_uri.trim_start_matches("urn:example:");
    let callback = format!("https://app.example/callback?code=abc&state={state}&iss={ISSUER}");
    client.finish_login(login.transaction(), callback).await
}
