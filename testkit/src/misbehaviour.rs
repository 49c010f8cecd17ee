//! The faults, mutators and prescribed answers that are on at the moment.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::fault::{
    ApiFault, AuthorizationFault, Fault, IdTokenFault, MetadataFault, NonceFault, ParFault,
    RegistrationFault, TokenFault, UserInfoFault,
};
use crate::net::answer::Answer;
use crate::record::Endpoint;
use crate::state::{State, lock};

type ValueMutator = Arc<dyn Fn(&mut Value) + Send + Sync>;
type JwtMutator = Arc<dyn Fn(&mut Map<String, Value>, &mut Map<String, Value>) + Send + Sync>;
type PairsMutator = Arc<dyn Fn(&mut Vec<(String, String)>) + Send + Sync>;

/// A document of the server that a test may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Document {
    Metadata,
    Jwks,
    Par,
    Token,
    UserInfo,
    Registration,
}

#[derive(Default)]
pub(crate) struct Misbehaviour {
    faults: Vec<Active>,
    documents: Vec<(Document, ValueMutator)>,
    id_token: Vec<JwtMutator>,
    logout_token: Vec<JwtMutator>,
    authorization_response: Vec<PairsMutator>,
    queued: HashMap<Endpoint, VecDeque<Answer>>,
    standing: HashMap<Endpoint, Answer>,
    holds: HashMap<Endpoint, watch::Receiver<bool>>,
}

struct Active {
    fault: Fault,
    left: Option<usize>,
}

impl Misbehaviour {
    pub(crate) fn switch_on(&mut self, fault: Fault, times: Option<usize>) {
        self.faults.push(Active { fault, left: times });
    }

    pub(crate) fn mutate(&mut self, document: Document, mutator: ValueMutator) {
        self.documents.push((document, mutator));
    }

    pub(crate) fn mutate_id_token(&mut self, mutator: JwtMutator) {
        self.id_token.push(mutator);
    }

    pub(crate) fn mutate_logout_token(&mut self, mutator: JwtMutator) {
        self.logout_token.push(mutator);
    }

    pub(crate) fn mutate_authorization_response(&mut self, mutator: PairsMutator) {
        self.authorization_response.push(mutator);
    }

    pub(crate) fn queue(&mut self, endpoint: Endpoint, answer: Answer) {
        self.queued.entry(endpoint).or_default().push_back(answer);
    }

    pub(crate) fn stand(&mut self, endpoint: Endpoint, answer: Answer) {
        self.standing.insert(endpoint, answer);
    }

    pub(crate) fn hold(&mut self, endpoint: Endpoint, released: watch::Receiver<bool>) {
        self.holds.insert(endpoint, released);
    }

    /// The answer that a test prescribed for the next request at an endpoint.
    pub(crate) fn prescribed(&mut self, endpoint: Endpoint) -> Option<Answer> {
        self.queued
            .get_mut(&endpoint)
            .and_then(VecDeque::pop_front)
            .or_else(|| self.standing.get(&endpoint).cloned())
    }

    pub(crate) fn held(&self, endpoint: Endpoint) -> Option<watch::Receiver<bool>> {
        self.holds.get(&endpoint).cloned()
    }

    /// The faults that `pick` takes; each has had its effect once more.
    fn take<T>(&mut self, pick: impl Fn(&Fault) -> Option<T>) -> Vec<T> {
        let mut taken = Vec::new();
        self.faults.retain_mut(|active| {
            let Some(picked) = pick(&active.fault) else {
                return true;
            };
            taken.push(picked);
            match &mut active.left {
                Some(left) => {
                    *left = left.saturating_sub(1);
                    *left > 0
                }
                None => true,
            }
        });
        taken
    }
}

macro_rules! takers {
    ($($name:ident: $variant:ident($kind:ty)),* $(,)?) => {$(
        pub(crate) fn $name(&self) -> Vec<$kind> {
            lock(&self.misbehaviour).take(|fault| match fault {
                Fault::$variant(fault) => Some(fault.clone()),
                _ => None,
            })
        }
    )*};
}

impl State {
    takers!(
        metadata_faults: Metadata(MetadataFault),
        par_faults: Par(ParFault),
        authorization_faults: Authorization(AuthorizationFault),
        token_faults: Token(TokenFault),
        id_token_faults: IdToken(IdTokenFault),
        userinfo_faults: UserInfo(UserInfoFault),
        api_faults: Api(ApiFault),
        registration_faults: Registration(RegistrationFault),
    );

    /// The nonce fault that is on at an endpoint, if there is one.
    pub(crate) fn nonce_fault(&self, endpoint: Endpoint) -> Option<NonceFault> {
        lock(&self.misbehaviour)
            .take(|fault| match fault {
                Fault::Nonce(fault) => Some(*fault),
                Fault::NonceAt(at, fault) if *at == endpoint => Some(*fault),
                _ => None,
            })
            .pop()
    }

    /// Lets the test's mutators change a document.
    pub(crate) fn mutate(&self, document: Document, value: &mut Value) {
        let mutators: Vec<_> = lock(&self.misbehaviour)
            .documents
            .iter()
            .filter(|(kind, _)| *kind == document)
            .map(|(_, mutator)| mutator.clone())
            .collect();
        for mutator in mutators {
            mutator(value);
        }
    }

    pub(crate) fn mutate_id_token(
        &self,
        header: &mut Map<String, Value>,
        claims: &mut Map<String, Value>,
    ) {
        let mutators = lock(&self.misbehaviour).id_token.clone();
        for mutator in mutators {
            mutator(header, claims);
        }
    }

    pub(crate) fn mutate_logout_token(
        &self,
        header: &mut Map<String, Value>,
        claims: &mut Map<String, Value>,
    ) {
        let mutators = lock(&self.misbehaviour).logout_token.clone();
        for mutator in mutators {
            mutator(header, claims);
        }
    }

    pub(crate) fn mutate_authorization_response(&self, parameters: &mut Vec<(String, String)>) {
        let mutators = lock(&self.misbehaviour).authorization_response.clone();
        for mutator in mutators {
            mutator(parameters);
        }
    }
}
