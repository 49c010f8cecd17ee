//! Whose certificates are taken (SP-5.2.2.1-1): the platform's, those besides, those instead.

use fapi_client::{ConfigError, HttpsTransport, HttpsTransportBuilder, TransportFault};
use fapi_testkit::contract::wire::{WireServer, WireSetup};

use super::{get, ok_server};

/// A root that signed none of the servers here.
const OTHER_ROOT: &str = include_str!("other-root.pem");

async fn is_trusted(builder: HttpsTransportBuilder, url: &str) -> bool {
    match get(&builder.no_proxy().build().unwrap(), url).await {
        Ok(_) => true,
        Err(error) => {
            let unknown = TransportFault::Tls("invalid peer certificate: UnknownIssuer".to_owned());
            assert_eq!(error.fault, unknown);
            false
        }
    }
}

/// A root of one's own is taken besides the platform's.
#[tokio::test]
async fn a_root_can_be_added() {
    let server = ok_server(WireSetup::default()).await;
    let builder = HttpsTransport::builder()
        .add_root_certificates(WireServer::root_pem())
        .unwrap();
    assert!(is_trusted(builder, &server.url("/")).await);
}

/// SP-5.2.2.1-1: under an ecosystem's list no other authority is trusted. Several lists add up, and one
/// PEM may hold several.
#[tokio::test]
async fn only_the_named_roots_are_trusted() {
    let server = ok_server(WireSetup::default()).await;
    let only = |pem: &str| {
        HttpsTransport::builder()
            .only_root_certificates(pem)
            .unwrap()
    };

    assert!(!is_trusted(only(OTHER_ROOT), &server.url("/")).await);
    assert_eq!(server.requests().len(), 0);

    let both = format!("{OTHER_ROOT}\n{}", WireServer::root_pem());
    assert!(is_trusted(only(&both), &server.url("/")).await);

    let added = only(OTHER_ROOT).add_root_certificates(WireServer::root_pem());
    assert!(is_trusted(added.unwrap(), &server.url("/")).await);
}

/// SP-5.2.2.1-1: what the platform trusts counts by default and beside added roots, and counts for nothing
/// under an ecosystem's list. Here the platform's list is a file that the process was started with.
#[cfg(all(unix, not(target_vendor = "apple"), not(target_os = "android")))]
#[tokio::test]
async fn the_platforms_roots_count_unless_a_list_replaces_them() {
    const URL: &str = "FAPI_CLIENT_TEST_PLATFORM_URL";

    if let Ok(url) = std::env::var(URL) {
        let builder = HttpsTransport::builder;
        assert!(is_trusted(builder(), &url).await);
        assert!(is_trusted(builder().add_root_certificates(OTHER_ROOT).unwrap(), &url).await);
        assert!(!is_trusted(builder().only_root_certificates(OTHER_ROOT).unwrap(), &url).await);
        return;
    }
    let server = ok_server(WireSetup::default()).await;
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("platform-roots-{}.pem", std::process::id()));
    std::fs::write(&file, WireServer::root_pem()).unwrap();
    super::run_alone(
        "transport::roots::the_platforms_roots_count_unless_a_list_replaces_them",
        vec![
            (URL, server.url("/")),
            ("SSL_CERT_FILE", file.to_str().unwrap().to_owned()),
        ],
    )
    .await;
    std::fs::remove_file(file).unwrap();
    assert_eq!(server.requests().len(), 2);
}

/// A PEM without a certificate, or with one that is none, is an error of the settings.
#[test]
fn a_pem_that_is_none_is_refused() {
    let add = |pem: &str| {
        HttpsTransport::builder()
            .add_root_certificates(pem)
            .map(|_| ())
    };
    let error = add("no PEM at all").unwrap_err();
    assert!(matches!(error, ConfigError::Transport(_)), "{error:?}");

    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for builder in [
        HttpsTransport::builder().add_root_certificates(garbage),
        HttpsTransport::builder().only_root_certificates(garbage),
    ] {
        let error = builder.unwrap().build().unwrap_err();
        assert!(matches!(error, ConfigError::Transport(_)), "{error:?}");
        assert_eq!(error.code(), "config.transport");
    }
}
