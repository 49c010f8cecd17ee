//! Single claims asked for (OIDC Core section 5.5).

use serde_json::{Map, Value};

/// Single claims asked for in the ID token or at UserInfo (OIDC Core section 5.5).
///
/// `acr` and `auth_time` asked for as essential in the ID token are checked when it comes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimsRequest {
    id_token: Map<String, Value>,
    userinfo: Map<String, Value>,
}

impl ClaimsRequest {
    /// Asks for nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a claim in the ID token.
    #[must_use]
    pub fn id_token(mut self, name: impl Into<String>, claim: ClaimRequest) -> Self {
        self.id_token.insert(name.into(), claim.into_json());
        self
    }

    /// Asks for a claim at UserInfo.
    #[must_use]
    pub fn userinfo(mut self, name: impl Into<String>, claim: ClaimRequest) -> Self {
        self.userinfo.insert(name.into(), claim.into_json());
        self
    }

    pub(super) fn to_json(&self) -> Value {
        let mut json = Map::new();
        for (member, claims) in [("id_token", &self.id_token), ("userinfo", &self.userinfo)] {
            if !claims.is_empty() {
                json.insert(member.to_owned(), Value::Object(claims.clone()));
            }
        }
        Value::Object(json)
    }

    fn is_essential(&self, name: &str) -> bool {
        self.id_token
            .get(name)
            .and_then(|claim| claim.get("essential"))
            .and_then(Value::as_bool)
            == Some(true)
    }

    /// IDT-13: whether `auth_time` has to be there.
    pub(crate) fn demands_auth_time(&self) -> bool {
        self.is_essential("auth_time")
    }

    /// IDT-12: the values of which an essential `acr` has to be one; empty where any will do.
    pub(crate) fn essential_acr(&self) -> Option<Vec<String>> {
        if !self.is_essential("acr") {
            return None;
        }
        let claim = self.id_token.get("acr")?;
        let one = claim.get("value").into_iter();
        let several = claim.get("values").and_then(Value::as_array);
        Some(
            one.chain(several.into_iter().flatten())
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        )
    }
}

/// How one claim is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimRequest {
    members: Map<String, Value>,
}

impl ClaimRequest {
    /// Would be nice to have.
    #[must_use]
    pub fn voluntary() -> Self {
        Self::default()
    }

    /// Is needed.
    #[must_use]
    pub fn essential() -> Self {
        Self::default().with("essential", Value::Bool(true))
    }

    /// With this value.
    #[must_use]
    pub fn value(self, value: impl Into<Value>) -> Self {
        self.with("value", value.into())
    }

    /// With one of these values, best first.
    #[must_use]
    pub fn values<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Self {
        self.with("values", values.into_iter().collect())
    }

    fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.to_owned(), value);
        self
    }

    fn into_json(self) -> Value {
        if self.members.is_empty() {
            Value::Null
        } else {
            Value::Object(self.members)
        }
    }
}
