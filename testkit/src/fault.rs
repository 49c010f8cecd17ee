//! What the servers can be told to do wrong.

use serde_json::Value;

use crate::record::Endpoint;

/// Something that the servers do wrong on command.
///
/// Switch one on with [`TestServer::misbehave`](crate::TestServer::misbehave), and all of them
/// off with [`TestServer::behave`](crate::TestServer::behave). Each kind converts into this type:
///
/// ```
/// use fapi_testkit::{AuthorizationFault, Fault};
///
/// let fault: Fault = AuthorizationFault::MissingIssuer.into();
/// ```
///
/// What is not listed is done with the mutators (`mutate_id_token` and the like) or with
/// [`TestServer::answer_next`](crate::TestServer::answer_next).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// In the metadata.
    Metadata(MetadataFault),
    /// In the answer to a pushed authorization request.
    Par(ParFault),
    /// In the authorization response.
    Authorization(AuthorizationFault),
    /// In the token response.
    Token(TokenFault),
    /// In ID tokens.
    IdToken(IdTokenFault),
    /// In UserInfo.
    UserInfo(UserInfoFault),
    /// In DPoP nonce challenges, wherever proofs are taken.
    Nonce(NonceFault),
    /// In DPoP nonce challenges at one endpoint.
    NonceAt(Endpoint, NonceFault),
    /// In the challenges of the resource server.
    Api(ApiFault),
    /// In the answer to a registration.
    Registration(RegistrationFault),
}

macro_rules! converts {
    ($($kind:ident => $variant:ident),*) => {$(
        impl From<$kind> for Fault {
            fn from(fault: $kind) -> Self {
                Self::$variant(fault)
            }
        }
    )*};
}

converts!(
    MetadataFault => Metadata,
    ParFault => Par,
    AuthorizationFault => Authorization,
    TokenFault => Token,
    IdTokenFault => IdToken,
    UserInfoFault => UserInfo,
    NonceFault => Nonce,
    ApiFault => Api,
    RegistrationFault => Registration
);

/// The metadata is wrong (META-3 to META-5, SP-5.3.3.1-11).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetadataFault {
    /// `issuer` is this text.
    Issuer(String),
    /// This member is missing.
    Without(String),
    /// This member has this value.
    Set(String, Value),
    /// The URL in this member begins with `http:`.
    PlainHttp(String),
    /// `issuer` stands twice, and the second is another one.
    DuplicateIssuer,
    /// The document comes with this media type.
    ContentType(String),
    /// An HTML page with status 200.
    Html,
}

/// The answer to a pushed authorization request is wrong (PAR-2.2).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ParFault {
    /// Status 200 in place of 201.
    Status200,
    /// No `request_uri`.
    MissingRequestUri,
    /// No `expires_in`.
    MissingExpiresIn,
    /// `expires_in` has this value, whatever the truth.
    ExpiresIn(Value),
    /// An HTML page with status 201.
    Html,
    /// The request is refused with this OAuth error and status 400.
    Error(String),
}

/// The answer to a registration is wrong (DCR-3.2.1). Weaker metadata come by
/// [`TestServer::mutate_registration_response`](crate::TestServer::mutate_registration_response).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RegistrationFault {
    /// Status 200 in place of 201.
    Status200,
    /// A `client_secret` that nobody asked for.
    ClientSecret,
    /// `client_id` stands twice, and the second is another one.
    DuplicateMember,
    /// An HTML page with status 201.
    Html,
    /// This OAuth error with this status; nothing is registered.
    Error(u16, String),
}

/// The authorization response is wrong (RFC 9207, SP-5.3.3.2-5, R6749-dup).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AuthorizationFault {
    /// `iss` is that of another server.
    WrongIssuer,
    /// `iss` is this text.
    Issuer(String),
    /// No `iss`.
    MissingIssuer,
    /// `iss` stands twice, both times right.
    DuplicateIssuer,
    /// `iss` stands twice, and the second is another server's.
    SecondIssuer,
    /// `state` is another one.
    WrongState,
    /// No `state`.
    MissingState,
    /// `state` stands twice.
    DuplicateState,
    /// No `code`.
    MissingCode,
    /// `code` is empty.
    EmptyCode,
    /// `code` stands twice, with two values.
    DuplicateCode,
    /// An `access_token` as well, as the implicit flow has it.
    ExtraAccessToken,
    /// An `id_token` as well, as the hybrid flow has it.
    ExtraIdToken,
    /// A `response` as well, as JARM has it.
    ExtraResponse,
    /// A `code` and an `error` together.
    CodeAndError,
    /// This error in place of a code, with the right `iss` and `state`.
    Error(String),
    /// This error without `iss`: anybody could have made it.
    ErrorWithoutIssuer(String),
    /// This error under another server's `iss`.
    ErrorWithWrongIssuer(String),
    /// The parameters stand in the fragment.
    Fragment,
}

/// The token response is wrong (RFC 6749 section 5, DPOP-5b).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TokenFault {
    /// `token_type` is `Bearer`: the downgrade.
    Bearer,
    /// `token_type` is this text; `dPoP` is one that a client must take (R6749-5.1a).
    TokenType(String),
    /// No `token_type`.
    MissingTokenType,
    /// No `access_token`.
    MissingAccessToken,
    /// `access_token` is empty.
    EmptyAccessToken,
    /// `access_token` holds a line break, which could split a header.
    AccessTokenWithLineBreak,
    /// No `expires_in`, which a client must take (R6749-5.1b).
    WithoutExpiresIn,
    /// `expires_in` has this value: a string, a negative number, a huge one.
    ExpiresIn(Value),
    /// No `id_token`, though `openid` was granted (SP-5.3.2.3).
    WithoutIdToken,
    /// No `refresh_token`.
    WithoutRefreshToken,
    /// `scope` is this text.
    Scope(String),
    /// No `authorization_details`, though some were granted (RAR-7).
    WithoutAuthorizationDetails,
    /// `access_token` stands twice (JWT-json).
    DuplicateMember,
    /// The right JSON with this media type.
    ContentType(String),
    /// An HTML page with status 200.
    Html,
    /// An HTML page with this error status.
    HtmlError(u16),
    /// This OAuth error with this status; nothing is issued or used up.
    Error(u16, String),
}

/// The ID token is wrong (spec sections 4.10 and 4.19).
///
/// What a client must take in spite of its looks is named so.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum IdTokenFault {
    /// `iss` is another server's.
    WrongIssuer,
    /// No `iss`.
    MissingIssuer,
    /// `aud` is another client.
    WrongAudience,
    /// `aud` is the client and another one.
    ExtraAudience,
    /// `aud` is an array with the client alone, which a client must take.
    AudienceArray,
    /// `aud` is an empty array.
    EmptyAudience,
    /// No `aud`.
    MissingAudience,
    /// `azp` is another client.
    WrongAuthorizedParty,
    /// `azp` is the client, which a client must take.
    AuthorizedParty,
    /// `exp` is an hour past.
    Expired,
    /// No `exp`.
    MissingExpiry,
    /// `iat` is a week old.
    OldIssuedAt,
    /// `iat` lies that many seconds ahead: up to 10 must be taken, more than 60 refused
    /// (SP-5.3.2.1-13).
    IssuedAhead(i64),
    /// No `iat`.
    MissingIssuedAt,
    /// `nbf` lies that many seconds ahead.
    NotBefore(i64),
    /// `nonce` is another one.
    WrongNonce,
    /// No `nonce`.
    MissingNonce,
    /// `exp`, `iat` and `auth_time` have fractions, which a client must take.
    FractionalDates,
    /// `exp` is text.
    ExpiryAsText,
    /// `exp` is this number: too great for any calendar, say.
    Expiry(Value),
    /// Signed with RS256 by a key that the server publishes.
    Rs256,
    /// `alg` is this spelling of `none`, and the signature is empty.
    None(String),
    /// HS256 with the public key as the secret.
    Hs256WithPublicKey,
    /// `alg` is this text, and the signature is that of the right algorithm.
    Algorithm(String),
    /// No `alg`.
    MissingAlgorithm,
    /// One bit of the signature is wrong.
    BadSignature,
    /// The signature is all zeros.
    ZeroSignature,
    /// Signed by a key that nobody published, under the right `kid`.
    StrangerKey,
    /// Signed by a stranger's key that the header brings along as `jwk`.
    EmbeddedKey,
    /// The right token with a header member `jku` that points to this URL; it must not be fetched.
    Jku(String),
    /// The right token with a header member `x5u` that points to this URL; it must not be fetched.
    X5u(String),
    /// The right token with a header member `x5c`.
    X5c,
    /// `crit` names an unknown extension.
    Critical,
    /// `crit` is an empty array.
    EmptyCritical,
    /// `b64` is false.
    Unencoded,
    /// `zip` is `DEF`.
    Zip,
    /// The claim `iss` stands twice.
    DuplicateMember,
    /// `typ` says that this is an access token.
    WrongType,
    /// No `sub`.
    MissingSubject,
    /// `sub` is another user's.
    WrongSubject,
    /// `sub` is empty.
    EmptySubject,
    /// `sub` is a number.
    NumericSubject,
    /// `sub` has 256 characters.
    LongSubject,
    /// `at_hash` is that of another token.
    WrongAccessTokenHash,
    /// No `at_hash`, which a client must take.
    MissingAccessTokenHash,
    /// `acr` is this text.
    Acr(String),
    /// No `acr`.
    MissingAcr,
    /// `auth_time` lies that many seconds back.
    OldAuthTime(i64),
    /// No `auth_time`.
    MissingAuthTime,
    /// `kid` names a key that the server does not publish.
    UnknownKid,
    /// No `kid`, which a client must take where one key alone fits.
    MissingKid,
    /// Five parts, as if encrypted, though no encryption was registered.
    Encrypted,
    /// Not a JWT at all.
    Garbage,
}

/// UserInfo is wrong (UI-5.3.2, UI-5.3.2s).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum UserInfoFault {
    /// `sub` is another user's.
    WrongSubject,
    /// No `sub`.
    MissingSubject,
    /// Plain JSON where a signed answer is due, or the other way round.
    OtherForm,
    /// The right body with this media type.
    ContentType(String),
    /// Signed: `iss` is another server's.
    WrongIssuer,
    /// Signed: `aud` is another client.
    WrongAudience,
    /// Signed: `iss` and `aud` are missing.
    WithoutIssuerAndAudience,
    /// Signed: one bit of the signature is wrong.
    BadSignature,
    /// Signed: `alg` is `none`.
    None,
    /// Signed with RS256 by a key that the server publishes.
    Rs256,
    /// Signed, and expired an hour ago.
    Expired,
}

/// DPoP nonces are handled wrongly (DPOP-8a, DPOP-8.1, DPOP-9).
///
/// While one of these is on, every request that brings a sound proof is challenged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NonceFault {
    /// Every request is asked for another nonce: the storm.
    Always,
    /// The challenge brings no nonce.
    MissingHeader,
    /// The challenge brings two nonces.
    TwoHeaders,
    /// The nonce has characters that none may have.
    Malformed,
    /// The nonce is empty.
    Empty,
    /// The nonce is 4 KiB long.
    Oversized,
    /// The challenge brings the nonce that the proof already had.
    Same,
    /// The challenge has the other role's status: 401 at the authorization server, 400 at the
    /// resource server. A client should take it (K-12).
    OtherStatus,
    /// At the resource server, the error stands in a JSON body in place of `WWW-Authenticate`.
    InBody,
}

/// The resource server is wrong, or odd, about its challenges (RFC 6750 section 3, DPOP-7.1b).
///
/// While one of these is on, every request that would succeed is answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiFault {
    /// `invalid_token`, with the scheme `DPoP`.
    InvalidToken,
    /// `invalid_token`, with the scheme written `dPoP`.
    SchemeCase,
    /// `invalid_token`, with the scheme `Bearer`.
    Bearer,
    /// `invalid_token` in a `Bearer` and a `DPoP` challenge that share one header.
    TwoChallenges,
    /// The same in two headers.
    TwoHeaders,
    /// 401 with a challenge that names no error.
    NoError,
    /// 401 without any challenge.
    NoChallenge,
    /// A challenge that can't be read.
    Malformed,
    /// `invalid_dpop_proof`.
    InvalidProof,
    /// `insufficient_scope` with status 403.
    InsufficientScope,
    /// A challenge whose description holds quotes, commas and the name of another error.
    Tricky,
}
