//! Tokens that are taken out and put back.

use fapi_client::{Algorithm, KeyError, KeyStore, Pkcs11Keys};
use fapi_interop::SoftHsm;

use super::{Asked, absent, assert_signs, builder, create, missing, name, open};

/// A token that is not there is absent, and there as soon as it is: the program goes on.
#[test]
fn a_token_that_comes_later() {
    SoftHsm::apart("away::a_token_that_comes_later", async |hsm| {
        let later = || {
            let builder = Pkcs11Keys::builder(SoftHsm::module()).token_label("later");
            builder.pin(|| Ok(SoftHsm::pin().into())).open()
        };
        let error = later().await.err();
        assert_eq!(error, Some(absent()));
        assert!(absent().retry_may_help());
        hsm.initialize("later");
        create(&later().await.unwrap(), "client").await;
    });
}

/// A token that is taken out in use is absent for every call, and serves again when it is back: the slot
/// is found anew, the PIN asked for, and the key is the same.
#[test]
fn a_token_that_is_taken_out() {
    SoftHsm::apart("away::a_token_that_is_taken_out", async |hsm| {
        let asked = Asked::default();
        let keys = builder().pin(asked.answer(SoftHsm::pin)).sessions(4);
        let keys = keys.open().await.unwrap();
        let key = create(&keys, "client").await;
        // All sessions are open, and know the key.
        sign_at_once(&key, &Ok(())).await;
        assert_eq!(asked.times(), 1);

        for round in 2..5 {
            hsm.take_out();
            sign_at_once(&key, &Err(absent())).await;
            let client = name("client");
            assert_eq!(keys.signer(&client).await.err(), Some(absent()));
            let create = keys.create(&name("other"), Algorithm::Es256).await;
            assert_eq!(create.err(), Some(absent()));
            assert_eq!(keys.delete(&client).await, Err(absent()));
            assert_eq!(keys.unlock().await, Err(absent()));

            hsm.put_back();
            sign_at_once(&key, &Ok(())).await;
            assert_signs(&*key, b"back").await;
            let opened = keys.signer(&client).await.unwrap();
            assert_eq!(opened.public_jwk(), key.public_jwk());
            let other = keys.signer(&name("other")).await.err();
            assert_eq!(other, Some(missing("other")));
            // Once for all sessions.
            assert_eq!(asked.times(), round);
        }
        // Nothing was asked of it while it was away: all sessions find out at once.
        hsm.take_out();
        let away = key.sign(b"away").await.err();
        assert_eq!(away, Some(absent()));
        hsm.put_back();
        sign_at_once(&key, &Ok(())).await;
    });
}

async fn sign_at_once(
    key: &std::sync::Arc<dyn fapi_client::Signer>,
    expected: &Result<(), KeyError>,
) {
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let key = key.clone();
            tokio::spawn(async move { key.sign(b"at once").await.map(drop) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), *expected);
    }
}

/// Another part of the program logs out, or finalizes the module: the next call logs in again, and no
/// key is called missing.
#[test]
fn another_part_of_the_program_interferes() {
    SoftHsm::apart("away::another_part_of_the_program_interferes", async |_| {
        let asked = Asked::default();
        let keys = builder().pin(asked.answer(SoftHsm::pin)).sessions(1);
        let keys = keys.open().await.unwrap();
        let key = create(&keys, "client").await;
        for times in 2..4 {
            super::keys::session().logout().unwrap();
            assert_signs(&*key, b"logged out").await;
            assert_eq!(asked.times(), times);
        }
        super::keys::session().logout().unwrap();
        keys.signer(&name("client")).await.unwrap();
        assert_eq!(asked.times(), 4);
        let module = cryptoki::context::Pkcs11::new(SoftHsm::module()).unwrap();
        module.finalize().unwrap();
        assert_signs(&*key, b"finalized").await;
        assert_eq!(asked.times(), 5);
    });
}

/// Two stores of one token: each finds it again, whichever notices first that it was away.
#[test]
fn two_stores_of_one_token() {
    SoftHsm::apart("away::two_stores_of_one_token", async |hsm| {
        let (one, two) = (open().await, open().await);
        let key = create(&one, "client").await;
        let same = two.signer(&name("client")).await.unwrap();
        for _ in 0..2 {
            hsm.take_out();
            assert_eq!(key.sign(b"away").await.err(), Some(absent()));
            hsm.put_back();
            assert_signs(&*key, b"back").await;
            assert_signs(&*same, b"back").await;
        }
    });
}

/// As long as another token of the module is there and in use, the module is not initialized anew: the
/// other one goes on.
#[test]
fn another_token_goes_on() {
    SoftHsm::apart("away::another_token_goes_on", async |hsm| {
        hsm.initialize("other");
        let other = Pkcs11Keys::builder(SoftHsm::module()).token_label("other");
        let asked = Asked::default();
        let other = other.pin(asked.answer(SoftHsm::pin)).open().await.unwrap();
        let there = create(&other, "there").await;
        let away = Pkcs11Keys::builder(SoftHsm::module()).token_label("away");
        assert_eq!(away.open().await.err(), Some(absent()));
        assert_signs(&*there, b"there").await;
        assert_eq!(asked.times(), 1);
    });
}

/// A token that comes back with another key of that name does not sign with it, and one that comes back
/// empty has none.
#[test]
fn another_token_comes_back() {
    SoftHsm::apart("away::another_token_comes_back", async |hsm| {
        let keys = open().await;
        let key = create(&keys, "client").await;
        hsm.take_out();
        assert_eq!(key.sign(b"away").await.err(), Some(absent()));
        hsm.put_in_another();
        assert_eq!(key.sign(b"empty").await.err(), Some(missing("client")));
        let other = create(&keys, "client").await;
        assert_eq!(key.sign(b"other").await.err(), Some(KeyError::Mismatch));
        assert_signs(&*other, b"other").await;
    });
}

/// A PIN that was given once is not there when the token comes back; it is given again, and wiped again.
#[test]
fn a_pin_that_was_given_once() {
    SoftHsm::apart("away::a_pin_that_was_given_once", async |hsm| {
        let keys = builder().pin_once(SoftHsm::pin()).open().await.unwrap();
        let key = create(&keys, "client").await;
        // The login outlives a session that lost a handle.
        keys.delete(&name("none")).await.unwrap();
        let gone = create(&keys, "gone").await;
        open().await.delete(&name("gone")).await.unwrap();
        assert_eq!(gone.sign(b"gone").await.err(), Some(missing("gone")));
        assert_signs(&*key, b"still logged in").await;

        hsm.take_out();
        assert_eq!(key.sign(b"away").await.err(), Some(absent()));
        hsm.put_back();
        let again = KeyError::Pin("it is needed again and was given once; call unlock_with");
        assert_eq!(key.sign(b"locked").await.err(), Some(again.clone()));
        assert_eq!(keys.unlock().await, Err(again));
        keys.unlock_with(SoftHsm::pin()).await.unwrap();
        assert_signs(&*key, b"unlocked").await;
    });
}
