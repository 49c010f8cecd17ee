//! What a file of the store looks like: a small header, and the sealed bytes.
//!
//! ```text
//! "FAPF"  format  version  fence  written  ends  tags  tag ...  length  bytes
//! 4       1       8        8      8        8     2     32 each  4
//! ```
//!
//! Numbers are big-endian; times are nanoseconds since 1970. What is sealed is bound to its place, so a
//! file that was moved is noticed when it is opened.

use crate::error::StoreError;
use crate::store::Digest;

const MAGIC: &[u8; 4] = b"FAPF";
/// The one format that there is. Another is refused, never guessed at.
const FORMAT: u8 = 1;
/// The end of what does not end.
pub(super) const NEVER: u64 = u64::MAX;
/// The most that one file may hold, with its header.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// What a file holds.
pub(super) struct Content {
    pub(super) version: u64,
    pub(super) fence: u64,
    pub(super) written: u64,
    pub(super) ends: u64,
    pub(super) tags: Vec<Digest>,
    pub(super) bytes: Vec<u8>,
}

impl Content {
    pub(super) const fn is_live(&self, now: u64) -> bool {
        now < self.ends
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let tags = u16::try_from(self.tags.len()).map_err(|_| TOO_LARGE)?;
        let length = u32::try_from(self.bytes.len()).map_err(|_| TOO_LARGE)?;
        let mut text = Vec::with_capacity(43 + 32 * self.tags.len() + self.bytes.len());
        text.extend_from_slice(MAGIC);
        text.push(FORMAT);
        for number in [self.version, self.fence, self.written, self.ends] {
            text.extend_from_slice(&number.to_be_bytes());
        }
        text.extend_from_slice(&tags.to_be_bytes());
        for tag in &self.tags {
            text.extend_from_slice(tag.as_bytes());
        }
        text.extend_from_slice(&length.to_be_bytes());
        text.extend_from_slice(&self.bytes);
        if text.len() > MAX_BYTES {
            return Err(TOO_LARGE);
        }
        Ok(text)
    }

    pub(super) fn decode(text: &[u8]) -> Result<Self, StoreError> {
        let mut rest = Rest::after_magic(text, MAGIC)?;
        let [format] = rest.take()?;
        if format != FORMAT {
            return Err(StoreError::UnknownFormat(format));
        }
        let version = u64::from_be_bytes(rest.take()?);
        let fence = u64::from_be_bytes(rest.take()?);
        let written = u64::from_be_bytes(rest.take()?);
        let ends = u64::from_be_bytes(rest.take()?);
        let count = u16::from_be_bytes(rest.take()?);
        let tags = (0..count)
            .map(|_| rest.take().map(Digest::from_bytes))
            .collect::<Result<_, _>>()?;
        let length = u32::from_be_bytes(rest.take()?);
        let length = usize::try_from(length).map_err(|_| StoreError::Truncated)?;
        let (bytes, beyond) = rest
            .0
            .split_at_checked(length)
            .ok_or(StoreError::Truncated)?;
        Rest(beyond).end()?;
        Ok(Self {
            version,
            fence,
            written,
            ends,
            tags,
            bytes: bytes.to_vec(),
        })
    }
}

/// How much of a file tells when it ends.
pub(super) const HEAD: usize = 37;

/// When a file ends, from its first bytes.
pub(super) fn ends(head: &[u8]) -> Result<u64, StoreError> {
    let mut rest = Rest::after_magic(head, MAGIC)?;
    let [format] = rest.take()?;
    if format != FORMAT {
        return Err(StoreError::UnknownFormat(format));
    }
    rest.take::<24>()?;
    Ok(u64::from_be_bytes(rest.take()?))
}

const TOO_LARGE: StoreError = StoreError::Malformed("a record has at most 4 MiB");

/// What is still to be read of a file.
pub(in crate::store) struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// What follows the letters that say whose file it is.
    pub(in crate::store) fn after_magic(text: &'a [u8], magic: &[u8]) -> Result<Self, StoreError> {
        match text.strip_prefix(magic) {
            Some(rest) => Ok(Self(rest)),
            None if magic.starts_with(text) => Err(StoreError::Truncated),
            None => Err(StoreError::Foreign),
        }
    }

    pub(in crate::store) fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(StoreError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(in crate::store) const fn end(&self) -> Result<(), StoreError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(StoreError::Malformed("it is longer than it says"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        Content {
            version: 7,
            fence: 3,
            written: 1,
            ends: NEVER,
            tags: vec![Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32])],
            bytes: b"sealed".to_vec(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let read = Content::decode(&content().encode().unwrap()).unwrap();
        assert_eq!((read.version, read.fence, read.written), (7, 3, 1));
        assert_eq!(read.ends, NEVER);
        assert_eq!(read.tags, content().tags);
        assert_eq!(read.bytes, b"sealed");
        let text = Content {
            ends: 12,
            ..content()
        };
        assert_eq!(ends(&text.encode().unwrap()[..HEAD]), Ok(12));
        let other = [b"FAPF\x02", &[0; 32][..]].concat();
        assert_eq!(ends(&other), Err(StoreError::UnknownFormat(2)));
    }

    /// Every cut is noticed, every other beginning, every other format, and what is too long.
    #[test]
    fn what_is_not_ours_is_refused() {
        let text = content().encode().unwrap();
        for end in 0..text.len() {
            assert_eq!(
                Content::decode(&text[..end]).err(),
                Some(StoreError::Truncated),
                "{end}"
            );
        }
        for at in 0..4 {
            let mut other = text.clone();
            other[at] ^= 1;
            assert_eq!(Content::decode(&other).err(), Some(StoreError::Foreign));
        }
        let mut newer = text.clone();
        newer[4] = 2;
        assert_eq!(
            Content::decode(&newer).err(),
            Some(StoreError::UnknownFormat(2))
        );
        let longer = [&text[..], b"x"].concat();
        assert_eq!(
            Content::decode(&longer).err(),
            Some(StoreError::Malformed("it is longer than it says"))
        );
    }

    #[test]
    fn a_record_has_a_size_limit() {
        let large = Content {
            bytes: vec![0; MAX_BYTES],
            ..content()
        };
        assert_eq!(large.encode().err(), Some(TOO_LARGE));
    }
}
