//! The keys in a token: found, signed with, made and deleted.

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::connection::{Connection, Token};
use super::fault::Fault;
use super::public;
use crate::error::KeyError;
use crate::jose::{PublicJwk, sha256};
use crate::keys::KeyName;
use crate::profile::{Algorithm, RSA_MIN_BITS};
use crate::secret::random_bytes;

/// The length of the RSA keys that are made where the token goes that far.
const RSA_BITS: usize = 3072;

/// RFC 7518 section 3.5: SHA-256, MGF1 with SHA-256, and a salt as long as the hash.
const PSS_SALT: u8 = 32;

impl Connection {
    /// The public half of the key of that name.
    pub(super) fn open_key(&mut self, name: &KeyName) -> Result<PublicJwk, Fault> {
        self.keys.remove(name);
        self.look_up(name).map(|(_, public)| public)
    }

    /// CA-9: signs a message with the key of that name, if it still is the one with that public half.
    pub(super) fn sign(
        &mut self,
        name: &KeyName,
        public: &PublicJwk,
        message: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let (key, found) = self.look_up(name)?;
        if found != *public {
            return Err(Fault::Final(KeyError::Mismatch));
        }
        let algorithm = public.algorithm();
        let mechanism = self
            .mechanism(algorithm)
            .ok_or(KeyError::StoreLacks(algorithm))?;
        let digest = sha256(message);
        let data = match mechanism {
            Mechanism::Ecdsa | Mechanism::RsaPkcsPss(_) => &digest,
            _ => message,
        };
        Ok(self.session.sign(&mechanism, key, data)?)
    }

    /// Makes a key, and returns its public half.
    pub(super) fn create_key(
        &mut self,
        token: &Token,
        name: &KeyName,
        algorithm: Algorithm,
    ) -> Result<PublicJwk, Fault> {
        let (generator, bits) = self.generator(algorithm)?;
        let _writing = token.writing();
        let exists = || {
            Fault::Final(KeyError::Exists {
                name: name.as_str().to_owned(),
            })
        };
        if !self.private_keys(name)?.is_empty() {
            return Err(exists());
        }
        self.ensure_there()?;
        let id = random_bytes::<16>()?.to_vec();
        let (public, private) = templates(name, id, bits)?;
        let writer = self.module().open_rw_session(self.slot)?;
        let (public, private) = writer.generate_key_pair(&generator, &public, &private)?;
        token.changed();
        let outcome = match self.private_keys(name) {
            Ok(found) if found.len() > 1 => Err(exists()),
            Ok(_) => self.open_key(name),
            Err(fault) => Err(fault),
        };
        if outcome.is_err() {
            // Another process was as fast, or the token does not tell what it made: nothing is left.
            let _ = writer.destroy_object(private);
            let _ = writer.destroy_object(public);
            token.changed();
        }
        outcome
    }

    /// Deletes the key of that name, whether it is there or not.
    pub(super) fn delete_key(&mut self, token: &Token, name: &KeyName) -> Result<(), Fault> {
        let _writing = token.writing();
        let private = match self.private_key(name) {
            Ok(private) => private,
            Err(Fault::Final(KeyError::Missing { .. })) => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let public = self.public_keys(private, name)?;
        let writer = self.module().open_rw_session(self.slot)?;
        // The private half at last, by which it is found: what is cut short can be done again.
        let outcome = public
            .into_iter()
            .chain([private])
            .try_for_each(|object| writer.destroy_object(object));
        token.changed();
        Ok(outcome?)
    }

    fn look_up(&mut self, name: &KeyName) -> Result<(ObjectHandle, PublicJwk), Fault> {
        if let Some(key) = self.keys.get(name) {
            return Ok(key.clone());
        }
        let private = self.private_key(name)?;
        let public = self.public_half(private, name)?;
        self.keys.insert(name.clone(), (private, public.clone()));
        Ok((private, public))
    }

    /// The one private key of that label.
    fn private_key(&self, name: &KeyName) -> Result<ObjectHandle, Fault> {
        match self.private_keys(name)?.as_slice() {
            [key] => Ok(*key),
            [] => {
                // A token that is gone, or that we are not logged in to, shows no keys either.
                self.ensure_there()?;
                Err(Fault::Final(KeyError::Missing {
                    name: name.as_str().to_owned(),
                }))
            }
            several => Err(Fault::Final(KeyError::Refused(format!(
                "the token has {} private keys with the label {name}; give each its own",
                several.len()
            )))),
        }
    }

    fn private_keys(&self, name: &KeyName) -> Result<Vec<ObjectHandle>, Fault> {
        Ok(self.session.find_objects(&[
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Token(true),
            Attribute::Label(name.as_str().into()),
        ])?)
    }

    /// The public keys that belong to a private one: those of its `CKA_ID` and label, else of its
    /// `CKA_ID`, else, where it has no `CKA_ID`, of its label.
    fn public_keys(
        &self,
        private: ObjectHandle,
        name: &KeyName,
    ) -> Result<Vec<ObjectHandle>, Fault> {
        let mut wanted = vec![
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::Token(true),
        ];
        let told = [AttributeType::KeyType, AttributeType::Id];
        let told = self.session.get_attributes(private, &told)?;
        let has_id = told
            .iter()
            .any(|attribute| matches!(attribute, Attribute::Id(id) if !id.is_empty()));
        wanted.extend(
            told.into_iter()
                .filter(|attribute| !matches!(attribute, Attribute::Id(id) if id.is_empty())),
        );
        let label = Attribute::Label(name.as_str().into());
        let labelled = [wanted.as_slice(), &[label]].concat();
        let found = self.session.find_objects(&labelled)?;
        if found.is_empty() && has_id {
            return Ok(self.session.find_objects(&wanted)?);
        }
        Ok(found)
    }

    fn public_half(&self, private: ObjectHandle, name: &KeyName) -> Result<PublicJwk, Fault> {
        let algorithm = signs(&self.session, private)?;
        let object = match self.public_keys(private, name)?.as_slice() {
            [public] => *public,
            // Some tokens tell the public half with the private key.
            [] => private,
            _ => {
                return Err(Fault::Final(KeyError::Refused(format!(
                    "the token has several public keys for {name}; give each its own CKA_ID"
                ))));
            }
        };
        public::read(&self.session, object, algorithm)?.ok_or_else(|| {
            Fault::Final(KeyError::Refused(format!(
                "the token does not tell the public half of {name}; put it in beside the key"
            )))
        })
    }

    /// How the token signs: with a hash of ours where it can, so that little is sent to it.
    fn mechanism(&self, algorithm: Algorithm) -> Option<Mechanism<'static>> {
        let pss = PkcsPssParams {
            hash_alg: MechanismType::SHA256,
            mgf: PkcsMgfType::MGF1_SHA256,
            s_len: usize::from(PSS_SALT).try_into().ok()?,
        };
        let ways = match algorithm {
            Algorithm::Es256 => [
                (MechanismType::ECDSA, Mechanism::Ecdsa),
                (MechanismType::ECDSA_SHA256, Mechanism::EcdsaSha256),
            ],
            Algorithm::Ps256 => [
                (MechanismType::RSA_PKCS_PSS, Mechanism::RsaPkcsPss(pss)),
                (
                    MechanismType::SHA256_RSA_PKCS_PSS,
                    Mechanism::Sha256RsaPkcsPss(pss),
                ),
            ],
            Algorithm::EdDsa => return None,
        };
        let mut ways = ways.into_iter();
        ways.find(|(kind, _)| self.offers(*kind))
            .map(|(_, way)| way)
    }

    /// What makes keys of that algorithm, and how long they get to be; no bits for P-256.
    fn generator(
        &self,
        algorithm: Algorithm,
    ) -> Result<(Mechanism<'static>, Option<usize>), Fault> {
        let lacks = || Fault::Final(KeyError::StoreLacks(algorithm));
        let (generator, kind) = match algorithm {
            Algorithm::Es256 => (Mechanism::EccKeyPairGen, MechanismType::ECC_KEY_PAIR_GEN),
            Algorithm::Ps256 => (
                Mechanism::RsaPkcsKeyPairGen,
                MechanismType::RSA_PKCS_KEY_PAIR_GEN,
            ),
            Algorithm::EdDsa => return Err(lacks()),
        };
        if !self.offers(kind) || self.mechanism(algorithm).is_none() {
            return Err(lacks());
        }
        if algorithm == Algorithm::Es256 {
            return Ok((generator, None));
        }
        let most = self.module().get_mechanism_info(self.slot, kind)?;
        let bits = RSA_BITS.min(most.max_key_size());
        // SP-5.4.1-2: a token that makes shorter ones makes none for FAPI 2.0.
        if bits < RSA_MIN_BITS {
            return Err(lacks());
        }
        Ok((generator, Some(bits)))
    }
}

/// What a private key signs, and that it may.
fn signs(session: &Session, private: ObjectHandle) -> Result<Algorithm, Fault> {
    let told = [
        AttributeType::KeyType,
        AttributeType::Sign,
        AttributeType::AlwaysAuthenticate,
    ];
    let mut kind = None;
    for attribute in session.get_attributes(private, &told)? {
        match attribute {
            Attribute::KeyType(told) => kind = Some(told),
            Attribute::Sign(false) => {
                return Err(Fault::Final(KeyError::Refused(
                    "the token does not let the key sign (CKA_SIGN)".into(),
                )));
            }
            Attribute::AlwaysAuthenticate(true) => {
                return Err(Fault::Final(KeyError::Refused(
                    "the key wants the PIN for each signature (CKA_ALWAYS_AUTHENTICATE)".into(),
                )));
            }
            _ => {}
        }
    }
    let kind = kind.ok_or(KeyError::Malformed("the token does not tell its type"))?;
    Ok(public::algorithm(kind)?)
}

/// DPOP-11.4: the private half never leaves the token, and is good for signatures alone.
fn templates(
    name: &KeyName,
    id: Vec<u8>,
    bits: Option<usize>,
) -> Result<(Vec<Attribute>, Vec<Attribute>), Fault> {
    let both = [
        Attribute::Token(true),
        Attribute::Label(name.as_str().into()),
        Attribute::Id(id),
    ];
    let mut public = both.to_vec();
    public.extend([Attribute::Private(false), Attribute::Verify(true)]);
    let mut private = both.to_vec();
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    if let Some(bits) = bits {
        public.push(Attribute::ModulusBits(bits.try_into()?));
        public.push(Attribute::PublicExponent(vec![1, 0, 1]));
        private.extend([Attribute::Decrypt(false), Attribute::Unwrap(false)]);
    } else {
        public.push(Attribute::EcParams(public::P256.to_vec()));
        private.push(Attribute::Derive(false));
    }
    Ok((public, private))
}
