//! Keys in a PKCS#11 token: an HSM, a smart card, SoftHSM2.

mod builder;
mod connection;
mod fault;
mod gate;
mod module;
mod objects;
mod pool;
mod public;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

pub use builder::Pkcs11Builder;
use connection::Token;
use module::Choice;
use pool::Pool;

use super::{KeyName, KeyStore, Signature, Signer};
use crate::error::KeyError;
use crate::future::BoxFuture;
use crate::jose::PublicJwk;
use crate::profile::Algorithm;

/// Keys in a PKCS#11 token: an HSM, a smart card, SoftHSM2. The private half never leaves it.
///
/// A key goes by its `CKA_LABEL`, which is its [`KeyName`], and there may be one of each; `CKA_ID`
/// joins its halves. Keys that are made here are P-256 (ES256) or RSA of 3072 bits (PS256; 2048 where
/// the token does not go further), can't be exported, and sign alone. Keys that were made by other
/// programs are opened where FAPI 2.0 allows them (FAPI2-SP 5.4.1). A key that wants the PIN for each
/// signature is not for a program that signs each request: it is refused.
///
/// # The PIN
/// It is asked for when a login is needed, and wiped as soon as the token has it: nothing here keeps it.
/// A token locks itself after a few wrong PINs. So after a refusal no login is tried again by itself, and
/// calls fail with [`KeyError::Pin`] until [`unlock`](Self::unlock) is called. In PKCS#11 a login is the
/// whole process's: where another part of it is logged in to the token, no PIN is asked for.
///
/// # When the token is away
/// Calls fail with [`KeyError::Absent`], and work again once it is back: the slot is looked for anew, the
/// PIN asked for, the key found again. Where the token that came back has another key of that name, it is
/// [`KeyError::Mismatch`]; where it has none, [`KeyError::Missing`].
///
/// Some modules notice that a token is back only when they are initialized anew. That is done where this
/// crate initialized the module and has no session open with another of its tokens. So let a part of the
/// program that uses the same module by other means initialize it first: then it is never done.
///
/// # Threads
/// Each [session](Pkcs11Builder::sessions) has a thread, which waits for the token in place of the
/// runtime's. The threads end when the store and all signers that came from it are dropped.
///
/// # Example
/// The client's key in a token, with the PIN from a file that the operator controls:
///
/// ```no_run
/// use fapi_client::{Algorithm, Client, ClientAuth, KeyError, KeyName, KeySet, KeyStore, Pkcs11Keys};
///
/// # async fn example() -> Result<(), fapi_client::Error> {
/// let token = Pkcs11Keys::builder("/usr/lib/softhsm/libsofthsm2.so")
///     .token_label("payments")
///     .pin(|| {
///         let pin = std::fs::read_to_string("/run/secrets/token-pin");
///         pin.map(Into::into).map_err(|error| KeyError::Refused(error.to_string()))
///     })
///     .open().await?;
///
/// let name = KeyName::new("client-2026")?;
/// let key = match token.signer(&name).await {
///     Err(KeyError::Missing { .. }) => token.create(&name, Algorithm::Es256).await?,
///     found => found?,
/// };
///
/// let keys = KeySet::new(key);
/// println!("register this: {}", keys.jwks());
/// let client = Client::builder("https://as.bank.example", "client-id")
///     .redirect_uri("https://app.example/callback")
///     .authenticate_with(ClientAuth::private_key_jwt(keys))
///     .build().await?;
/// # Ok(())
/// # }
/// ```
///
/// As a [`Signer`] by itself:
///
/// ```no_run
/// # use fapi_client::{KeyError, KeyName, Pkcs11Keys, Signer};
/// # async fn example(token: Pkcs11Keys) -> Result<(), KeyError> {
/// let signer = token.signer(&KeyName::new("client-2026")?).await?;
/// let signature = signer.sign(b"a message, not its digest").await?;
/// assert_eq!(signature.as_bytes().len(), 64); // ES256: r and s
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pkcs11Keys {
    pool: Arc<Pool<Arc<Token>>>,
    module: PathBuf,
    choice: Choice,
}

impl Pkcs11Keys {
    /// Begins with the library of the token's maker, such as `/usr/lib/softhsm/libsofthsm2.so`. It runs
    /// inside this process, with all that this process may do.
    pub fn builder(module: impl Into<PathBuf>) -> Pkcs11Builder {
        Pkcs11Builder::new(module.into())
    }

    /// The key of that name. The same as [`KeyStore::open`].
    ///
    /// # Errors
    /// [`KeyError::Missing`] where there is none; [`KeyError::Refused`] where there are several of that
    /// label, where the key may not sign, or where the token does not tell its public half;
    /// [`KeyError::Unsupported`] and [`KeyError::TooShort`] where FAPI 2.0 does not allow it;
    /// [`KeyError::Absent`], [`KeyError::Pin`] and [`KeyError::Unavailable`] as for
    /// [`Pkcs11Builder::open`].
    pub async fn signer(&self, name: &KeyName) -> Result<Arc<dyn Signer>, KeyError> {
        let wanted = name.clone();
        let public = self
            .pool
            .run(move |token| token.attempt(|session| session.open_key(&wanted)))
            .await?;
        Ok(self.key(name, public))
    }

    /// Logs in anew after the token refused a PIN: asks for the PIN again and tries it once.
    ///
    /// # Errors
    /// As [`Pkcs11Builder::open`].
    pub async fn unlock(&self) -> Result<(), KeyError> {
        self.log_in(None).await
    }

    /// Logs in with this PIN, after the token refused one or was away. It is wiped as soon as the token
    /// has it.
    ///
    /// # Errors
    /// As [`Pkcs11Builder::open`].
    pub async fn unlock_with(&self, pin: impl Into<Zeroizing<String>>) -> Result<(), KeyError> {
        self.log_in(Some(pin.into())).await
    }

    /// That the token is there and we are logged in.
    async fn check(&self) -> Result<(), KeyError> {
        let check = |token: &mut Arc<Token>| token.attempt(|session| session.ensure_there());
        self.pool.run(check).await
    }

    /// On a thread of the pool: another login may be waiting for somebody who types a PIN.
    async fn log_in(&self, once: Option<Zeroizing<String>>) -> Result<(), KeyError> {
        let log_in = |token: &mut Arc<Token>| {
            token.gate.open(once);
            token.attempt(|session| session.ensure_there())
        };
        self.pool.run(log_in).await
    }

    fn key(&self, name: &KeyName, public: PublicJwk) -> Arc<dyn Signer> {
        Arc::new(TokenKey {
            pool: self.pool.clone(),
            name: name.clone(),
            public,
        })
    }
}

impl KeyStore for Pkcs11Keys {
    fn create<'a>(
        &'a self,
        name: &'a KeyName,
        algorithm: Algorithm,
    ) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>> {
        Box::pin(async move {
            let wanted = name.clone();
            let create = move |token: &mut Arc<Token>| {
                token.attempt(|session| session.create_key(token, &wanted, algorithm))
            };
            Ok(self.key(name, self.pool.run_slowly(create).await?))
        })
    }

    fn open<'a>(&'a self, name: &'a KeyName) -> BoxFuture<'a, Result<Arc<dyn Signer>, KeyError>> {
        Box::pin(self.signer(name))
    }

    fn delete<'a>(&'a self, name: &'a KeyName) -> BoxFuture<'a, Result<(), KeyError>> {
        Box::pin(async move {
            let name = name.clone();
            self.pool
                .run(move |token| token.attempt(|session| session.delete_key(token, &name)))
                .await
        })
    }
}

/// Names the module and the token.
impl fmt::Debug for Pkcs11Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pkcs11Keys")
            .field("module", &self.module)
            .field("token", &self.choice)
            .finish_non_exhaustive()
    }
}

/// A key in the token. It is found by its name for each session, and held against the public half that
/// it had when it was opened.
struct TokenKey {
    pool: Arc<Pool<Arc<Token>>>,
    name: KeyName,
    public: PublicJwk,
}

impl Signer for TokenKey {
    fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
        Box::pin(async move {
            let (name, public) = (self.name.clone(), self.public.clone());
            let message = message.to_vec();
            let sign = move |token: &mut Arc<Token>| {
                token.attempt(|session| session.sign(&name, &public, &message))
            };
            self.pool.run(sign).await.map(Signature::from_raw)
        })
    }
}
