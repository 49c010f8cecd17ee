//! What goes on the wire and what comes back, one file a specification.
//!
//! Each endpoint is a pair of functions: one makes the request, one reads the answer. There is no
//! network in here, no clock, no randomness and no store; those come in as arguments. The only
//! thing that is awaited is a signer.

pub(crate) mod answer;
pub(crate) mod authorization_details;
pub(crate) mod authorization_request;
pub(crate) mod authorization_response;
pub(crate) mod challenge;
pub(crate) mod claims_request;
pub(crate) mod client_auth;
pub(crate) mod dpop;
pub(crate) mod form;
pub(crate) mod id_token;
pub(crate) mod logout;
pub(crate) mod metadata;
pub(crate) mod par;
pub(crate) mod pkce;
pub(crate) mod preflight;
pub(crate) mod registration;
pub(crate) mod revocation;
pub(crate) mod token;
pub(crate) mod uri;
pub(crate) mod userinfo;
