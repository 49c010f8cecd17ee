//! API calls as a program makes them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;
use url::Url;

use super::cell::Cell;
use super::core::Core;
use super::resource::{self, Call};
use super::tokens::Part;
use crate::error::is_plain_word;
use crate::error::{ApiFailure, ConfigError, Endpoint, Error, Violation};
use crate::profile::{API_MAX_BYTES, API_TIMEOUT};
use crate::protocol::answer::retry_after;
use crate::protocol::challenge::{self, Challenge};
use crate::secret::random_uuid;
use crate::transport::RequestBody;

/// IA-1: the id that both sides write into their logs.
const INTERACTION_ID: HeaderName = HeaderName::from_static("x-fapi-interaction-id");

/// The headers that are the client's own, and those of the connection: with `Connection` an
/// intermediary could be made to strip the proof.
const RESERVED: [&str; 12] = [
    "authorization",
    "dpop",
    "host",
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request to an API.
///
/// Access token, proof, nonces and renewal are its own business. What can't be right is told by
/// [`send`](Self::send), before anything goes out.
#[must_use = "a request goes out with send()"]
pub struct ApiRequest {
    core: Arc<Core>,
    cell: Arc<Cell>,
    part: Arc<Part>,
    url: Result<Url, ConfigError>,
    method: Method,
    headers: HeaderMap,
    body: RequestBody,
    idempotent: bool,
    max_response_bytes: usize,
    timeout: Duration,
    problem: Option<ConfigError>,
}

impl ApiRequest {
    pub(crate) fn new(
        core: Arc<Core>,
        cell: Arc<Cell>,
        part: Arc<Part>,
        method: Method,
        url: &str,
    ) -> Self {
        Self {
            url: resource::allowed(&core, url),
            idempotent: method.is_idempotent(),
            core,
            cell,
            part,
            method,
            headers: HeaderMap::new(),
            body: RequestBody::empty(),
            max_response_bytes: API_MAX_BYTES,
            timeout: API_TIMEOUT,
            problem: None,
        }
    }

    fn problem(mut self, problem: ConfigError) -> Self {
        self.problem.get_or_insert(problem);
        self
    }

    /// Sets a header. `Authorization`, `DPoP`, `Host` and what belongs to the connection are set by the
    /// client alone.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        let parsed = (
            HeaderName::try_from(name),
            HeaderValue::from_str(value.as_ref()),
        );
        let (Ok(key), Ok(value)) = parsed else {
            return self.problem(ConfigError::Header(name.escape_debug().to_string()));
        };
        if RESERVED.contains(&key.as_str()) {
            return self.problem(ConfigError::ReservedHeader(key.as_str().to_owned()));
        }
        self.headers.insert(key, value);
        self
    }

    /// Adds parameters to the URL's query. No token ever goes there.
    pub fn query<N: AsRef<str>, V: AsRef<str>>(
        mut self,
        parameters: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        self
    }

    /// A JSON body, with its content type.
    pub fn json(self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self
                .content_type("application/json")
                .body(Bytes::from(bytes)),
            Err(error) => self.problem(ConfigError::Body(error.to_string())),
        }
    }

    /// A form as the body, with its content type.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(
        self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let encoded = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.content_type("application/x-www-form-urlencoded")
            .body(encoded)
    }

    fn content_type(mut self, media: &'static str) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(media));
        self
    }

    /// The body. Bytes can be sent again where the API wants that; a stream
    /// ([`BodyStream`](crate::BodyStream)) can't, and where it would have to be, the error is
    /// [`Error::NotReplayable`].
    pub fn body(mut self, body: impl Into<RequestBody>) -> Self {
        self.body = body.into();
        self
    }

    /// Says that sending the request twice does what sending it once does, for instance since it
    /// carries an idempotency key. Without it a POST is not sent again after a 401 that says nothing.
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// The largest body of an answer that is taken, in bytes. 4 MiB unless set.
    pub const fn max_response_bytes(mut self, limit: usize) -> Self {
        self.max_response_bytes = limit;
        self
    }

    /// How long each attempt may take. 60 seconds unless set.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The `x-fapi-interaction-id`, a UUID, where calls belong together. A random one is sent
    /// otherwise.
    pub fn interaction_id(self, id: impl AsRef<str>) -> Self {
        self.header(INTERACTION_ID.as_str(), id)
    }

    /// Sends the request. Any status is an answer; [`ApiResponse::json`] takes successes alone.
    ///
    /// # Errors
    /// [`Error::Config`] for what can't be right (a foreign origin, a reserved header), before anything
    /// goes out; [`Error::StepUp`]; [`Error::SignInAgain`]; [`Error::NotReplayable`];
    /// [`Error::Transport`]; [`Error::Violation`].
    pub async fn send(mut self) -> Result<ApiResponse, Error> {
        if let Some(problem) = self.problem {
            return Err(problem.into());
        }
        let url = self.url?;
        if !self.headers.contains_key(INTERACTION_ID) {
            let id = HeaderValue::from_str(&random_uuid()?)
                .map_err(|_| ConfigError::Header(INTERACTION_ID.as_str().to_owned()))?;
            self.headers.insert(INTERACTION_ID, id);
        }
        let sent_id = interaction_id(&self.headers).unwrap_or_default();
        let call = Call {
            endpoint: Endpoint::Resource,
            method: self.method,
            url,
            headers: self.headers,
            body: self.body,
            idempotent: self.idempotent,
            max_response_bytes: self.max_response_bytes,
            timeout: self.timeout,
        };
        let span = tracing::info_span!("fapi.api", method = %call.method, interaction_id = sent_id);
        let response = resource::send(&self.core, &self.cell, &self.part, call)
            .instrument(span)
            .await?;
        let echoed = interaction_id(response.headers());
        if echoed.as_ref().is_some_and(|echoed| *echoed != sent_id) {
            tracing::warn!("the API answered with another x-fapi-interaction-id");
        }
        Ok(ApiResponse {
            response,
            interaction_id: sent_id,
        })
    }
}

/// The URL's host and the method.
impl fmt::Debug for ApiRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.as_ref().ok().and_then(Url::host_str);
        formatter
            .debug_struct("ApiRequest")
            .field("method", &self.method)
            .field("host", &host)
            .finish_non_exhaustive()
    }
}

fn interaction_id(headers: &HeaderMap) -> Option<String> {
    headers
        .get(INTERACTION_ID)?
        .to_str()
        .ok()
        .map(str::to_owned)
}

/// What an API answered.
#[derive(Clone)]
pub struct ApiResponse {
    response: Response<Bytes>,
    interaction_id: String,
}

impl ApiResponse {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The `x-fapi-interaction-id` that was sent.
    #[must_use]
    pub fn interaction_id(&self) -> &str {
        &self.interaction_id
    }

    /// What the API wants, as its `WWW-Authenticate` headers say.
    #[must_use]
    pub fn challenges(&self) -> Vec<Challenge> {
        challenge::challenges(self.response.headers())
    }

    /// The body, whatever the status.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.response.body()
    }

    /// The body as text, whatever the status.
    ///
    /// # Errors
    /// [`Violation::Answer`] where it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(self.response.body()).map_err(|_| malformed("").into())
    }

    /// The body of a success, read from JSON.
    ///
    /// # Errors
    /// [`Error::Api`] for a status that is no success; [`Violation::Answer`], which names the place but
    /// not the value, for JSON of another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.success()?;
        serde_json::from_slice(self.response.body()).map_err(|error| {
            malformed(&format!("line {} column {}", error.line(), error.column())).into()
        })
    }

    /// The answer, where its status is a success.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub fn error_for_status(self) -> Result<Self, Error> {
        self.success()?;
        Ok(self)
    }

    fn success(&self) -> Result<(), ApiFailure> {
        if self.response.status().is_success() {
            return Ok(());
        }
        Err(api_failure(&self.response, self.interaction_id.clone()))
    }
}

/// What an answer that is no success says of itself (R6750-3).
pub(crate) fn api_failure(response: &Response<Bytes>, interaction_id: String) -> ApiFailure {
    let challenges = challenge::challenges(response.headers());
    let with_error = challenges
        .iter()
        .find(|challenge| challenge.parameter("error").is_some());
    let parameter = |name: &str| {
        with_error
            .and_then(|challenge| challenge.parameter(name))
            .map(str::to_owned)
    };
    ApiFailure::new(
        response.status().as_u16(),
        parameter("error").filter(|error| is_plain_word(error)),
        parameter("scope").filter(|scope| scope.len() <= 1024),
        retry_after(response.headers()),
        interaction_id,
    )
}

fn malformed(member: &str) -> Violation {
    Violation::Answer {
        endpoint: Endpoint::Resource,
        member: member.to_owned(),
    }
}

/// The status alone: bodies of APIs are personal data.
impl fmt::Debug for ApiResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApiResponse")
            .field("status", &self.response.status())
            .field("interaction_id", &self.interaction_id)
            .finish_non_exhaustive()
    }
}
