//! A FAPI 2.0 authorization server and resource server for tests: in process, over TLS on
//! loopback, strict on everything that such a server must refuse, and able to misbehave on
//! command. For any client.
//!
//! ```
//! use fapi_testkit::{Endpoint, IdTokenFault, Registration, TestServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let jwks = serde_json::json!({"keys": []});
//! let server = TestServer::start().await;
//! server.register(
//!     Registration::new("client-id")
//!         .jwks(jwks) // the client's public keys
//!         .redirect_uri("https://app.example/callback"),
//! );
//!
//! // Point the client under test at `server.issuer()` and `server.api()`, let it trust
//! // `server.ca_pem()`, and begin a login. The user visits the URL that comes out of it:
//! let browser = server.browser("alice");
//! # let url = format!("{}/authorize?client_id=client-id&scope=openid", server.issuer());
//! // let callback = browser.approve(&url).await;
//!
//! // A URL that was not pushed first is refused, and the server says why.
//! let answer = browser.visit(&url).await.unwrap();
//! assert_eq!(answer.status, 400);
//! assert_eq!(
//!     server.refusals(),
//!     [r#"Authorization: not `client_id` and `request_uri` alone, but ["client_id", "scope"]"#]
//! );
//!
//! // The next ID token will be another client's. The test then asserts which error the client
//! // raised, and that nothing went out after it.
//! server.misbehave_times(IdTokenFault::WrongAudience, 1);
//! assert_eq!(server.count(Endpoint::Api), 0);
//! # }
//! ```
//!
//! # What it is strict on
//!
//! The clauses of the FAPI 2.0 Security Profile (Final) that bind servers, and the RFCs under it:
//!
//! * pushed authorization requests alone, with client authentication, PKCE `S256`, a registered
//!   `redirect_uri`, a `nonce` of at most 64 characters; nothing twice, nothing empty;
//! * the authorization endpoint with `client_id` and `request_uri` alone, each `request_uri` once;
//! * client assertions with the issuer as `aud`, a string; at most five minutes; each `jti` once;
//! * DPoP proofs with every token and API request: signature, `htm`, `htu`, `iat`, `jti`, `ath`
//!   where there is a token and only there, and a `nonce` of the role that asks;
//! * codes once, for 60 seconds, for the key and client that asked; a second use takes back what
//!   the first one gave;
//! * with mutual TLS ([`ServerBuilder::mutual_tls`]): `client_id` and no assertion from a client that a
//!   certificate authenticates, no proof from one whose tokens are bound to its certificate, and those
//!   tokens as `Bearer`, over connections that show it, alone;
//! * registrations that say every member which decides about security, with public keys alone;
//! * access tokens that are bound to a key under the scheme `DPoP` alone, with a proof by that key;
//! * at the logout that a client asks for: an ID token of its own as the hint, a registered
//!   `post_logout_redirect_uri`, and nothing that does not belong there.
//!
//! Each refusal is recorded with its reason: see [`TestServer::refusals`].
//!
//! # What it does wrong on command
//!
//! [`Fault`] lists it; [`TestServer::misbehave`] switches it on. The mutators
//! ([`TestServer::mutate_id_token`] and its like) change any document before it is signed or
//! sent, and [`TestServer::answer_next`] puts any [`Answer`] in place of the real one: redirects,
//! bodies without end, lost answers. [`TestServer::hold`] makes requests wait, so that a test can
//! let things happen in between without sleeping.
//!
//! # Contracts
//!
//! [`contract`] tests what the traits of `fapi-client` promise, on an implementation of yours: transports,
//! signers, and stores of logins, records, locks and keys.
//!
//! # What it is built of
//!
//! The servers use no code of any client. They verify ES256 with `p256`, Ed25519 with
//! `ed25519-dalek` and PS256 with `ring`; TLS is rustls with `ring`, handed over explicitly. They
//! run on a thread of their own. All keys are made at start, save those for RSA, which are part
//! of this crate and protect nothing.

#![forbid(unsafe_code)]

mod access;
mod assertion;
mod browser;
mod builder;
mod clock;
pub mod contract;
mod control;
mod dpop;
mod fault;
mod form;
mod grants;
mod jose;
mod misbehaviour;
mod mutual_tls;
mod net;
mod provider;
mod random;
mod record;
mod registration;
mod reply;
mod resource;
mod server;
mod state;

pub use browser::{Browser, BrowserAnswer, ConsentPage};
pub use builder::ServerBuilder;
pub use clock::TestClock;
pub use control::Hold;
pub use dpop::Nonces;
pub use fault::{
    ApiFault, AuthorizationFault, Fault, IdTokenFault, MetadataFault, NonceFault, ParFault,
    RegistrationFault, TokenFault, UserInfoFault,
};
pub use jose::Alg;
pub use net::answer::Answer;
pub use net::tls::{Certificate, ClientCertificate, Tls};
pub use record::{ClientHello, Endpoint, Jwt, Request};
pub use registration::Registration;
pub use server::TestServer;
pub use state::Discovery;
