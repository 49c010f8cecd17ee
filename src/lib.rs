//! The client side of FAPI 2.0.

mod client;
mod crypto;
mod error;
mod future;
mod jose;
mod keys;
mod profile;
mod protocol;
pub mod rustls_0_23;
mod secret;
mod store;
mod time;
mod transport;

pub use client::{
    ApiRequest, ApiResponse, Client, ClientBuilder, Clients, ClientsBuilder, Discovery, Login,
    LoginRequest, Observed, Prepared, Service, ServiceRequest, Session, SessionId,
};
pub use crypto::Crypto;
pub use error::{
    ApiFailure, ConfigError, Denied, Endpoint, Error, Finding, JwtFault, JwtKind, KeyError,
    NonceFault, NotReplayable, OAuthError, Preflight, Rule, Severity, SignInAgain, StepUp,
    StoreError, TransportError, TransportFault, Violation,
};
pub use future::BoxFuture;
pub use jose::PublicJwk;
pub use keys::{KeySet, Signature, Signer, SoftwareKey};
pub use profile::Algorithm;
pub use protocol::authorization_request::{
    AuthorizationDetail, ClaimRequest, ClaimsRequest, Prompt,
};
pub use protocol::authorization_response::Callback;
pub use protocol::challenge::Challenge;
pub use protocol::client_auth::ClientAuth;
pub use protocol::id_token::IdToken;
pub use protocol::metadata::ServerMetadata;
pub use protocol::uri::Issuer;
pub use protocol::userinfo::UserInfo;
pub use secret::{IdTokenHint, TransactionHandle};
pub use time::{Clock, SystemClock, Timestamp};
pub use transport::{
    BodyError, BodyStream, HttpsTransport, HttpsTransportBuilder, RequestBody, Transport,
    TransportRequest,
};
