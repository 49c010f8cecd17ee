//! What the servers refuse. Each row spoils one thing of a request that would be taken.

mod authorization;
mod clients;
mod mutual_tls;
mod proofs;
mod registrations;
mod tokens;

use fapi_testkit::{Nonces, TestServer};

use crate::party::Party;
use crate::wire::{Reply, Shot};

/// What is spoilt, how, and the status and error that must come of it.
pub(super) type Row = (&'static str, fn(&mut Shot), &'static str);

pub(super) async fn party() -> Party {
    let server = TestServer::builder().nonces(Nonces::Off).start().await;
    Party::new(&server).await
}

pub(super) fn check(what: &str, reply: &Reply, expected: &str) {
    let found = format!("{} {}", reply.status.as_u16(), reply.error());
    assert_eq!(found.trim_end(), expected, "{what}: {reply:?}");
}

/// Sends each spoilt request, and the whole one at the end.
pub(super) async fn refuses(party: &Party, rows: &[Row], make: impl AsyncFn() -> Shot) {
    for (what, spoil, expected) in rows {
        let mut shot = make().await;
        spoil(&mut shot);
        let before = party.server.refusals().len();
        let reply = party.send(shot).await;
        check(what, &reply, expected);
        assert_eq!(
            party.server.refusals().len(),
            before + 1,
            "{what}: no reason recorded"
        );
    }
    let whole = party.send(make().await).await;
    assert!(whole.status.is_success(), "{whole:?}");
}

pub(super) fn flip(signature: &[u8]) -> Vec<u8> {
    let mut signature = signature.to_vec();
    signature[5] ^= 1;
    signature
}

/// The other form of an ECDSA signature, which JWS does not take.
pub(super) fn der(signature: &[u8]) -> Vec<u8> {
    p256::ecdsa::Signature::from_slice(signature)
        .unwrap()
        .to_der()
        .as_bytes()
        .to_vec()
}
