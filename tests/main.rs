//! Behaviour through the public API, against the servers of `fapi-testkit`. One file a subject.

#![cfg(any(feature = "aws-lc", feature = "ring"))]
#![allow(
    unreachable_pub,
    reason = "the helpers of a test binary have no outside"
)]
#![allow(clippy::too_many_lines, reason = "a scenario is told in one piece")]
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the names are the store's own"
)]

mod api;
mod callback;
mod callback_browsers;
mod client_assertion;
mod client_credentials;
mod common;
mod discovery;
mod dpop;
mod id_token;
mod jwks;
mod login;
mod metadata;
mod metadata_cache;
mod mutual_tls;
mod par;
mod par_answers;
mod preflight;
mod refresh;
mod registration;
mod registry;
mod retries;
mod revocation;
mod sealed_keys;
mod secrets;
mod sessions;
mod settings;
mod signer;
mod stores;
mod token_response;
mod transport;
mod userinfo;
