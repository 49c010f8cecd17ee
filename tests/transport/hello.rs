//! What a client offers in its TLS greeting, read from its bytes (RFC 8446 section 4.1.2).

pub(crate) const SERVER_NAME: u16 = 0;
pub(crate) const ALPN: u16 = 16;
pub(crate) const PRE_SHARED_KEY: u16 = 41;
pub(crate) const EARLY_DATA: u16 = 42;

pub(crate) struct ClientHello {
    pub(crate) cipher_suites: Vec<u16>,
    pub(crate) compression: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
}

impl ClientHello {
    /// Reads the first flight of a connection: one record that holds one greeting.
    pub(crate) fn read(flight: &[u8]) -> Self {
        let mut bytes = Reader(flight);
        assert_eq!(bytes.take(1), [22], "a handshake record");
        bytes.take(2);
        let mut hello = Reader(bytes.block(2));
        assert_eq!(hello.take(1), [1], "a ClientHello");
        let mut hello = Reader(hello.block(3));
        hello.take(2 + 32);
        hello.block(1);
        let cipher_suites = hello.block(2);
        let compression = hello.block(1).to_vec();
        let mut rest = Reader(hello.block(2));
        let mut extensions = Vec::new();
        while !rest.0.is_empty() {
            let kind = u16::from_be_bytes(rest.take(2).try_into().unwrap());
            extensions.push((kind, rest.block(2).to_vec()));
        }
        let pairs = cipher_suites.chunks(2);
        Self {
            cipher_suites: pairs
                .map(|pair| u16::from_be_bytes(pair.try_into().unwrap()))
                .collect(),
            compression,
            extensions,
        }
    }

    pub(crate) fn extension(&self, kind: u16) -> Option<&[u8]> {
        let mut all = self.extensions.iter();
        all.find(|(other, _)| *other == kind)
            .map(|(_, value)| &**value)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    /// A length of so many bytes, and as many bytes as it says.
    fn block(&mut self, length_bytes: usize) -> &'a [u8] {
        let length = self.take(length_bytes);
        let length = length
            .iter()
            .fold(0, |sum, byte| sum * 256 + usize::from(*byte));
        self.take(length)
    }
}
