//! The one source of cryptography, for TLS and for tokens alike.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::error::KeyError;

/// The cryptography that TLS and tokens use: a `CryptoProvider` of rustls.
///
/// [`Crypto::new`] takes the one of the features: `aws-lc` (the default), else `ring`. Any other comes
/// in through [`rustls_0_23::crypto`](crate::rustls_0_23::crypto). The provider that a process may have
/// installed as its default is never looked at.
#[derive(Clone)]
pub struct Crypto {
    provider: Arc<CryptoProvider>,
}

impl Crypto {
    /// The provider that the features chose.
    ///
    /// # Errors
    /// [`KeyError::NoCryptoProvider`] where neither `aws-lc` nor `ring` is on.
    pub fn new() -> Result<Self, KeyError> {
        default_provider()
            .map(|provider| Self::from_provider(Arc::new(provider)))
            .ok_or(KeyError::NoCryptoProvider)
    }

    pub(crate) const fn from_provider(provider: Arc<CryptoProvider>) -> Self {
        Self { provider }
    }

    pub(crate) const fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }
}

#[cfg(feature = "aws-lc")]
#[allow(clippy::unnecessary_wraps, reason = "the other features have none")]
fn default_provider() -> Option<CryptoProvider> {
    Some(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
#[allow(clippy::unnecessary_wraps, reason = "the other features have none")]
fn default_provider() -> Option<CryptoProvider> {
    Some(rustls::crypto::ring::default_provider())
}

#[cfg(not(any(feature = "aws-lc", feature = "ring")))]
const fn default_provider() -> Option<CryptoProvider> {
    None
}

impl fmt::Debug for Crypto {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Crypto")
    }
}
