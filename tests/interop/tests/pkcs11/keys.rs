//! What is made, opened and deleted.

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use fapi_client::{Algorithm, KeyError, KeyStore, Pkcs11Keys};
use fapi_interop::{ClientKey, SoftHsm};
use fapi_testkit::contract::{key_store_contract, signer_contract};

use super::{absent, assert_signs, builder, create, missing, name, open};

const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// CA-9, SP-5.4.1-1.2: the contracts of key stores and of signers, with ES256 and PS256.
#[test]
fn the_contracts_hold() {
    SoftHsm::apart("keys::the_contracts_hold", async |_| {
        let keys = open().await;
        key_store_contract(&keys).await;
        for algorithm in [Algorithm::Es256, Algorithm::Ps256] {
            let name = name(algorithm.name());
            let made = keys.create(&name, algorithm).await.unwrap();
            signer_contract(&*made).await;
            assert_signs(&*made, b"made").await;
            // A second store, as after a restart.
            let opened = open().await.signer(&name).await.unwrap();
            assert_eq!(opened.public_jwk(), made.public_jwk());
            signer_contract(&*opened).await;
        }
    });
}

/// SP-5.4.1-1.2: a token that makes no Ed25519 keys for this crate says so, and has made none.
#[test]
fn ed25519_is_not_made() {
    SoftHsm::apart("keys::ed25519_is_not_made", async |_| {
        let keys = open().await;
        let made = keys.create(&name("ed"), Algorithm::EdDsa).await.err();
        assert_eq!(made, Some(KeyError::StoreLacks(Algorithm::EdDsa)));
        assert_eq!(keys.signer(&name("ed")).await.err(), Some(missing("ed")));
    });
}

/// CA-9: a hundred tasks sign at once, through every number of sessions.
#[test]
fn a_hundred_signatures_at_once() {
    SoftHsm::apart("keys::a_hundred_signatures_at_once", async |_| {
        let key = create(&open().await, "client").await;
        let public = key.public_jwk().clone();
        for sessions in [1, 2, 8] {
            let pin = || Ok(SoftHsm::pin().into());
            let keys = builder().pin(pin).sessions(sessions).open().await.unwrap();
            let key = keys.signer(&name("client")).await.unwrap();
            assert_eq!(*key.public_jwk(), public);
            let tasks: Vec<_> = (0..100)
                .map(|number: u32| {
                    let key = key.clone();
                    tokio::spawn(async move { assert_signs(&*key, &number.to_be_bytes()).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(threads(), 2 + usize::from(sessions));
        }
    });
}

/// The threads end with the store and the last of its signers, and not before.
#[test]
fn threads_end() {
    SoftHsm::apart("keys::threads_end", async |_| {
        let keys = open().await;
        let key = create(&keys, "client").await;
        assert_eq!(threads(), 2);
        drop(keys);
        assert_signs(&*key, b"the store is gone").await;
        assert_eq!(threads(), 2);
        drop(key);
        while threads() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

/// The threads of this process that wait for a token.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim() == "fapi-pkcs11")
        .count()
}

/// One of many that want the same name gets it.
#[test]
fn a_name_is_given_once() {
    SoftHsm::apart("keys::a_name_is_given_once", async |_| {
        let pin = || Ok(SoftHsm::pin().into());
        let keys = builder().pin(pin).sessions(8).open().await.unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let keys = keys.clone();
                tokio::spawn(async move { keys.create(&name("client"), Algorithm::Es256).await })
            })
            .collect();
        let mut made = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(key) => made.push(key),
                Err(error) => {
                    let exists = KeyError::Exists {
                        name: "client".into(),
                    };
                    assert_eq!(error, exists);
                }
            }
        }
        let [made] = &made[..] else {
            panic!("{} were made", made.len());
        };
        let opened = keys.signer(&name("client")).await.unwrap();
        assert_eq!(opened.public_jwk(), made.public_jwk());
    });
}

/// DPOP-11.4: the private half can't be read, now or ever, and is good for signatures alone.
#[test]
fn the_private_half_stays_inside() {
    SoftHsm::apart("keys::the_private_half_stays_inside", async |_| {
        let keys = open().await;
        create(&keys, "ec").await;
        keys.create(&name("rsa"), Algorithm::Ps256).await.unwrap();
        let session = session();
        let private = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Token(true),
        ];
        let found = session.find_objects(&private).unwrap();
        assert_eq!(found.len(), 2);
        for key in found {
            let asked = [
                AttributeType::Sensitive,
                AttributeType::AlwaysSensitive,
                AttributeType::Extractable,
                AttributeType::NeverExtractable,
                AttributeType::Private,
                AttributeType::Sign,
                AttributeType::Decrypt,
                AttributeType::Unwrap,
                AttributeType::Derive,
                AttributeType::Value,
                AttributeType::PrivateExponent,
            ];
            let told = session.get_attributes(key, &asked).unwrap();
            for wanted in [
                Attribute::Sensitive(true),
                Attribute::AlwaysSensitive(true),
                Attribute::Extractable(false),
                Attribute::NeverExtractable(true),
                Attribute::Private(true),
                Attribute::Sign(true),
            ] {
                assert!(told.contains(&wanted), "{wanted:?} is not in {told:?}");
            }
            for unwanted in &told {
                assert!(
                    !matches!(
                        unwanted,
                        Attribute::Value(_) | Attribute::PrivateExponent(_)
                    ),
                    "{unwanted:?}"
                );
            }
        }
    });
}

/// Keys that were made elsewhere and put in are opened, and sign.
#[test]
fn imported_keys_are_opened() {
    SoftHsm::apart("keys::imported_keys_are_opened", async |hsm| {
        for (at, algorithm) in [
            fapi_interop::Algorithm::Es256,
            fapi_interop::Algorithm::Ps256,
        ]
        .into_iter()
        .enumerate()
        {
            let key = ClientKey::generate(algorithm);
            hsm.import(algorithm.name(), &format!("0{at}"), key.pem());
        }
        let keys = open().await;
        for algorithm in [Algorithm::Es256, Algorithm::Ps256] {
            let key = keys.signer(&name(algorithm.name())).await.unwrap();
            assert_eq!(key.algorithm(), algorithm);
            signer_contract(&*key).await;
        }
    });
}

/// SP-5.4.1-2, SP-5.4.1-3: keys that FAPI 2.0 does not allow are not opened.
#[test]
fn other_keys_are_refused() {
    SoftHsm::apart("keys::other_keys_are_refused", async |hsm| {
        let read = |file: &str| {
            std::fs::read_to_string(format!("{}/../keys/{file}", env!("CARGO_MANIFEST_DIR")))
                .unwrap()
        };
        hsm.import("p384", "01", &read("refused/p384.pem"));
        let short = openssl::rsa::Rsa::generate(1024).unwrap();
        let short = openssl::pkey::PKey::from_rsa(short).unwrap();
        let short = String::from_utf8(short.private_key_to_pem_pkcs8().unwrap()).unwrap();
        hsm.import("short", "02", &short);
        let keys = open().await;
        for (key, error) in [
            ("p384", KeyError::Unsupported("a P-384 key")),
            ("short", KeyError::TooShort { bits: 1024 }),
        ] {
            assert_eq!(keys.signer(&name(key)).await.err(), Some(error));
        }
    });
}

/// Two keys of one label are not guessed between: neither is opened, and neither deleted.
#[test]
fn two_keys_of_one_label_are_refused() {
    SoftHsm::apart("keys::two_keys_of_one_label_are_refused", async |hsm| {
        let keys = open().await;
        create(&keys, "client").await;
        let other = ClientKey::generate(fapi_interop::Algorithm::Es256);
        hsm.import("client", "01", other.pem());

        let several = KeyError::Refused(
            "the token has 2 private keys with the label client; give each its own".into(),
        );
        assert_eq!(
            keys.signer(&name("client")).await.err(),
            Some(several.clone())
        );
        assert_eq!(keys.delete(&name("client")).await, Err(several));
        let exists = KeyError::Exists {
            name: "client".into(),
        };
        let created = keys.create(&name("client"), Algorithm::Es256).await.err();
        assert_eq!(created, Some(exists));
        let private = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
        assert_eq!(session().find_objects(&private).unwrap().len(), 2);
    });
}

/// A key that may not sign, and one that wants the PIN for each signature, are refused when they are
/// opened.
#[test]
fn keys_that_can_not_serve_are_refused() {
    SoftHsm::apart("keys::keys_that_can_not_serve_are_refused", async |_| {
        let keys = open().await;
        let cases = [
            (
                "mute",
                Attribute::Sign(false),
                "the token does not let the key sign (CKA_SIGN)",
            ),
            (
                "asking",
                Attribute::AlwaysAuthenticate(true),
                "the key wants the PIN for each signature (CKA_ALWAYS_AUTHENTICATE)",
            ),
        ];
        let session = session();
        for (key, attribute, why) in cases {
            let label = Attribute::Label(key.into());
            let id = Attribute::Id(key.into());
            let mut private = vec![
                Attribute::Token(true),
                Attribute::Private(true),
                label.clone(),
                id.clone(),
            ];
            if !matches!(attribute, Attribute::Sign(_)) {
                private.push(Attribute::Sign(true));
            }
            private.push(attribute);
            let curve = Attribute::EcParams(P256.to_vec());
            let public = [Attribute::Token(true), label, id, curve];
            session
                .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
                .unwrap();
            let refused = KeyError::Refused(why.into());
            assert_eq!(keys.signer(&name(key)).await.err(), Some(refused));
        }
    });
}

/// Where the public half of an EC key is not in the token, the error says what to do; of an RSA key the
/// private object tells it as well.
#[test]
fn a_public_half_that_is_not_there() {
    SoftHsm::apart("keys::a_public_half_that_is_not_there", async |_| {
        let keys = open().await;
        create(&keys, "ec").await;
        let rsa = keys.create(&name("rsa"), Algorithm::Ps256).await.unwrap();
        let session = session();
        let public = [Attribute::Class(ObjectClass::PUBLIC_KEY)];
        for object in session.find_objects(&public).unwrap() {
            session.destroy_object(object).unwrap();
        }
        let keys = open().await;
        let why = "the token does not tell the public half of ec; put it in beside the key";
        assert_eq!(
            keys.signer(&name("ec")).await.err(),
            Some(KeyError::Refused(why.into()))
        );
        let opened = keys.signer(&name("rsa")).await.unwrap();
        assert_eq!(opened.public_jwk(), rsa.public_jwk());
        assert_signs(&*opened, b"without its public object").await;
        keys.delete(&name("ec")).await.unwrap();
        assert_eq!(keys.signer(&name("ec")).await.err(), Some(missing("ec")));
    });
}

/// A key that another store, or another process, deleted is missing: for whoever holds it, too. What
/// was made under its name since is another key, and does not sign in its place.
#[test]
fn a_deleted_key_is_missing() {
    SoftHsm::apart("keys::a_deleted_key_is_missing", async |hsm| {
        let (keys, other) = (open().await, open().await);
        let key = create(&keys, "client").await;
        assert_signs(&*key, b"there").await;
        other.delete(&name("client")).await.unwrap();
        assert_eq!(key.sign(b"gone").await.err(), Some(missing("client")));

        let again = create(&other, "client").await;
        assert_eq!(key.sign(b"changed").await.err(), Some(KeyError::Mismatch));
        assert_signs(&*again, b"the new one").await;

        hsm.lose_keys();
        assert_eq!(again.sign(b"gone").await.err(), Some(missing("client")));
        assert_eq!(
            keys.signer(&name("client")).await.err(),
            Some(missing("client"))
        );
    });
}

/// A module that is not there, and a file that is none, are told by their paths.
#[test]
fn a_module_that_is_not_there() {
    SoftHsm::apart("keys::a_module_that_is_not_there", async |_| {
        for path in ["/nowhere/libsofthsm2.so", "/etc/hostname"] {
            let open = Pkcs11Keys::builder(path).token_label(SoftHsm::TOKEN).open();
            match open.await {
                Err(KeyError::Module { path: told, .. }) => assert_eq!(told, path),
                other => panic!("{other:?}"),
            }
        }
    });
}

/// A token is chosen by its label, its serial number or both, and never guessed: the PIN is for one.
#[test]
fn a_token_is_chosen() {
    SoftHsm::apart("keys::a_token_is_chosen", async |hsm| {
        let refused = |why: &str| Some(KeyError::Refused(why.into()));
        let none = Pkcs11Keys::builder(SoftHsm::module()).open().await.err();
        assert_eq!(
            none,
            refused("choose the token by its label or its serial number")
        );
        for sessions in [0, 9] {
            let open = builder().sessions(sessions).open().await.err();
            assert_eq!(open, refused("a token is used with 1 to 8 sessions"));
        }
        let [first] = &hsm.serials(SoftHsm::TOKEN)[..] else {
            panic!("there is one token");
        };
        hsm.initialize(SoftHsm::TOKEN);
        let pin = || Ok(SoftHsm::pin().into());
        assert_eq!(
            builder().pin(pin).open().await.err(),
            refused("several tokens have that label; choose one by its serial number")
        );
        let chosen = builder().token_serial(first).pin(pin).open().await.unwrap();
        create(&chosen, "client").await;
        let serial = Pkcs11Keys::builder(SoftHsm::module()).token_serial(first);
        let opened = serial.pin(pin).open().await.unwrap();
        opened.signer(&name("client")).await.unwrap();
        let other = builder().token_serial("0123456789abcdef").pin(pin);
        assert_eq!(other.open().await.err(), Some(absent()));
    });
}

/// A session of the test's own, which the store's login holds for as well.
pub(crate) fn session() -> Session {
    let module = Pkcs11::new(SoftHsm::module()).unwrap();
    let slots = module.get_slots_with_initialized_token().unwrap();
    module.open_rw_session(slots[0]).unwrap()
}
