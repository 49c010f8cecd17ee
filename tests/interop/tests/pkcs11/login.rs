//! A whole login with the client's key in the token.

use fapi_client::{Algorithm, Client, ClientAuth, ClientBuilder, HttpsTransport, KeySet, KeyStore};
use fapi_interop::SoftHsm;
use fapi_testkit::{Registration, TestServer};

use super::{absent, name, open};

/// CA-1, CA-9: the token signs the client assertions of a login, a refresh and a request object, with
/// ES256 and with PS256. Where it is away, nothing goes out.
#[test]
fn a_client_with_its_key_in_a_token() {
    SoftHsm::apart("login::a_client_with_its_key_in_a_token", async |hsm| {
        let keys = open().await;
        for algorithm in [Algorithm::Es256, Algorithm::Ps256] {
            let key = keys.create(&name(algorithm.name()), algorithm).await;
            let key = KeySet::new(key.unwrap());
            let server = TestServer::start().await;
            let client = builder(&server, &key).build().await.unwrap();

            let login = client
                .login()
                .scope("openid accounts")
                .start()
                .await
                .unwrap();
            let callback = server.browser("alice").approve(login.url().as_str()).await;
            let session = client
                .finish_login(login.transaction(), callback)
                .await
                .unwrap();
            session.refresh().await.unwrap();
            let accounts = format!("{}/accounts", server.api());
            assert!(
                session
                    .get(accounts)
                    .send()
                    .await
                    .unwrap()
                    .status()
                    .is_success()
            );
            let requests = server.requests();
            let signed = requests.iter().filter_map(fapi_testkit::Request::assertion);
            let signed = signed.inspect(|jwt| assert_eq!(jwt.header["alg"], algorithm.name()));
            // The pushed request, once more with a nonce, the code and the refresh.
            assert_eq!(signed.count(), 4);

            hsm.take_out();
            let before = server.requests().len();
            let error = client.login().scope("openid").start().await.unwrap_err();
            let fapi_client::Error::Key(error) = error else {
                panic!("{error:?}");
            };
            assert_eq!(error, absent());
            assert_eq!(server.requests().len(), before);
            hsm.put_back();
            client.login().scope("openid").start().await.unwrap();
        }
    });
}

/// Makes a client known to the server.
pub(crate) fn builder(server: &TestServer, keys: &KeySet) -> ClientBuilder {
    let redirect_uri = "https://app.example/callback";
    let registration = Registration::new("client-id");
    server.register(registration.jwks(keys.jwks()).redirect_uri(redirect_uri));
    let https = HttpsTransport::builder()
        .only_root_certificates(server.ca_pem())
        .unwrap()
        .no_proxy()
        .build()
        .unwrap();
    Client::builder(server.issuer(), "client-id")
        .redirect_uri(redirect_uri)
        .authenticate_with(ClientAuth::private_key_jwt(keys.clone()))
        .api(server.api())
        .transport(https)
}
