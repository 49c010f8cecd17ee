//! The form that a request to the authorization server carries (RFC 6749 section 3.2).

use std::borrow::Cow;
use std::fmt;

use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::error::ConfigError;

/// Fields in the order in which they were added. None stands there twice but `resource`, and none is
/// empty (R6749-3.2).
#[derive(Clone, Default)]
pub(crate) struct Form {
    fields: Vec<(Cow<'static, str>, Zeroizing<String>)>,
}

impl Form {
    /// Adds a field that this crate itself names.
    pub(crate) fn field(mut self, name: &'static str, value: &str) -> Self {
        self.fields
            .push((Cow::Borrowed(name), Zeroizing::new(value.to_owned())));
        self
    }

    /// Adds a field that there is a value for.
    pub(crate) fn optional(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Adds a field whose name comes from the program.
    pub(crate) fn extra(mut self, name: &str, value: &str) -> Result<Self, ConfigError> {
        if name.is_empty() || value.is_empty() || self.has(name) {
            return Err(ConfigError::Parameter(name.to_owned()));
        }
        self.fields.push((
            Cow::Owned(name.to_owned()),
            Zeroizing::new(value.to_owned()),
        ));
        Ok(self)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    /// R6749-3.2: the first field that is empty.
    pub(crate) fn empty_field(&self) -> Option<&str> {
        let empty = |(_, value): &&(Cow<'static, str>, Zeroizing<String>)| value.is_empty();
        self.fields.iter().find(empty).map(|(name, _)| &**name)
    }

    /// The form with the fields of another behind its own.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.fields.extend(other.fields);
        self
    }

    /// The fields, in their order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (&**name, value.as_str()))
    }

    /// The body of the request.
    pub(crate) fn encode(&self) -> String {
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.fields {
            serializer.append_pair(name, value);
        }
        serializer.finish()
    }
}

/// The names alone: the values may be codes, tokens and verifiers.
impl fmt::Debug for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.fields.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R6749-3.2: no parameter twice, none empty.
    #[test]
    fn a_field_stands_there_once() {
        let form = Form::default().field("scope", "openid");
        for (name, value) in [("scope", "x"), ("", "x"), ("y", "")] {
            assert_eq!(
                form.clone().extra(name, value).unwrap_err(),
                ConfigError::Parameter(name.to_owned())
            );
        }
        assert_eq!(
            form.extra("a b", "ü&=").unwrap().encode(),
            "scope=openid&a+b=%C3%BC%26%3D"
        );
    }

    /// SEC-cred: the values of a form are not shown.
    #[test]
    fn debug_shows_names_alone() {
        let form = Form::default().field("code", "secret-code");
        assert_eq!(format!("{form:?}"), "[\"code\"]");
    }
}
