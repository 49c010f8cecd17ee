//! When a request goes out again (design: Retries; spec section 6).

mod clock;
mod nonce;
mod token;

use fapi_client::{Client, Error, Session};
use fapi_testkit::{Answer, Endpoint, Request, TestServer};
use serde_json::json;

use crate::common;

/// A request that the rule is tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Par,
    Code,
    Refresh,
    Api,
    UserInfo,
}

impl Place {
    const ALL: [Self; 5] = [
        Self::Par,
        Self::Code,
        Self::Refresh,
        Self::Api,
        Self::UserInfo,
    ];

    /// The endpoint, as the testkit names it.
    const fn endpoint(self) -> Endpoint {
        match self {
            Self::Par => Endpoint::Par,
            Self::Code | Self::Refresh => Endpoint::Token,
            Self::Api => Endpoint::Api,
            Self::UserInfo => Endpoint::UserInfo,
        }
    }

    /// The endpoint, as errors name it.
    const fn named(self) -> fapi_client::Endpoint {
        match self {
            Self::Par => fapi_client::Endpoint::PushedAuthorizationRequest,
            Self::Code | Self::Refresh => fapi_client::Endpoint::Token,
            Self::Api => fapi_client::Endpoint::Resource,
            Self::UserInfo => fapi_client::Endpoint::UserInfo,
        }
    }

    const fn is_resource(self) -> bool {
        matches!(self, Self::Api | Self::UserInfo)
    }

    /// A success that a test prescribes.
    fn success(self) -> Answer {
        match self {
            Self::Par => Answer::json(201, &json!({"request_uri": "urn:x:1", "expires_in": 60})),
            Self::Code | Self::Refresh => Answer::json(
                200,
                &json!({"access_token": "at-2", "token_type": "DPoP", "expires_in": 300}),
            ),
            Self::Api | Self::UserInfo => Answer::json(200, &json!({"sub": "alice"})),
        }
    }
}

/// Everything that comes before the request is done, and only it is left to do.
struct Ready {
    place: Place,
    client: Client,
    session: Session,
    waiting: Option<(fapi_client::Login, String)>,
}

impl Ready {
    async fn at(place: Place, server: &TestServer) -> Self {
        Self::with(place, server, common::client(server).await).await
    }

    async fn with(place: Place, server: &TestServer, client: Client) -> Self {
        let session = common::log_in_with(&client, server, "alice").await.unwrap();
        let waiting = match place {
            Place::Code => Some(common::approved(&client, server, "alice", "accounts").await),
            _ => None,
        };
        server.forget_requests();
        Self {
            place,
            client,
            session,
            waiting,
        }
    }

    async fn act(&mut self, server: &TestServer) -> Result<(), Error> {
        match self.place {
            Place::Par => self
                .client
                .login()
                .scope("accounts")
                .start()
                .await
                .map(drop),
            Place::Code => {
                let (login, callback) = self.waiting.take().expect("a callback is waiting");
                self.client
                    .finish_login(login.transaction(), callback)
                    .await
                    .map(drop)
            }
            Place::Refresh => self.session.refresh().await,
            Place::Api => common::get(&self.session, server, "/accounts")
                .await?
                .error_for_status()
                .map(drop),
            Place::UserInfo => self.session.userinfo().await.map(drop),
        }
    }
}

/// The requests are one request sent several times: what makes it is the same, and every proof and
/// every assertion is new (DPOP-7.3, CA-6, OFTEN-14).
fn assert_repeated(server: &TestServer, place: Place, times: usize) -> Vec<Request> {
    let requests = server.requests_to(place.endpoint());
    assert_eq!(requests.len(), times, "{place:?}");
    let essence = |request: &Request| {
        let mut form = request.form.clone();
        form.retain(|(name, _)| name != "client_assertion");
        let authorization = request.header("authorization").map(str::to_owned);
        let interaction = request.header("x-fapi-interaction-id").map(str::to_owned);
        let uri = request.uri.clone();
        (
            request.method.clone(),
            uri,
            form,
            authorization,
            interaction,
        )
    };
    for request in &requests {
        assert_eq!(essence(request), essence(&requests[0]), "{place:?}");
    }
    common::assert_fresh(server);
    requests
}
