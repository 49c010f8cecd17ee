//! Records: a hash each, with version `v`, fence `f`, bytes `b`, tags `t` and what is set aside `p`; and
//! sorted sets of their ids, by kind and scope, and by tag.

use ::redis::{Value, cmd};

use super::answer::{bytes, done, list, number, of_length, refusal, text};
use super::link::Again;
use super::scripts::{Call, DELETE, READ, WRITE};
use super::{RedisStore, milliseconds};
use crate::error::StoreError;
use crate::future::BoxFuture;
use crate::store::{Digest, Record, RecordKey, RecordKind, Records, Replace, Stored};

/// How many records of a list are read at once.
const AT_ONCE: usize = 100;
/// The most bytes that are set aside for a record.
const ROOM_MAX_BYTES: usize = 1024 * 1024;

/// How a record is written.
struct Manner {
    mode: &'static str,
    expected: String,
    fence: String,
    room: usize,
}

impl RedisStore {
    async fn write(
        &self,
        key: &RecordKey,
        record: Record,
        manner: Manner,
    ) -> Result<u64, StoreError> {
        let tags: Vec<String> = record.tags.iter().map(Digest::to_string).collect();
        let life = record.life.map(milliseconds).unwrap_or_default();
        let room = manner.room.min(ROOM_MAX_BYTES);
        let call = Call::new([
            self.names.record(key),
            self.names.versions(),
            self.names.index(key.kind, &key.scope),
        ])
        .argument(manner.mode)
        .argument(manner.expected)
        .argument(manner.fence)
        .argument(life)
        .argument(room.to_string())
        .argument(key.id.to_string())
        .argument(self.names.tags(key.kind, &key.scope))
        .argument(tags.join(" "))
        .argument(record.bytes);
        let answer = text(self.link.run(&WRITE, &call, Again::Never).await?)?;
        answer.parse().map_err(|_| refusal(&answer))
    }

    /// Reads those of the ids that are there, and have the tag where one is given.
    async fn read(
        &self,
        index: &str,
        ids: &[String],
        place: (RecordKind, &Digest),
        tag: Option<&str>,
        found: &mut Vec<Stored>,
    ) -> Result<(), StoreError> {
        let (kind, scope) = place;
        let mut call = Call::new([index.to_owned()]);
        for text in ids {
            let id = Digest::parse(text).ok_or(StoreError::Foreign)?;
            let scope = *scope;
            let key = RecordKey { kind, scope, id };
            call = call.key(self.names.record(&key)).argument(text.as_str());
        }
        for one in list(self.link.run(&READ, &call, Again::Harmless).await?)? {
            let [id, version, sealed, tags] = of_length(one)?;
            let tags = text(tags)?;
            // It may have been written without the tag since the index was read.
            if tag.is_some_and(|tag| !tags.split(' ').any(|known| known == tag)) {
                continue;
            }
            let id = Digest::parse(&text(id)?).ok_or(StoreError::Foreign)?;
            let scope = *scope;
            found.push(Stored {
                key: RecordKey { kind, scope, id },
                version: number(version)?,
                bytes: bytes(sealed)?,
            });
        }
        Ok(())
    }
}

impl Records for RedisStore {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(async move {
            let mut get = cmd("HMGET");
            get.arg(self.names.record(key)).arg("v").arg("b");
            let [version, sealed] = of_length(self.link.read(&get).await?)?;
            if version == Value::Nil {
                return Ok(None);
            }
            Ok(Some(Stored {
                key: *key,
                version: number(version)?,
                bytes: bytes(sealed)?,
            }))
        })
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        record: Record,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let manner = Manner {
                mode: "create",
                expected: String::new(),
                fence: String::new(),
                room: 0,
            };
            self.write(key, record, manner).await
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        replace: Replace,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let fence = replace.fence.map(|fence| fence.to_string());
            let manner = Manner {
                mode: "replace",
                expected: replace.expected.to_string(),
                fence: fence.unwrap_or_default(),
                room: replace.room,
            };
            self.write(key, replace.record, manner).await
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a RecordKey,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let expected = expected.map(|version| version.to_string());
            let call = Call::new([
                self.names.record(key),
                self.names.index(key.kind, &key.scope),
            ])
            .argument(expected.unwrap_or_default())
            .argument(key.id.to_string())
            .argument(self.names.tags(key.kind, &key.scope));
            done(self.link.run(&DELETE, &call, Again::Never).await?)
        })
    }

    fn list<'a>(
        &'a self,
        kind: RecordKind,
        scope: &'a Digest,
        tag: Option<&'a Digest>,
    ) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            let tag = tag.map(Digest::to_string);
            let index = match &tag {
                Some(tag) => self.names.tags(kind, scope) + tag,
                None => self.names.index(kind, scope),
            };
            let mut range = cmd("ZRANGE");
            range.arg(&index).arg(0).arg(-1);
            let ids = list(self.link.read(&range).await?)?;
            let ids = ids.into_iter().map(text);
            let ids = ids.collect::<Result<Vec<String>, StoreError>>()?;
            let mut found = Vec::with_capacity(ids.len());
            for ids in ids.chunks(AT_ONCE) {
                let place = (kind, scope);
                self.read(&index, ids, place, tag.as_deref(), &mut found)
                    .await?;
            }
            Ok(found)
        })
    }
}
