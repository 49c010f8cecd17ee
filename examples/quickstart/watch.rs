//! A transport that prints what goes over it: what is in a request, never what it says.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fapi_client::{
    BoxFuture, HttpsTransport, RequestBody, Transport, TransportError, TransportRequest,
};
use http::{HeaderMap, Response};

/// Prints each request and its answer, and remembers the last one that carried a token.
#[derive(Clone)]
pub(crate) struct Watch {
    https: HttpsTransport,
    last: Arc<Mutex<Option<Authorization>>>,
}

/// What a thief would take.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) token: String,
    pub(crate) proof: String,
}

impl Watch {
    pub(crate) fn new(https: HttpsTransport) -> Self {
        Self {
            https,
            last: Arc::default(),
        }
    }

    pub(crate) fn last_authorization(&self) -> Option<Authorization> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    pub(crate) const fn unwatched(&self) -> &HttpsTransport {
        &self.https
    }

    fn note(&self, request: &TransportRequest) {
        let request = &request.request;
        let headers = request.headers();
        let mut carried = Vec::new();
        if headers.contains_key("dpop") {
            carried.push("DPoP proof".to_owned());
        }
        if let (Some(token), Some(proof)) = (text(headers, "authorization"), text(headers, "dpop"))
        {
            carried.push("access token".to_owned());
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Authorization { token, proof });
        }
        if let RequestBody::Bytes(body) = request.body()
            && !body.is_empty()
        {
            let names: Vec<_> = url::form_urlencoded::parse(body)
                .map(|(name, _)| name.into_owned())
                .collect();
            carried.push(format!("form [{}]", names.join(", ")));
        }
        println!("  > {} {}", request.method(), request.uri().path());
        for one in carried {
            println!("      {one}");
        }
    }
}

impl Transport for Watch {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(async move {
            self.note(&request);
            let response = self.https.send(request).await?;
            let body: Option<serde_json::Value> = serde_json::from_slice(response.body()).ok();
            let in_body = body.as_ref().and_then(|body| body["error"].as_str());
            let challenge = text(response.headers(), "www-authenticate").unwrap_or_default();
            let asks_for_nonce =
                in_body == Some("use_dpop_nonce") || challenge.contains("use_dpop_nonce");
            let meaning = if asks_for_nonce {
                " (the server wants its nonce: sent again with a new proof)"
            } else {
                ""
            };
            println!("  < {}{meaning}", response.status());
            Ok(response)
        })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
