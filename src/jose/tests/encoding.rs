//! Base64url and hashes.

use crate::jose::{base64url, from_base64url, sha256, sha512};

/// JWT-json: base64url is read strictly, so that one JWT has one spelling.
#[test]
fn base64url_is_strict() {
    assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    assert_eq!(from_base64url("-_8"), Some(vec![0xfb, 0xff]));
    for bad in ["-_8=", "+/8", "-_9", "-_8\n", " -_8", "-", "-_8 ", "-_8é"] {
        assert_eq!(from_base64url(bad), None, "{bad:?}");
    }
}

#[test]
fn hashes_are_those_of_fips_180() {
    let abc = base64url(&sha256(b"abc"));
    assert_eq!(abc, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    let abc = sha512(b"abc");
    assert!(abc.starts_with(&[0xdd, 0xaf, 0x35, 0xa1, 0x93, 0x61, 0x7a, 0xba]));
}
