//! The ASN.1 structures around RSA and EC keys: PKCS#1 (RFC 8017 appendix A.1) and SEC1 (RFC 5915).

use p256::pkcs8::ObjectIdentifier;
use p256::pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use p256::pkcs8::der::{
    self, Decode, Encode, EncodeValue, FixedTag, Length, Reader, SliceReader, Tag, TagMode,
    TagNumber, Writer,
};

/// A row of numbers in a SEQUENCE, which is what RSA keys are.
struct Numbers<'a>(Vec<UintRef<'a>>);

impl FixedTag for Numbers<'_> {
    const TAG: Tag = Tag::Sequence;
}

impl EncodeValue for Numbers<'_> {
    fn value_len(&self) -> der::Result<Length> {
        self.0
            .iter()
            .try_fold(Length::ZERO, |sum, number| sum + number.encoded_len()?)
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.0.iter().try_for_each(|number| number.encode(writer))
    }
}

fn numbers(numbers: &[&[u8]]) -> der::Result<Vec<u8>> {
    let numbers = numbers.iter().map(|number| UintRef::new(number));
    Numbers(numbers.collect::<der::Result<_>>()?).to_der()
}

/// `RSAPublicKey`, the form in which providers take a public RSA key.
pub(super) fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> der::Result<Vec<u8>> {
    numbers(&[modulus, exponent])
}

/// Reads `RSAPublicKey` into modulus and exponent.
pub(super) fn read_rsa_public_key(der: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der)?;
    let key = reader.sequence(|reader| {
        let modulus: UintRef<'_> = reader.decode()?;
        let exponent: UintRef<'_> = reader.decode()?;
        der::Result::Ok((modulus.as_bytes(), exponent.as_bytes()))
    })?;
    reader.finish()?;
    Ok(key)
}

/// The numbers of a private RSA key, in the order of PKCS#1: n, e, d, p, q, dp, dq, qi.
pub(super) struct RsaPrivateKey<'a>(pub(super) [&'a [u8]; 8]);

impl<'a> RsaPrivateKey<'a> {
    pub(super) fn read(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let numbers = reader.sequence(|reader| {
            // Version 0: two primes. Version 1 would have more behind them.
            if reader.decode::<u8>()? != 0 {
                return Err(reader.error(der::ErrorKind::Value { tag: Tag::Integer }));
            }
            let mut numbers: [&'a [u8]; 8] = [&[]; 8];
            for number in &mut numbers {
                *number = reader.decode::<UintRef<'a>>()?.as_bytes();
            }
            Ok(numbers)
        })?;
        reader.finish()?;
        Ok(Self(numbers))
    }

    pub(super) fn write(&self) -> der::Result<zeroize::Zeroizing<Vec<u8>>> {
        let mut all: Vec<&[u8]> = vec![&[0]];
        all.extend(self.0);
        numbers(&all).map(zeroize::Zeroizing::new)
    }
}

/// What an `ECPrivateKey` says.
pub(super) struct EcPrivateKey<'a> {
    pub(super) secret: &'a [u8],
    /// Its named curve; `None` where it has none, as inside PKCS#8.
    pub(super) curve: Option<Curve>,
    pub(super) public: Option<&'a [u8]>,
}

/// The parameters of an EC key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    Named(ObjectIdentifier),
    /// Spelled out in numbers, which nobody should trust.
    Explicit,
}

impl Curve {
    pub(super) fn read(parameters: AnyRef<'_>) -> Self {
        parameters.decode_as().map_or(Self::Explicit, Self::Named)
    }
}

impl<'a> EcPrivateKey<'a> {
    pub(super) fn read(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let key = reader.sequence(|reader| {
            if reader.decode::<u8>()? != 1 {
                return Err(reader.error(der::ErrorKind::Value { tag: Tag::Integer }));
            }
            let secret = <&'a OctetStringRef>::decode(reader)?.as_bytes();
            let curve: Option<der::asn1::ContextSpecific<AnyRef<'a>>> =
                der::asn1::ContextSpecific::decode_explicit(reader, TagNumber(0))?;
            let public: Option<BitStringRef<'a>> =
                reader.context_specific(TagNumber(1), TagMode::Explicit)?;
            Ok(Self {
                secret,
                curve: curve.map(|parameters| Curve::read(parameters.value)),
                public: public.and_then(|point| point.as_bytes()),
            })
        })?;
        reader.finish()?;
        Ok(key)
    }
}
