//! The contract of `fapi_client::store::Transactions`.
//!
//! ```no_run
//! # use fapi_client::store::Transactions;
//! # use fapi_testkit::contract::transactions_contract;
//! # async fn test(store: impl Transactions) {
//! transactions_contract(&store).await;
//! # }
//! ```

use std::time::Duration;

use fapi_client::store::{Digest, TransactionKey, Transactions};

use super::given::{BEYOND_SHORT, LONG, SHORT, bytes, digest, done, together};

/// How many logins of one owner a store keeps at least.
const PER_OWNER: usize = 16;
/// How many try to take one login at once.
const TAKERS: usize = 24;

/// Checks that a store keeps what `Transactions` promises.
///
/// # Panics
/// At the first promise that is not kept, with its name.
pub async fn transactions_contract(store: &dyn Transactions) {
    reading_uses_nothing_up(store).await;
    a_login_is_taken_once(store).await;
    of_many_takers_one_gets_it(store).await;
    nobody_takes_what_is_not_theirs(store).await;
    an_owner_sees_its_own_alone(store).await;
    an_owner_has_sixteen_at_least(store).await;
    the_same_key_replaces(store).await;
    bytes_come_back_as_they_were(store).await;
    a_login_passes(store).await;
}

/// A login that was read is there still: a forged callback uses nothing up.
///
/// # Panics
/// Where it is not.
pub async fn reading_uses_nothing_up(store: &dyn Transactions) {
    let key = key();
    put(store, &key, b"a login", LONG).await;
    for _ in 0..3 {
        assert_eq!(
            of(store, &key.owner).await,
            [(key, b"a login".to_vec())],
            "reading changed what an owner has under way"
        );
    }
    assert_eq!(
        take(store, &key).await.as_deref(),
        Some(&b"a login"[..]),
        "a login that was read can't be taken"
    );
}

/// A login is finished once: it can be taken once, and is gone for readers then.
///
/// # Panics
/// Where it can be taken or read again.
pub async fn a_login_is_taken_once(store: &dyn Transactions) {
    let key = key();
    assert_eq!(take(store, &key).await, None, "a login that never was");
    put(store, &key, b"a login", LONG).await;
    assert!(take(store, &key).await.is_some(), "a login can't be taken");
    assert_eq!(take(store, &key).await, None, "a login was taken twice");
    assert_eq!(
        of(store, &key.owner).await,
        [],
        "a login that was taken is read"
    );
}

/// Taking is atomic: of many that take the same login at once, one gets it.
///
/// # Panics
/// Where none gets it, or several do.
pub async fn of_many_takers_one_gets_it(store: &dyn Transactions) {
    for _ in 0..4 {
        let key = key();
        put(store, &key, b"a login", LONG).await;
        let takers = (0..TAKERS).map(|_| store.take(&key)).collect();
        let outcomes = together(takers).await.into_iter();
        let got: Vec<_> = outcomes
            .filter_map(|outcome| done(outcome, "taking"))
            .collect();
        assert_eq!(
            got,
            [b"a login".to_vec()],
            "of {TAKERS} that took one login at once, {} got it",
            got.len()
        );
    }
}

/// A login belongs to the browser that began it: with another owner, scope or id it is not found, and
/// whoever tried does it no harm.
///
/// # Panics
/// Where it is found, or harmed.
pub async fn nobody_takes_what_is_not_theirs(store: &dyn Transactions) {
    let key = key();
    put(store, &key, b"a login", LONG).await;
    let others = [
        TransactionKey {
            owner: digest(),
            ..key
        },
        TransactionKey {
            scope: digest(),
            ..key
        },
        TransactionKey {
            id: digest(),
            ..key
        },
    ];
    for (other, what) in others.iter().zip(["owner", "scope", "id"]) {
        assert_eq!(
            take(store, other).await,
            None,
            "a login was taken under another {what}"
        );
    }
    assert!(
        take(store, &key).await.is_some(),
        "a login is gone since others tried to take it"
    );
}

/// An owner's logins are read oldest first, whatever their scope, and another's are not among them.
///
/// # Panics
/// Where they are not.
pub async fn an_owner_sees_its_own_alone(store: &dyn Transactions) {
    let (mine, theirs) = (digest(), digest());
    let mut expected = Vec::new();
    for at in 0..6_u8 {
        let own = TransactionKey {
            owner: mine,
            ..key()
        };
        let other = TransactionKey {
            owner: theirs,
            ..key()
        };
        put(store, &own, &[at], LONG).await;
        put(store, &other, &[at, at], LONG).await;
        expected.push((own, vec![at]));
    }
    assert_eq!(
        of(store, &mine).await,
        expected,
        "not the owner's logins, oldest first"
    );
    let (first, _) = expected.remove(0);
    take(store, &first).await;
    assert_eq!(
        of(store, &mine).await,
        expected,
        "one was taken, and the others are not as they were"
    );
    assert_eq!(of(store, &digest()).await, [], "an owner without logins");
    empty(store, &mine).await;
    empty(store, &theirs).await;
}

/// One browser may have sixteen logins under way (as many tabs), and the newest is never the one that
/// goes.
///
/// # Panics
/// Where one is lost.
pub async fn an_owner_has_sixteen_at_least(store: &dyn Transactions) {
    let owner = digest();
    let mut newest = key();
    for at in 0..PER_OWNER + 4 {
        newest = TransactionKey { owner, ..key() };
        put(store, &newest, b"a login", LONG).await;
        let kept = of(store, &owner).await.len();
        assert!(
            kept >= PER_OWNER.min(at + 1),
            "of an owner's {} logins, {kept} are kept",
            at + 1
        );
    }
    assert!(
        take(store, &newest).await.is_some(),
        "an owner has many logins, and the newest was lost"
    );
    empty(store, &owner).await;
}

/// What is put under the same key again takes the place of what was there.
///
/// # Panics
/// Where both are there, or the first.
pub async fn the_same_key_replaces(store: &dyn Transactions) {
    let key = key();
    put(store, &key, b"the first, which is longer", LONG).await;
    put(store, &key, b"the second", LONG).await;
    assert_eq!(
        of(store, &key.owner).await,
        [(key, b"the second".to_vec())],
        "what was put again did not replace what was there"
    );
    assert_eq!(
        take(store, &key).await.as_deref(),
        Some(&b"the second"[..]),
        "what was put again is not what is taken"
    );
    assert_eq!(
        take(store, &key).await,
        None,
        "a login that was put again was taken twice"
    );
}

/// Bytes come back as they were put: none, every value, 64 KiB.
///
/// # Panics
/// Where they don't.
pub async fn bytes_come_back_as_they_were(store: &dyn Transactions) {
    for length in [0, 1, 256, 64 * 1024] {
        let (key, put_in) = (key(), bytes(length));
        put(store, &key, &put_in, LONG).await;
        let read = of(store, &key.owner).await.pop();
        let taken = take(store, &key).await;
        assert!(
            read == Some((key, put_in.clone())) && taken == Some(put_in),
            "{length} bytes came back as others"
        );
    }
}

/// A login passes: after its life it is neither read nor taken, and another of the same owner stays.
///
/// # Panics
/// Where it does not pass.
pub async fn a_login_passes(store: &dyn Transactions) {
    let owner = digest();
    let [at_once, soon, later] = [(); 3].map(|()| TransactionKey { owner, ..key() });
    put(store, &at_once, b"a login", Duration::ZERO).await;
    put(store, &soon, b"a login", SHORT).await;
    put(store, &later, b"a login", LONG).await;
    assert!(
        of(store, &owner).await.iter().all(|one| one.0 != at_once),
        "a login without any life is read"
    );
    assert_eq!(
        take(store, &at_once).await,
        None,
        "a login without any life is taken"
    );
    tokio::time::sleep(BEYOND_SHORT).await;
    assert_eq!(
        of(store, &owner).await,
        [(later, b"a login".to_vec())],
        "after the life of one login, not the other one alone is read"
    );
    assert_eq!(
        take(store, &soon).await,
        None,
        "a login was taken after its life"
    );
    empty(store, &owner).await;
}

fn key() -> TransactionKey {
    TransactionKey {
        owner: digest(),
        scope: digest(),
        id: digest(),
    }
}

async fn put(store: &dyn Transactions, key: &TransactionKey, bytes: &[u8], life: Duration) {
    done(store.put(key, bytes.to_vec(), life).await, "putting");
}

async fn of(store: &dyn Transactions, owner: &Digest) -> Vec<(TransactionKey, Vec<u8>)> {
    done(store.of(owner).await, "reading")
}

async fn take(store: &dyn Transactions, key: &TransactionKey) -> Option<Vec<u8>> {
    done(store.take(key).await, "taking")
}

async fn empty(store: &dyn Transactions, owner: &Digest) {
    for (key, _) in of(store, owner).await {
        take(store, &key).await;
    }
}
