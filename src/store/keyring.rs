//! A sealing key in the keyring of the operating system.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keyring_core::{CredentialStore, Entry, Error};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use super::file::{Held, hold};
use super::key_file::named_by_itself;
use super::{Digest, FileStore, SealingKey, SealingKeys};
use crate::error::StoreError;
use crate::secret::random_bytes;

/// Long enough to type a password.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The file that names the folder's key in the keyring.
const FILE: &str = "keyring";

/// A keyring that holds the key of a store, and nothing but that: what is sealed with it is elsewhere,
/// so that neither the size nor the number of sessions matters to the keyring.
///
/// Each question to the keyring is asked on a thread of its own and has a time limit: a keyring that
/// waits for somebody to unlock it stops neither a task nor the end of the program. Where there is no
/// keyring, that is an error, and nothing is kept in the clear instead.
///
/// `Stores::keyring` (feature `keyring-os`) is the short way. With the parts in hand:
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use fapi_client::store::{FileStore, Keyring};
/// use fapi_client::{StoreError, Stores};
///
/// # async fn stores(yours: Arc<keyring_core::CredentialStore>) -> Result<Stores, StoreError> {
/// let store = FileStore::open("/var/lib/example/sessions")?;
/// let keyring = Keyring::new(yours).time_limit(Duration::from_secs(60));
/// let keys = keyring.sealing_keys_for(&store, "example").await?;
/// Ok(Stores::new(store, keys))
/// # }
/// ```
#[derive(Clone)]
pub struct Keyring {
    source: Source,
    time_limit: Duration,
    /// One question at a time, so that a keyring that does not answer costs one thread.
    turn: Arc<Semaphore>,
}

#[derive(Clone)]
enum Source {
    Given(Arc<CredentialStore>),
    #[cfg(feature = "keyring-os")]
    System,
}

impl Keyring {
    /// A credential store of keyring-core. The default store of the process, which is the program's to
    /// choose, is neither set nor used.
    #[must_use]
    pub fn new(store: Arc<CredentialStore>) -> Self {
        Self::from_source(Source::Given(store))
    }

    /// The keyring of the operating system: the Secret Service (GNOME Keyring, KDE Wallet) on Linux and
    /// BSD, the keychain on macOS, the Credential Manager on Windows, where the key stays on this machine
    /// and does not roam. Nothing is asked yet.
    #[cfg(feature = "keyring-os")]
    #[must_use]
    pub fn os() -> Self {
        Self::from_source(Source::System)
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            time_limit: TIME_LIMIT,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// How long the keyring may take to answer; 30 seconds unless said otherwise. It may ask the user to
    /// unlock it meanwhile.
    #[must_use]
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// The key of a folder: made when it is first asked for, once, by however many processes. The entry
    /// in the keyring is named after the service and an id that the folder keeps in its file `keyring`,
    /// so that two folders have two keys.
    ///
    /// # Errors
    /// Those of [`sealing_keys`](Self::sealing_keys), and what a folder may fail with.
    pub async fn sealing_keys_for(
        &self,
        store: &FileStore,
        service: &str,
    ) -> Result<SealingKeys, StoreError> {
        let make = || {
            let id = random_bytes().map_err(|_| StoreError::Randomness)?;
            Ok(Digest::from_bytes(*id).to_string().into_bytes())
        };
        let text = store.once(FILE, make).await?;
        let user = std::str::from_utf8(&text).ok().and_then(Digest::parse);
        let user = user.ok_or(StoreError::Foreign)?.to_string();
        if let Some(key) = self.ask(service, &user, None, read).await? {
            return Ok(SealingKeys::new(key));
        }
        // The lock is as wide as the entry is: this folder's. It is let go of when the keyring has
        // answered, be it too late.
        let lock = hold(store, format!("{FILE}.lock"), self.time_limit);
        let lock = lock.await.map_err(|error| match error {
            StoreError::Locked => self.timed_out(),
            other => other,
        })?;
        let key = self.ask(service, &user, Some(lock), read_or_make).await?;
        Ok(SealingKeys::new(key))
    }

    /// The key of a service and user: made when it is first asked for. What the keyring holds after the
    /// write is what counts. Two processes that ask for the very first time at the same moment may still
    /// end with two keys, one of which is lost; where files are kept,
    /// [`sealing_keys_for`](Self::sealing_keys_for) rules that out.
    ///
    /// # Errors
    /// [`StoreError::NoKeyring`] where this machine has none; [`StoreError::KeyringLocked`] where nobody
    /// unlocked it; [`StoreError::KeyringTimeout`] where it did not answer in time;
    /// [`StoreError::Keyring`] where it failed or holds something else; [`StoreError::Setting`] where it
    /// refuses the names; [`StoreError::NoRuntime`].
    pub async fn sealing_keys(&self, service: &str, user: &str) -> Result<SealingKeys, StoreError> {
        let key = self.ask(service, user, None, read_or_make).await?;
        Ok(SealingKeys::new(key))
    }

    /// Asks the keyring, on a thread that may be left behind.
    async fn ask<T: Send + 'static>(
        &self,
        service: &str,
        user: &str,
        lock: Option<Held>,
        question: impl FnOnce(&Entry) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        Handle::try_current().map_err(|_| StoreError::NoRuntime)?;
        let (service, user) = (service.to_owned(), user.to_owned());
        let (source, turn) = (self.source.clone(), self.turn.clone());
        let asked = async move {
            let turn = turn.acquire_owned().await;
            let (answer, answered) = oneshot::channel();
            let thread = std::thread::Builder::new().name("fapi-keyring".to_owned());
            let started = thread.spawn(move || {
                let entry = source.entry(&service, &user);
                let answered = entry.and_then(|entry| question(&entry));
                drop((turn, lock));
                // Nobody may be waiting any more.
                let _ = answer.send(answered);
            });
            started.map_err(|_| StoreError::Unavailable)?;
            let ended = StoreError::Keyring("its library ended without an answer");
            answered.await.unwrap_or(Err(ended))
        };
        timeout(self.time_limit, asked)
            .await
            .unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// Whole seconds, and never none.
    fn timed_out(&self) -> StoreError {
        let begun = u64::from(self.time_limit.subsec_nanos() > 0);
        StoreError::KeyringTimeout(self.time_limit.as_secs().saturating_add(begun))
    }
}

impl Source {
    fn entry(&self, service: &str, user: &str) -> Result<Entry, StoreError> {
        match self {
            Self::Given(store) => store.build(service, user, None).map_err(told),
            #[cfg(feature = "keyring-os")]
            Self::System => {
                // Anew each time: a keyring that was not there a while ago may be there now.
                let store = system::store().map_err(absent)?;
                let modifiers = system::MODIFIERS.iter().copied().collect();
                store.build(service, user, Some(&modifiers)).map_err(told)
            }
        }
    }
}

#[cfg(feature = "keyring-os")]
mod system {
    use std::sync::Arc;

    use keyring_core::{CredentialStore, Result};

    /// Windows would carry the key to the user's other machines.
    pub(super) const MODIFIERS: &[(&str, &str)] = if cfg!(windows) {
        &[("persistence", "Local")]
    } else {
        &[]
    };

    pub(super) fn store() -> Result<Arc<CredentialStore>> {
        #[cfg(all(
            unix,
            not(any(target_os = "macos", target_os = "ios", target_os = "android"))
        ))]
        let store = zbus_secret_service_keyring_store::Store::new()?;
        #[cfg(target_os = "macos")]
        let store = apple_native_keyring_store::keychain::Store::new()?;
        #[cfg(windows)]
        let store = windows_native_keyring_store::Store::new()?;
        #[cfg(any(target_os = "ios", target_os = "android", not(any(unix, windows))))]
        return Err(keyring_core::Error::NoDefaultStore);
        #[cfg(any(windows, all(unix, not(any(target_os = "ios", target_os = "android")))))]
        Ok(store)
    }
}

/// The key that the keyring holds, if it holds one. It is text there, since some keyrings hold nothing
/// else.
fn read(entry: &Entry) -> Result<Option<SealingKey>, StoreError> {
    const OTHER: StoreError = StoreError::Keyring("what it holds is not a sealing key");
    let text = match entry.get_secret() {
        Ok(text) => Zeroizing::new(text),
        Err(Error::NoEntry) => return Ok(None),
        Err(error) => return Err(told(error)),
    };
    let text = std::str::from_utf8(&text).map_err(|_| OTHER)?;
    named_by_itself("keyring", text)
        .map(Some)
        .map_err(|_| OTHER)
}

fn read_or_make(entry: &Entry) -> Result<SealingKey, StoreError> {
    if let Some(key) = read(entry)? {
        return Ok(key);
    }
    let made = SealingKey::generate("new")?;
    entry
        .set_secret(made.to_base64url().as_bytes())
        .map_err(told)?;
    // What seals from now on is what the next start will find.
    read(entry)?.ok_or(StoreError::Keyring("it did not keep the key"))
}

/// What a keyring says before it can be asked anything.
#[cfg(feature = "keyring-os")]
fn absent(error: Error) -> StoreError {
    match error {
        Error::PlatformFailure(_) => {
            StoreError::NoKeyring("no session bus with a Secret Service answers")
        }
        other => told(other),
    }
}

/// The error of a keyring. Some of them carry the secret: their texts go nowhere.
fn told(error: Error) -> StoreError {
    match error {
        Error::NoStorageAccess(reason) if says(&*reason, "result not returned") => {
            StoreError::NoKeyring("it has no default collection")
        }
        Error::NoStorageAccess(_) => StoreError::KeyringLocked,
        Error::PlatformFailure(reason) if says(&*reason, "closed before prompt completed") => {
            StoreError::KeyringLocked
        }
        Error::PlatformFailure(reason) if says(&*reason, "no secret service provider") => {
            StoreError::NoKeyring("no Secret Service answers")
        }
        Error::PlatformFailure(_) => StoreError::Keyring("the operating system reports a failure"),
        Error::NoEntry => StoreError::Keyring("the entry is gone"),
        Error::BadEncoding(mut secret) | Error::BadDataFormat(mut secret, _) => {
            secret.zeroize();
            StoreError::Keyring("what it holds is not a sealing key")
        }
        Error::BadStoreFormat(_) => StoreError::Keyring("it can't be read"),
        Error::TooLong(name, _) | Error::Invalid(name, _) => {
            StoreError::Setting(format!("the keyring refuses the value of {name:?}"))
        }
        Error::Ambiguous(_) => StoreError::Keyring("it holds several entries of that name"),
        Error::NoDefaultStore => StoreError::NoKeyring("this system has none that is known"),
        Error::NotSupportedByStore(_) => StoreError::Keyring("it can't keep a key"),
        _ => StoreError::Keyring("it reports an error that is not known"),
    }
}

/// The types behind these errors belong to other crates, and change with them.
fn says(reason: &(dyn std::error::Error + Send + Sync), words: &str) -> bool {
    reason.to_string().contains(words)
}

/// Shows the time limit.
impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Keyring")
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
