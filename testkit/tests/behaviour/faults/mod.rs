//! Each fault does what its name says, to a client that would notice nothing.

mod answers;
mod challenges;
mod documents;
mod id_token;

use fapi_testkit::{Nonces, TestServer};

use crate::party::Party;

pub(super) const EVIL: &str = "https://evil.example";

pub(super) async fn party() -> Party {
    let server = TestServer::builder().nonces(Nonces::Off).start().await;
    Party::new(&server).await
}
