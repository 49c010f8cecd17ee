//! The PIN: asked for when it is needed, tried once, and kept nowhere.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fapi_client::{KeyError, Pkcs11Keys};
use fapi_interop::SoftHsm;

use super::{Asked, absent, assert_signs, builder, create, name};

const WRONG: KeyError = KeyError::Pin("it is wrong");

/// A wrong PIN is tried once: the store does not open. A PIN that no token takes is no different, and
/// neither is none at all.
#[test]
fn a_wrong_pin_is_refused() {
    SoftHsm::apart("pin::a_wrong_pin_is_refused", async |_| {
        let asked = Asked::default();
        let wrong = asked.answer(|| "wrong-pin".into());
        assert_eq!(builder().pin(wrong).open().await.err(), Some(WRONG));
        assert_eq!(asked.times(), 1);
        assert_eq!(
            builder()
                .pin_once("wrong-pin".to_owned())
                .open()
                .await
                .err(),
            Some(WRONG)
        );
        let none = builder().open().await.err();
        let none_set = KeyError::Pin("the token wants one, and none is set");
        assert_eq!(none, Some(none_set));
        assert!(!WRONG.retry_may_help());
    });
}

/// What fails to give a PIN says why, and nothing was tried.
#[test]
fn a_pin_that_is_not_given() {
    SoftHsm::apart("pin::a_pin_that_is_not_given", async |_| {
        let cancelled = || KeyError::Refused("the operator is not there".into());
        let open = builder().pin(move || Err(cancelled())).open().await;
        assert_eq!(open.err(), Some(cancelled()));
    });
}

/// After a refusal no call tries a login, however many sessions and tasks there are, until it is asked
/// for: then one does.
#[test]
fn a_refused_pin_is_not_tried_again() {
    SoftHsm::apart("pin::a_refused_pin_is_not_tried_again", async |hsm| {
        let (asked, changed) = (Asked::default(), Arc::new(AtomicBool::new(false)));
        let stale = changed.clone();
        let pin = asked.answer(move || {
            if stale.load(Ordering::SeqCst) {
                "of-another-token".into()
            } else {
                SoftHsm::pin()
            }
        });
        let keys = builder().pin(pin).sessions(4).open().await.unwrap();
        let key = create(&keys, "client").await;
        hsm.take_out();
        assert_eq!(key.sign(b"away").await.err(), Some(absent()));
        hsm.put_back();
        assert_eq!(asked.times(), 1);

        changed.store(true, Ordering::SeqCst);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let key = key.clone();
                tokio::spawn(async move { key.sign(b"locked").await.map(drop) })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), Err(WRONG));
        }
        assert_eq!(keys.signer(&name("client")).await.err(), Some(WRONG));
        assert_eq!(asked.times(), 2);

        assert_eq!(keys.unlock().await, Err(WRONG));
        assert_eq!(asked.times(), 3);
        assert_eq!(key.sign(b"locked").await.err(), Some(WRONG));
        assert_eq!(asked.times(), 3);

        keys.unlock_with(SoftHsm::pin()).await.unwrap();
        assert_signs(&*key, b"unlocked").await;
        assert_eq!(asked.times(), 3);
    });
}

/// SEC-cred: the PIN is in no `Debug`, and once the token has it, nowhere in the memory of the process.
#[test]
fn the_pin_is_kept_nowhere() {
    SoftHsm::apart("pin::the_pin_is_kept_nowhere", async |_| {
        assert_eq!(copies_of_the_pin(), 0);
        // What is looked for would be found.
        let pin = SoftHsm::pin();
        assert_eq!(copies_of_the_pin(), 1);
        drop(zeroed(pin));
        assert_eq!(copies_of_the_pin(), 0);

        let waiting = builder().pin_once(SoftHsm::pin());
        let settings = format!("{waiting:?}");
        assert!(
            settings.starts_with("Pkcs11Builder { module: "),
            "{settings}"
        );
        assert_eq!(copies_of_the_pin(), 1);
        let once = waiting.open().await.unwrap();
        let asked = Asked::default();
        let source = builder().pin(asked.answer(SoftHsm::pin));
        let source = source.open().await.unwrap();
        for keys in [&once, &source] {
            assert_kept_nowhere(keys);
        }
        let key = create(&once, "client").await;
        assert_signs(&*key, b"logged in").await;
        assert_eq!(copies_of_the_pin(), 0);
    });
}

fn assert_kept_nowhere(keys: &Pkcs11Keys) {
    let shown = format!("{keys:?}");
    let token = r#"token: Choice { label: Some("interop"), serial: None }, .. }"#;
    assert!(shown.ends_with(token), "{shown}");
    assert_eq!(copies_of_the_pin(), 0);
}

/// The same memory with zeros in it.
fn zeroed(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    bytes.fill(0);
    std::hint::black_box(bytes)
}

/// How often the PIN stands in what this process may write to. It is looked for by its reverse, so that
/// the search does not find itself.
fn copies_of_the_pin() -> usize {
    let backwards = SoftHsm::NIP.as_bytes();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut copies = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else {
            continue;
        };
        if !rights.starts_with("rw") || line.ends_with("[vvar]") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        memory.seek(SeekFrom::Start(start)).unwrap();
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // A mapping may be gone by now.
        if memory.read_exact(&mut bytes).is_err() {
            continue;
        }
        let windows = bytes.windows(backwards.len());
        copies += windows
            .filter(|window| window.iter().rev().eq(backwards))
            .count();
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
    copies
}
