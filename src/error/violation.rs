//! The rules that a server, or an attacker in its place, can break. Each knows its clause.

use std::fmt;

use super::LogoutRequestFault;

/// What was called, or what answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The metadata document of the authorization server.
    Metadata,
    /// Its key set (`jwks_uri`).
    Jwks,
    /// `pushed_authorization_request_endpoint`.
    PushedAuthorizationRequest,
    /// `authorization_endpoint`, which answers through the browser.
    Authorization,
    /// `token_endpoint`.
    Token,
    /// `userinfo_endpoint`.
    UserInfo,
    /// `revocation_endpoint`.
    Revocation,
    /// `registration_endpoint`, and the `registration_client_uri` that it gives.
    Registration,
    /// An API.
    Resource,
}

impl Endpoint {
    /// The name of the endpoint, as logs show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Jwks => "jwks",
            Self::PushedAuthorizationRequest => "pushed_authorization_request",
            Self::Authorization => "authorization",
            Self::Token => "token",
            Self::UserInfo => "userinfo",
            Self::Revocation => "revocation",
            Self::Registration => "registration",
            Self::Resource => "resource",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A rule that the server, or an attacker in its place, broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The metadata document names another issuer than the one it was fetched for.
    #[error("the metadata names the issuer {received:?}, not {expected:?} ({})", self.clause())]
    MetadataIssuer {
        /// The issuer that the client was built with.
        expected: String,
        /// What the document says; empty where it says nothing.
        received: String,
    },
    /// The metadata document lacks a member, or has it in the wrong shape.
    #[error("the metadata's member {member:?} is missing or malformed ({})", self.clause())]
    MetadataMember {
        /// The member.
        member: String,
    },
    /// An endpoint of the metadata is not an https URL.
    #[error("the metadata's {member:?} is not an https URL ({})", self.clause())]
    InsecureEndpoint {
        /// The member.
        member: String,
    },
    /// The server answered with a redirect where none may be followed.
    #[error("{endpoint} answered with a redirect, status {status} ({})", self.clause())]
    Redirect {
        /// What was called.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
    },
    /// The status is none that this endpoint may answer with.
    #[error("{endpoint} answered with status {status} and no OAuth error ({})", self.clause())]
    Status {
        /// What was called.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
    },
    /// The answer has the wrong media type.
    #[error("{endpoint} answered with the wrong content type ({})", self.clause())]
    ContentType {
        /// What was called.
        endpoint: Endpoint,
    },
    /// The answer is not what the specification describes.
    #[error("the answer of {endpoint} is malformed at {member:?} ({})", self.clause())]
    Answer {
        /// What was called.
        endpoint: Endpoint,
        /// The member that is missing or malformed; empty for the document itself.
        member: String,
    },
    /// The callback can't be read: too long, not UTF-8, no query and no form.
    #[error("the callback can't be read ({})", self.clause())]
    Callback,
    /// A parameter of the callback stands there twice.
    #[error("the callback has the parameter {name:?} twice ({})", self.clause())]
    DuplicateParameter {
        /// The parameter.
        name: &'static str,
    },
    /// The callback has no `iss`.
    #[error("the callback has no iss ({})", self.clause())]
    MissingIssuer,
    /// The callback has another `iss` than that of the server where the login began.
    #[error("the callback comes from another issuer than {expected:?} ({})", self.clause())]
    Issuer {
        /// The issuer where the login began.
        expected: String,
    },
    /// The callback's `state` is missing, or belongs to no login of this browser.
    #[error("the callback's state belongs to no login of this browser ({})", self.clause())]
    State,
    /// The browser has no login under way: it is not the one that began, or the login was finished
    /// or is too old.
    #[error("no login is under way in this browser (it began elsewhere, was finished, is too old, or the process that kept it is gone); begin a new one ({})", self.clause())]
    NoSuchLogin,
    /// The callback carries a token, or a signed response that was not asked for.
    #[error("the callback carries {name:?}, which was not asked for ({})", self.clause())]
    FrontChannel {
        /// The parameter.
        name: &'static str,
    },
    /// The callback has neither `code` nor `error`.
    #[error("the callback has neither code nor error ({})", self.clause())]
    MissingCode,
    /// The server answered a DPoP request with a token that is not bound. The token was wiped.
    #[error("the server gave a token that is not bound to our key; it was wiped ({})", self.clause())]
    TokenTypeDowngrade,
    /// `openid` was asked for, and there is no ID token.
    #[error("the token response has no id_token ({})", self.clause())]
    MissingIdToken,
    /// `authorization_details` were asked for, and the answer does not say which were granted.
    #[error("the token response does not say which authorization_details were granted ({})", self.clause())]
    MissingAuthorizationDetails,
    /// A JWT breaks a rule.
    #[error("the {kind}: {fault} ({})", self.clause())]
    Jwt {
        /// What the JWT is for.
        kind: JwtKind,
        /// The rule it breaks.
        fault: JwtFault,
    },
    /// The key set can't be read at all.
    #[error("the key set can't be read ({})", self.clause())]
    Jwks,
    /// UserInfo speaks of another user than the ID token.
    #[error("UserInfo is about another user than the ID token ({})", self.clause())]
    UserInfoSubject,
    /// UserInfo came unsigned, though a signed answer is registered.
    #[error("UserInfo came unsigned though a signed answer is registered ({})", self.clause())]
    UserInfoUnsigned,
    /// The server wants a DPoP nonce and does not give one that can be used.
    #[error("{endpoint} wants a DPoP nonce: {fault} ({})", self.clause())]
    DpopNonce {
        /// What was called.
        endpoint: Endpoint,
        /// What is wrong with it.
        fault: NonceFault,
    },
    /// The server registered something else than was asked for, and weaker or somebody else's: another
    /// algorithm, another way to authenticate, unbound tokens, other redirect URIs, grants or keys.
    #[error("the server registered another {member:?} than was asked for; the registration is not used ({})", self.clause())]
    Registration {
        /// The member of the answer.
        member: String,
    },
    /// The refreshed tokens belong to another user.
    #[error("the refreshed tokens are another user's; the session has ended ({})", self.clause())]
    SubjectChanged,
    /// What came to the program's logout endpoint is no logout request.
    #[error("the logout request can't be read: {fault} ({})", self.clause())]
    LogoutRequest {
        /// What is wrong with it.
        fault: LogoutRequestFault,
    },
    /// The browser came back from the server's logout without the `state` that it left with.
    #[error("the browser came back from the server's logout with another state ({})", self.clause())]
    LogoutState,
}

impl Violation {
    /// The clause of the specification that was broken.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::MetadataIssuer { .. } => "FAPI2-SP 5.3.3.1-11",
            Self::MetadataMember { .. } => "RFC 8414 section 2",
            Self::InsecureEndpoint { .. } => "FAPI2-SP 5.2.1-1",
            Self::Redirect { .. } => "RFC 9700 section 4.12",
            Self::Status { .. } | Self::ContentType { .. } => "RFC 6749 section 5",
            Self::Answer { endpoint, .. } => match endpoint {
                Endpoint::PushedAuthorizationRequest => "RFC 9126 section 2.2",
                Endpoint::UserInfo => "OIDC Core 5.3.2",
                Endpoint::Metadata => "RFC 8414 section 3.2",
                Endpoint::Registration => "RFC 7591 section 3.2.1",
                _ => "RFC 6749 section 5.1",
            },
            Self::Callback | Self::MissingCode => "RFC 6749 section 4.1.2",
            Self::DuplicateParameter { .. } => "RFC 6749 section 3.1",
            Self::MissingIssuer | Self::Issuer { .. } => "FAPI2-SP 5.3.3.2-5",
            Self::State => "RFC 6749 section 10.12",
            Self::NoSuchLogin => "FAPI2-SP 5.3.3.2-4",
            Self::FrontChannel { .. } => "FAPI2-SP 5.3.2.2-1",
            Self::TokenTypeDowngrade => "RFC 9449 section 5",
            Self::MissingIdToken => "OIDC Core 3.1.3.3",
            Self::MissingAuthorizationDetails => "RFC 9396 section 7",
            Self::Jwt { kind, fault } => fault.clause(*kind),
            Self::Jwks => "RFC 7517 section 5",
            Self::UserInfoSubject | Self::UserInfoUnsigned => "OIDC Core 5.3.2",
            Self::DpopNonce { .. } => "RFC 9449 section 8",
            Self::Registration { .. } => "RFC 7591 section 3.2.1",
            Self::SubjectChanged => "OIDC Core 12.2",
            Self::LogoutRequest { .. } => "OIDC Back-Channel Logout 2.5",
            Self::LogoutState => "OIDC RP-Initiated Logout 3",
        }
    }

    /// A stable name for this violation.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MetadataIssuer { .. } => "violation.metadata_issuer",
            Self::MetadataMember { .. } => "violation.metadata_member",
            Self::InsecureEndpoint { .. } => "violation.insecure_endpoint",
            Self::Redirect { .. } => "violation.redirect",
            Self::Status { .. } => "violation.status",
            Self::ContentType { .. } => "violation.content_type",
            Self::Answer { .. } => "violation.answer",
            Self::Callback => "violation.callback",
            Self::DuplicateParameter { .. } => "violation.duplicate_parameter",
            Self::MissingIssuer => "violation.missing_issuer",
            Self::Issuer { .. } => "violation.issuer",
            Self::State => "violation.state",
            Self::NoSuchLogin => "violation.no_such_login",
            Self::FrontChannel { .. } => "violation.front_channel",
            Self::MissingCode => "violation.missing_code",
            Self::TokenTypeDowngrade => "violation.token_type_downgrade",
            Self::MissingIdToken => "violation.missing_id_token",
            Self::MissingAuthorizationDetails => "violation.missing_authorization_details",
            Self::Jwt { .. } => "violation.jwt",
            Self::Jwks => "violation.jwks",
            Self::UserInfoSubject => "violation.userinfo_subject",
            Self::UserInfoUnsigned => "violation.userinfo_unsigned",
            Self::DpopNonce { .. } => "violation.dpop_nonce",
            Self::Registration { .. } => "violation.registration",
            Self::SubjectChanged => "violation.subject_changed",
            Self::LogoutRequest { .. } => "violation.logout_request",
            Self::LogoutState => "violation.logout_state",
        }
    }
}

/// What a JWT is for. One kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtKind {
    /// An ID token (OIDC Core section 2).
    IdToken,
    /// A signed UserInfo answer (OIDC Core section 5.3.2).
    UserInfo,
    /// A logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4).
    LogoutToken,
}

impl fmt::Display for JwtKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::IdToken => "ID token",
            Self::UserInfo => "signed UserInfo",
            Self::LogoutToken => "logout token",
        })
    }
}

/// The rule that a JWT breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtFault {
    /// It is no compact JWS: wrong number of parts, bad base64url, no JSON object, too long.
    #[error("not a compact JWS")]
    Malformed,
    /// A member stands twice in its header or its claims.
    #[error("a member stands there twice")]
    DuplicateMember,
    /// It is signed with an algorithm that FAPI 2.0 does not allow, or with none.
    #[error("its algorithm is not allowed")]
    Algorithm,
    /// It is signed with an allowed algorithm that is not the registered one.
    #[error("its algorithm is not the registered one")]
    OtherAlgorithm,
    /// Its header has `crit`, `zip` or `b64`.
    #[error("its header has {0:?}")]
    Header(&'static str),
    /// Its `typ` is that of another kind of JWT.
    #[error("its typ is that of another kind of JWT")]
    Type,
    /// It is encrypted, and encryption was not registered.
    #[error("it is encrypted")]
    Encrypted,
    /// No key of the server fits.
    #[error("no key of the server fits")]
    NoKey,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// A claim is missing.
    #[error("the claim {0:?} is missing")]
    MissingClaim(&'static str),
    /// A claim has the wrong type.
    #[error("the claim {0:?} is malformed")]
    MalformedClaim(&'static str),
    /// `iss` is another issuer.
    #[error("it comes from another issuer")]
    Issuer,
    /// `aud` does not name this client.
    #[error("it is for another audience")]
    Audience,
    /// `aud` names others that were not named as trusted.
    #[error("it is for further audiences that are not trusted")]
    FurtherAudience,
    /// `azp` is another client, or is missing where `aud` names several.
    #[error("it was issued to another client (azp)")]
    AuthorizedParty,
    /// `exp` has passed.
    #[error("it has expired")]
    Expired,
    /// `iat` lies ahead.
    #[error("it was issued in the future")]
    IssuedAhead,
    /// `iat` lies too far back.
    #[error("it was issued too long ago")]
    IssuedTooLongAgo,
    /// `nonce` is not the one that was sent.
    #[error("its nonce is not ours")]
    Nonce,
    /// `at_hash` is not that of the access token.
    #[error("its at_hash is not that of the access token")]
    AccessTokenHash,
    /// `acr` is none of those that were asked for.
    #[error("the user did not authenticate in the way that was asked for (acr)")]
    Acr,
    /// The user's authentication is older than was asked for.
    #[error("the user authenticated too long ago (auth_time)")]
    AuthTime,
    /// A logout token has a `nonce`, as an ID token has.
    #[error("it has a nonce, which a logout token never has")]
    ForeignNonce,
    /// Its `events` do not have that of a back-channel logout.
    #[error("its events have no back-channel logout")]
    LogoutEvent,
    /// Its `events` have that of a back-channel logout, and its value is no JSON object.
    #[error("its back-channel logout event is no JSON object")]
    LogoutEventValue,
    /// A logout token has neither `sub` nor `sid`: it says nobody whom to log out.
    #[error("it names neither a user (sub) nor a session (sid)")]
    NobodyNamed,
}

impl JwtFault {
    const fn clause(&self, kind: JwtKind) -> &'static str {
        match self {
            Self::Malformed => "RFC 7515 section 5.2",
            Self::DuplicateMember => "RFC 7515 section 4",
            Self::Algorithm => "FAPI2-SP 5.4.1-1",
            Self::OtherAlgorithm => "OIDC Core 3.1.3.7-7",
            Self::Header(_) => "RFC 7515 section 4.1.11",
            Self::Type => "RFC 8725 section 3.11",
            Self::Encrypted => "OIDC Core 3.1.3.7-1",
            Self::NoKey => "FAPI2-SP 5.4.3",
            Self::Signature => "FAPI2-MS 5.6.2-1",
            Self::MissingClaim(_) | Self::MalformedClaim(_) => match kind {
                JwtKind::IdToken => "OIDC Core 2",
                JwtKind::UserInfo => "OIDC Core 5.3.2",
                JwtKind::LogoutToken => "OIDC Back-Channel Logout 2.4",
            },
            Self::Issuer => match kind {
                JwtKind::IdToken => "OIDC Core 3.1.3.7-2",
                JwtKind::UserInfo => "OIDC Core 5.3.2",
                JwtKind::LogoutToken => "OIDC Back-Channel Logout 2.6",
            },
            Self::Audience | Self::FurtherAudience => match kind {
                JwtKind::IdToken => "OIDC Core 3.1.3.7-3",
                JwtKind::UserInfo => "OIDC Core 5.3.2",
                JwtKind::LogoutToken => "OIDC Back-Channel Logout 2.6",
            },
            Self::AuthorizedParty => "OIDC Core 3.1.3.7-5",
            Self::Expired => "OIDC Core 3.1.3.7-9",
            Self::IssuedAhead | Self::IssuedTooLongAgo => "OIDC Core 3.1.3.7-10",
            Self::Nonce => "OIDC Core 3.1.3.7-11",
            Self::AccessTokenHash => "OIDC Core 3.1.3.8",
            Self::Acr => "OIDC Core 3.1.3.7-12",
            Self::AuthTime => "OIDC Core 3.1.3.7-13",
            Self::ForeignNonce | Self::LogoutEvent | Self::LogoutEventValue | Self::NobodyNamed => {
                "OIDC Back-Channel Logout 2.6"
            }
        }
    }
}

/// What is wrong with a server's demand for a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NonceFault {
    /// It gives none.
    #[error("it gives none")]
    Missing,
    /// It gives more than one.
    #[error("it gives more than one")]
    Several,
    /// It gives one with characters that a nonce can't have, or one that is too long.
    #[error("it gives one that is malformed")]
    Malformed,
    /// It gives again the one that was used.
    #[error("it gives the one that was just used")]
    Same,
    /// It demands another one after the one it gave was used.
    #[error("it refuses the one it gave")]
    Again,
}
