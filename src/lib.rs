//! The client side of FAPI 2.0 (Security Profile, Final): login, sender-constrained tokens, API calls
//! and refresh, with nothing insecure left to choose and nothing left to write.
//!
//! # The whole flow
//!
//! ```no_run
//! use fapi_client::{Client, ClientAuth, SoftwareKey};
//!
//! # async fn flow(pem: &str, cookie: &str, callback: &str) -> Result<(), fapi_client::Error> {
//! let client = Client::builder("https://as.bank.example", "client-id")
//!     .redirect_uri("https://app.example/callback")
//!     .authenticate_with(ClientAuth::private_key_jwt(SoftwareKey::from_pem(pem)?))
//!     .api("https://api.bank.example") // the only origins a token may go to
//!     .build().await?; // metadata read, preflight passed
//!
//! let login = client.login().scope("openid accounts").start().await?; // pushed; send the browser to login.url()
//! // ... the cookie `__Host-login` holds login.transaction().expose(); the browser comes back ...
//! let session = client.finish_login(cookie, callback).await?; // the raw URL, query or form
//! let accounts: serde_json::Value = session.get("https://api.bank.example/accounts").send().await?.json()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is kept for you
//!
//! * The request is pushed (RFC 9126) with PKCE `S256`; the browser carries `client_id` and
//!   `request_uri` alone.
//! * A login belongs to the browser that began it, and is finished once: [`Login::transaction`].
//! * The callback's `iss` and `state` are checked before anything else in it is believed (RFC 9207).
//! * Client assertions name the issuer as their audience, and are fresh for every attempt.
//! * Every token is bound to a key (RFC 9449), or to the client's certificate (RFC 8705). A server that answers
//!   with one that is not bound so gets an error.
//! * ID tokens are verified, signature and all, with the algorithms of FAPI 2.0 alone.
//! * Nonces, clocks that are off, expired tokens and refreshes are the crate's business.
//! * A token goes to the origins that you named, and redirects are never followed.
//!
//! # Where to go on
//!
//! * [`guide`]: a web application, a command line, keys.
//! * [`Client`] and [`ClientBuilder`]: what can be set, and what [`ClientBuilder::preflight`] tells.
//! * [`Session`]: API calls, UserInfo, refresh, step-up, logout.
//! * [`Clients`]: several authorization servers.
//! * [`Client::register`]: a client id for each installed copy of a program.
//! * [`Stores`]: where sessions live, and [`store`]: stores of your own.
//! * [`Signer`] and [`KeySet`]: keys in hardware, and keys that change while the program runs.
//! * [`KeyStore`]: where keys are made and stay. `Pkcs11Keys` (feature `pkcs11`) is an HSM or a card.
//! * [`ClientCertificate`] and [`CertificateSet`]: mutual TLS, for authentication, for tokens, or both.
//! * [`Transport`]: another HTTP stack, and [`HttpsTransport`]: roots, proxies.
//! * `native` (feature `loopback`): logins on the user's own device, for command lines and desktops.
//! * [`Error`]: what went wrong, by who is at fault.
//!
//! # Cryptography
//!
//! TLS and tokens use one provider of rustls: `aws-lc` (a feature, on unless turned off), `ring` (a
//! feature), or any other by [`ClientBuilder::crypto_provider`]. The process-wide default provider of
//! rustls is never used.
//!
//! # What does not compile
//!
//! There is no call that turns DPoP off:
//!
//! ```compile_fail,E0599
//! # fn f(builder: fapi_client::ClientBuilder) {
//! builder.without_dpop();
//! # }
//! ```
//!
//! and none that gives the access token, with which it could be sent without a proof:
//!
//! ```compile_fail,E0599
//! # fn f(session: fapi_client::Session) {
//! let token = session.access_token();
//! # }
//! ```
//!
//! ```compile_fail,E0603
//! use fapi_client::secret::AccessToken;
//! ```
//!
//! The headers of a prepared request ([`Session::prepare`]) hold the token together with a proof for one
//! method and one URL of an allowed origin. The token is bound to the key of that proof, and worth
//! nothing without it. An [`ApiRequest`] refuses an `Authorization` of the program's own.
//!
//! A client comes out of `build()` alone, with the server's metadata checked:
//!
//! ```compile_fail,E0451
//! # fn f() {
//! let client = fapi_client::Client { core: todo!() };
//! # }
//! ```
//!
//! PKCE has one method, and signatures have three algorithms:
//!
//! ```compile_fail,E0599
//! let algorithm = fapi_client::Algorithm::Rs256;
//! ```

#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::string_slice
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice
    )
)]

mod certificate;
mod client;
mod crypto;
mod error;
mod future;
mod jose;
mod keys;
#[cfg(feature = "loopback")]
pub mod native;
mod profile;
mod protocol;
pub mod rustls_0_23;
mod secret;
pub mod store;
mod time;
mod tls;
mod transport;

pub use certificate::ClientCertificate;
pub use client::{
    ApiRequest, ApiResponse, Client, ClientBuilder, Clients, ClientsBuilder, Counters, Discovery,
    EndSession, Event, Events, Login, LoginRequest, Observed, Prepared, Registration,
    RegistrationChanges, RegistrationRequest, Service, ServiceRequest, Session, SessionId,
};
pub use crypto::Crypto;
pub use error::{
    ApiFailure, ConfigError, Denied, Endpoint, Error, Finding, JwtFault, JwtKind, KeyError,
    LogoutRequestFault, NativeError, NonceFault, NotReplayable, OAuthError, Preflight, Rule,
    Severity, SignInAgain, StepUp, StoreError, TransportError, TransportFault, Violation,
};
pub use future::BoxFuture;
pub use jose::PublicJwk;
pub use keys::{
    CertificateSet, KeyName, KeySet, KeyStore, SealedKeys, Signature, Signer, SoftwareKey,
};
#[cfg(feature = "pkcs11")]
pub use keys::{Pkcs11Builder, Pkcs11Keys};
pub use profile::Algorithm;
pub use protocol::authorization_details::AuthorizationDetail;
pub use protocol::authorization_request::Prompt;
pub use protocol::authorization_response::Callback;
pub use protocol::challenge::Challenge;
pub use protocol::claims_request::{ClaimRequest, ClaimsRequest};
pub use protocol::client_auth::{CertificateName, ClientAuth};
pub use protocol::id_token::IdToken;
pub use protocol::logout::{EndSessionForm, LogoutAnswer, LogoutToken};
pub use protocol::metadata::ServerMetadata;
pub use protocol::uri::Issuer;
pub use protocol::userinfo::UserInfo;
pub use secret::{IdTokenHint, TransactionHandle};
pub use store::Stores;
pub use time::{Clock, SystemClock, Timestamp};
pub use transport::{
    BodyError, BodyStream, HttpsTransport, HttpsTransportBuilder, RequestBody, Transport,
    TransportRequest,
};

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// How to build on this crate, one page for each kind of program.
pub mod guide {
    #[doc = include_str!("../docs/guide/backend.md")]
    pub mod backend {}

    #[doc = include_str!("../docs/guide/command_line.md")]
    pub mod command_line {}

    #[doc = include_str!("../docs/guide/keys.md")]
    pub mod keys {}
}
