//! Several servers: a registry of clients by issuer.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::Client;
use super::builder::{ClientBuilder, Parts};
use super::core::{Core, Shared};
use super::events::{Counters, Events};
use super::finish;
use super::session::Session;
use crate::crypto::Crypto;
use crate::error::{ConfigError, Error};
use crate::protocol::authorization_response::Callback;
use crate::secret::TransactionHandle;
use crate::store::Stores;
use crate::time::Clock;
use crate::transport::Transport;

/// Clients of several authorization servers, one an issuer.
///
/// They share transport, clock, cryptography and stores; keys and nonces are never shared. A callback
/// finds its client through the login that the browser has under way, never through what the callback
/// says (RFC 9700 section 4.4).
#[derive(Clone)]
pub struct Clients {
    registry: Arc<Registry>,
}

pub(crate) struct Registry {
    shared: Arc<Shared>,
    clients: RwLock<HashMap<String, Client>>,
}

impl Registry {
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// ISS-4: one client an issuer.
    pub(crate) fn add(&self, client: Client) -> Result<(), ConfigError> {
        let issuer = client.issuer().as_str().to_owned();
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        if clients.contains_key(&issuer) {
            return Err(ConfigError::DuplicateIssuer(issuer));
        }
        // SEC-6.3, DPOP-jkt-as: a key that two servers know lets one use what the other issued.
        let shared_key = |client: &Client| {
            let keys = client.core.dpop_keys.as_ref();
            Some(keys?.shared_thumbprint()?.to_owned())
        };
        let shared = shared_key(&client);
        if shared.is_some() && clients.values().any(|known| shared_key(known) == shared) {
            return Err(ConfigError::SharedDpopKey);
        }
        clients.insert(issuer, client);
        Ok(())
    }

    fn get(&self, issuer: &str) -> Option<Client> {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients.get(issuer).cloned()
    }
}

impl Clients {
    /// Begins to build a registry.
    pub fn builder() -> ClientsBuilder {
        ClientsBuilder::default()
    }

    /// Begins to build a client of this registry. It joins when it is built.
    pub fn client(&self, issuer: impl Into<String>, client_id: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(issuer.into(), client_id.into()).in_registry(self.registry.clone())
    }

    /// The client of an issuer.
    ///
    /// # Errors
    /// [`ConfigError::UnknownIssuer`]: an issuer that the program did not name itself is never taken
    /// up (FAPI2-SP 5.3.3.1-10).
    pub fn get(&self, issuer: &str) -> Result<Client, ConfigError> {
        self.registry
            .get(issuer)
            .ok_or_else(|| ConfigError::UnknownIssuer(issuer.to_owned()))
    }

    /// Finishes a login at whichever server it began. As
    /// [`Client::finish_login`](crate::Client::finish_login).
    ///
    /// # Errors
    /// As those of [`Client::finish_login`](crate::Client::finish_login).
    pub async fn finish_login(
        &self,
        transaction: impl Into<TransactionHandle>,
        callback: impl Into<Callback>,
    ) -> Result<Session, Error> {
        let cores: Vec<Arc<Core>> = {
            let clients = self.registry.clients.read();
            let clients = clients.unwrap_or_else(PoisonError::into_inner);
            clients.values().map(|client| client.core.clone()).collect()
        };
        finish::finish(&cores, transaction.into(), callback.into()).await
    }

    /// What happens inside, from now on, at all clients of the registry.
    #[must_use]
    pub fn events(&self) -> Events {
        self.registry.shared.watch.subscribe()
    }

    /// How often what has happened, at all clients of the registry.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.registry.shared.watch.counters()
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self
            .registry
            .clients
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        formatter.debug_set().entries(clients.keys()).finish()
    }
}

/// The settings of a registry to be.
#[derive(Default)]
#[must_use = "a registry comes out of build()"]
pub struct ClientsBuilder {
    parts: Parts,
}

impl ClientsBuilder {
    /// The one way out for all clients.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.parts.transport = Some(Arc::new(transport));
        self
    }

    /// The one clock for all clients.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.parts.clock = Some(Arc::new(clock));
        self
    }

    /// The one cryptography for all clients.
    pub fn crypto_provider(mut self, crypto: Crypto) -> Self {
        self.parts.crypto = Some(crypto);
        self
    }

    /// Where all clients keep logins under way, sessions and locks. The memory of this process unless set.
    pub fn stores(mut self, stores: Stores) -> Self {
        self.parts.stores = Some(stores);
        self
    }

    /// Makes the registry, empty.
    ///
    /// # Errors
    /// [`ConfigError`] where the cryptography or the transport can't be had.
    pub fn build(self) -> Result<Clients, ConfigError> {
        Ok(Clients {
            registry: Arc::new(Registry {
                shared: Arc::new(self.parts.build()?),
                clients: RwLock::new(HashMap::new()),
            }),
        })
    }
}
