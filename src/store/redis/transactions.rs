//! Logins under way: each a key with a life, and a sorted set of their names for each owner.

use std::time::Duration;

use super::answer::{bytes, done, list, of_length, optional, text};
use super::link::Again;
use super::names::{login, read_login};
use super::scripts::{Call, OF, PUT, TAKE};
use super::{RedisStore, milliseconds};
use crate::error::StoreError;
use crate::future::BoxFuture;
use crate::store::{Digest, TransactionKey, Transactions};

/// The most logins that one browser may have under way; a further one drops the oldest.
const PER_OWNER: &str = "16";

impl Transactions for RedisStore {
    fn put<'a>(
        &'a self,
        key: &'a TransactionKey,
        bytes: Vec<u8>,
        life: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let logins = self.names.logins(&key.owner);
            let name = login(key);
            let call = Call::new([self.names.owner(&key.owner), format!("{logins}{name}")])
                .argument(name)
                .argument(milliseconds(life))
                .argument(PER_OWNER)
                .argument(logins)
                .argument(bytes);
            done(self.link.run(&PUT, &call, Again::Never).await?)
        })
    }

    fn of<'a>(
        &'a self,
        owner: &'a Digest,
    ) -> BoxFuture<'a, Result<Vec<(TransactionKey, Vec<u8>)>, StoreError>> {
        Box::pin(async move {
            let call = Call::new([self.names.owner(owner)]).argument(self.names.logins(owner));
            let found = list(self.link.run(&OF, &call, Again::Harmless).await?)?;
            let logins = found.into_iter().map(|one| {
                let [name, sealed] = of_length(one)?;
                let key = read_login(owner, &text(name)?).ok_or(StoreError::Foreign)?;
                Ok((key, bytes(sealed)?))
            });
            logins.collect()
        })
    }

    fn take<'a>(
        &'a self,
        key: &'a TransactionKey,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let name = login(key);
            let place = format!("{}{name}", self.names.logins(&key.owner));
            let call = Call::new([self.names.owner(&key.owner), place]).argument(name);
            let taken = self.link.run(&TAKE, &call, Again::Never).await?;
            optional(taken).map(bytes).transpose()
        })
    }
}
