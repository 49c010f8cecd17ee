//! `application/x-www-form-urlencoded`, read strictly.

use url::form_urlencoded;

/// Name and value pairs, decoded, in the order in which they came.
pub(crate) type Form = Vec<(String, String)>;

/// Reads a form or a query.
///
/// Refuses what a lenient parser would repair: broken percent-encoding, bytes that are no UTF-8,
/// raw characters that must be encoded, and a name without a value.
pub(crate) fn parse(text: &[u8]) -> Result<Form, String> {
    if text.is_empty() {
        return Ok(Form::new());
    }
    text.split(|byte| *byte == b'&').map(pair).collect()
}

/// The name that stands more than once, if there is one. `repeatable` names are let through.
pub(crate) fn repeated<'a>(form: &'a Form, repeatable: &[&str]) -> Option<&'a str> {
    form.iter()
        .enumerate()
        .find(|(at, (name, _))| {
            !repeatable.contains(&name.as_str())
                && form[..*at].iter().any(|(other, _)| other == name)
        })
        .map(|(_, (name, _))| name.as_str())
}

pub(crate) fn value<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.iter()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.as_str())
}

pub(crate) fn values(form: &Form, name: &str) -> Vec<String> {
    form.iter()
        .filter(|(other, _)| other == name)
        .map(|(_, value)| value.clone())
        .collect()
}

pub(crate) fn encode(form: &Form) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish()
}

fn pair(text: &[u8]) -> Result<(String, String), String> {
    let at = text
        .iter()
        .position(|byte| *byte == b'=')
        .ok_or("a parameter without `=`")?;
    let name = decode(&text[..at])?;
    if name.is_empty() {
        return Err("a parameter without a name".to_owned());
    }
    Ok((name, decode(&text[at + 1..])?))
}

fn decode(text: &[u8]) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let high = rest.next().and_then(|byte| hex(*byte));
                let low = rest.next().and_then(|byte| hex(*byte));
                match (high, low) {
                    (Some(high), Some(low)) => out.push(high << 4 | low),
                    _ => return Err("broken percent-encoding".to_owned()),
                }
            }
            // The characters that a URL's query admits as they are (RFC 3986 section 3.4).
            byte if byte.is_ascii_alphanumeric() || b"-._~!$'()*,;:@/?".contains(byte) => {
                out.push(*byte);
            }
            byte => return Err(format!("the byte {byte:#04x} is not encoded")),
        }
    }
    String::from_utf8(out).map_err(|_| "a parameter is not UTF-8".to_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_text_is_decoded() {
        let form = parse(b"a=1&b=%C3%A9+x&c=&a=2").unwrap();
        assert_eq!(value(&form, "b"), Some("é x"));
        assert_eq!(value(&form, "c"), Some(""));
        assert_eq!(values(&form, "a"), ["1", "2"]);
        assert_eq!(repeated(&form, &[]), Some("a"));
        assert_eq!(repeated(&form, &["a"]), None);
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            "a", "=1", "a=%4", "a=%GG", "a=%FF", "a=1&&b=2", "a=1&", "a=\u{e9}", "a=b c", "a=b=c",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
