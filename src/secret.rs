//! Values that must not be seen: redacted in `Debug`, without `Display`, wiped when dropped.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use rand::TryRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::profile::RANDOM_BYTES;

/// Bytes from the operating system. An error of the generator is an error of ours; there is nothing to
/// fall back on.
pub(crate) fn random_bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, KeyError> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    rand::rngs::SysRng
        .try_fill_bytes(bytes.as_mut())
        .map_err(|_| KeyError::Randomness)?;
    Ok(bytes)
}

/// SP-5.4.1-4: 256 bits, as 43 characters of base64url.
pub(crate) fn random_text() -> Result<Zeroizing<String>, KeyError> {
    let bytes = random_bytes::<RANDOM_BYTES>()?;
    Ok(Zeroizing::new(Base64UrlUnpadded::encode_string(
        bytes.as_ref(),
    )))
}

/// A random UUID, version 4 (RFC 9562). It names a call in logs and is no secret.
pub(crate) fn random_uuid() -> Result<String, KeyError> {
    let value = u128::from_be_bytes(*random_bytes::<16>()?);
    let version = value & !(0xf << 76) | 0x4 << 76;
    let variant = version & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{variant:032x}");
    let mut text = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    Ok(text)
}

/// A secret that is text, for the one place that writes secrets down: records before they are sealed.
pub(crate) trait Text {
    fn from_text(text: String) -> Self;
    fn text(&self) -> &str;
}

macro_rules! secret {
    ($(#[$doc:meta])* $visibility:vis $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        $visibility struct $name(Zeroizing<String>);

        impl $name {
            #[allow(dead_code, reason = "not every secret is made from outside")]
            pub(crate) fn new(text: impl Into<String>) -> Self {
                Self(Zeroizing::new(text.into()))
            }

            #[allow(dead_code, reason = "not every secret is random")]
            pub(crate) fn random() -> Result<Self, KeyError> {
                Ok(Self(random_text()?))
            }

            #[allow(dead_code, reason = "not every secret is read")]
            pub(crate) fn reveal(&self) -> &str {
                &self.0
            }
        }

        impl Text for $name {
            fn from_text(text: String) -> Self {
                Self(Zeroizing::new(text))
            }

            fn text(&self) -> &str {
                &self.0
            }
        }

        /// Compares in constant time.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}

secret! {
    /// An access token. It leaves the crate only together with the proof of the key it is bound to.
    pub(crate) AccessToken
}
secret! {
    /// A refresh token, kept byte for byte.
    pub(crate) RefreshToken
}
secret! {
    /// The PKCE `code_verifier` of one login.
    pub(crate) CodeVerifier
}
secret! {
    /// The authorization code of one callback. Redeeming it takes it by value.
    pub(crate) AuthorizationCode
}
secret! {
    /// The `state` of one login.
    pub(crate) State
}
secret! {
    /// The OpenID Connect `nonce` of one login.
    pub(crate) Nonce
}
secret! {
    /// The `request_uri` of one pushed request.
    pub(crate) RequestUri
}
secret! {
    /// A signed client assertion or DPoP proof, good for one attempt.
    pub(crate) SignedJwt
}
secret! {
    /// A private key as PKCS#8 in PEM, on its way into a sealed record.
    pub(crate) PrivateKeyPem
}
secret! {
    /// What a server's operator gave for registering clients (RFC 7591 section 3).
    pub(crate) InitialAccessToken
}
secret! {
    /// What manages one registered client (RFC 7592 section 1.2).
    pub(crate) RegistrationAccessToken
}
secret! {
    /// The secret that binds a login to the browser that began it.
    ///
    /// A web application puts it in a cookie named `__Host-…` (`Secure`, `HttpOnly`, `Path=/`,
    /// `SameSite=Lax`) when it sends the browser to [`Login::url`](crate::Login::url), and hands the
    /// cookie's value back to [`Client::finish_login`](crate::Client::finish_login). A program on the
    /// user's own device keeps it in memory or in the device's secure storage.
    pub TransactionHandle
}
secret! {
    /// An ID token as the server sent it, for the `id_token_hint` of a later request.
    pub IdTokenHint
}

impl TransactionHandle {
    /// The value for the cookie: 43 characters of base64url.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.reveal()
    }
}

/// The value of a cookie, as it came back.
impl From<&str> for TransactionHandle {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for TransactionHandle {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&TransactionHandle> for TransactionHandle {
    fn from(handle: &TransactionHandle) -> Self {
        handle.clone()
    }
}

impl IdTokenHint {
    /// The compact JWT. It names the user: it belongs in no log.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.reveal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-cred: no secret reaches `Debug`.
    #[test]
    fn debug_is_redacted() {
        let token = AccessToken::new("the-token");
        assert_eq!(format!("{token:?}"), "AccessToken(redacted)");
    }

    /// IA-1: an interaction id is a UUID of version 4.
    #[test]
    fn uuids_have_version_and_variant() {
        let id = random_uuid().unwrap();
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(id.chars().nth(14), Some('4'));
        assert!(matches!(id.chars().nth(19), Some('8' | '9' | 'a' | 'b')));
    }

    /// SP-5.4.1-4, K-5: 256 random bits are 43 characters, and never the same twice.
    #[test]
    fn random_values_are_long_and_fresh() {
        let (one, two) = (State::random().unwrap(), State::random().unwrap());
        assert_eq!(one.reveal().len(), 43);
        assert_ne!(one, two);
    }
}
