//! Keys that sign the tokens of service accounts, and those that prove them: RSA and elliptic curves, in every PEM that
//! `kube-apiserver` takes.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::PublicKeyData as _;
use ring::{
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, RsaKeyPair, UnparsedPublicKey},
};
use rustls::pki_types::{
    PrivateKeyDer, PrivatePkcs8KeyDer,
    pem::{PemObject as _, SectionKind},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_parser::{prelude::FromDer as _, public_key::PublicKey as Parsed};

/// How a token is signed (RFC 7518).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
    Es384,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
        }
    }
}

/// A key that proves tokens.
#[derive(Clone, Debug)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// Names it in tokens: the hash of the key as DER.
    id: String,
    raw: Vec<u8>,
    jwk: Value,
}

impl PublicKey {
    /// Every key in a file: public keys, certificates, and the public halves of private keys.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key that is understood.
    pub fn read(path: &Path) -> Result<Vec<Self>, String> {
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let keys = Self::of_pem(&pem).map_err(|why| format!("{}: {why}", path.display()))?;
        if keys.is_empty() { Err(format!("{}: there is no key in it", path.display())) } else { Ok(keys) }
    }

    fn of_pem(pem: &[u8]) -> Result<Vec<Self>, String> {
        let mut keys = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            let (kind, der) = section.map_err(|error| error.to_string())?;
            let spki = match kind {
                SectionKind::PublicKey => der,
                SectionKind::Certificate => {
                    let (_, certificate) =
                        x509_parser::parse_x509_certificate(&der).map_err(|error| error.to_string())?;
                    certificate.tbs_certificate.subject_pki.raw.to_vec()
                }
                SectionKind::PrivateKey => spki_of(&der)?,
                SectionKind::RsaPrivateKey => spki_of(&pkcs8_of_rsa(&der))?,
                SectionKind::EcPrivateKey => spki_of(&pkcs8_of_curve(&der)?)?,
                _ => continue,
            };
            keys.push(Self::of_spki(&spki)?);
        }
        Ok(keys)
    }

    /// Reads a `SubjectPublicKeyInfo`.
    fn of_spki(der: &[u8]) -> Result<Self, String> {
        let (_, spki) = x509_parser::x509::SubjectPublicKeyInfo::from_der(der).map_err(|error| error.to_string())?;
        let raw = spki.subject_public_key.data.to_vec();
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(der));
        let number = |bytes: &[u8]| {
            let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
            URL_SAFE_NO_PAD.encode(&bytes[start..])
        };
        let (algorithm, members) = match spki.parsed().map_err(|error| error.to_string())? {
            Parsed::RSA(key) => {
                (Algorithm::Rs256, json!({"kty": "RSA", "n": number(key.modulus), "e": number(key.exponent)}))
            }
            Parsed::EC(point) => {
                let data = point.data();
                let (algorithm, curve, size) = match data.len() {
                    65 => (Algorithm::Es256, "P-256", 32),
                    97 => (Algorithm::Es384, "P-384", 48),
                    _ => return Err("the curve of the key is neither P-256 nor P-384".to_owned()),
                };
                let coordinate = |at: usize| URL_SAFE_NO_PAD.encode(&data[at..at + size]);
                let members = json!({"kty": "EC", "crv": curve, "x": coordinate(1), "y": coordinate(1 + size)});
                (algorithm, members)
            }
            _ => return Err("the key is neither of RSA nor of an elliptic curve".to_owned()),
        };
        let mut jwk = json!({"use": "sig", "kid": id, "alg": algorithm.name()});
        if let (Some(jwk), Value::Object(members)) = (jwk.as_object_mut(), members) {
            jwk.extend(members);
        }
        Ok(Self { algorithm, id, raw, jwk })
    }

    /// The key as a member of a JWK set (RFC 7517).
    pub(crate) fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// Its name in tokens.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The name of the algorithm in headers of tokens.
    pub(crate) fn algorithm(&self) -> &'static str {
        self.algorithm.name()
    }

    /// Whether a signature is of this key.
    pub(super) fn proves(&self, message: &[u8], signature: &[u8]) -> bool {
        let how: &dyn signature::VerificationAlgorithm = match self.algorithm {
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
        };
        UnparsedPublicKey::new(how, &self.raw).verify(message, signature).is_ok()
    }
}

/// A key that signs tokens.
#[derive(Debug)]
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    Curve(EcdsaKeyPair),
}

impl SigningKey {
    /// Reads the private key in a file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key that can sign.
    pub fn read(path: &Path) -> Result<Self, String> {
        let key = PrivateKeyDer::from_pem_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::of(&key).map_err(|why| format!("{}: {why}", path.display()))
    }

    fn of(key: &PrivateKeyDer<'_>) -> Result<Self, String> {
        match key {
            PrivateKeyDer::Pkcs8(key) => Self::of_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => Self::of_pkcs8(&pkcs8_of_rsa(key.secret_pkcs1_der())),
            PrivateKeyDer::Sec1(key) => Self::of_pkcs8(&pkcs8_of_curve(key.secret_sec1_der())?),
            _ => Err("the key is in no format that is understood".to_owned()),
        }
    }

    fn of_pkcs8(der: &[u8]) -> Result<Self, String> {
        let public = PublicKey::of_spki(&spki_of(der)?)?;
        let random = SystemRandom::new();
        let curve = |how| EcdsaKeyPair::from_pkcs8(how, der, &random).map(Pair::Curve);
        let pair = match public.algorithm {
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(der).map(Pair::Rsa),
            Algorithm::Es256 => curve(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => curve(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        };
        Ok(Self { pair: pair.map_err(|error| error.to_string())?, public })
    }

    /// A new key: on a curve, since that takes no time.
    pub(super) fn generate() -> Result<Self, String> {
        let made = EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::of_pkcs8(made.map_err(|_| "the system has no randomness".to_owned())?.as_ref())
    }

    /// The half that proves what this one signs.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let random = SystemRandom::new();
        let failed = |_| "signing failed".to_owned();
        match &self.pair {
            Pair::Curve(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).map_err(failed)
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

/// The public half of a private key, as DER.
fn spki_of(pkcs8: &[u8]) -> Result<Vec<u8>, String> {
    let pair = rcgen::KeyPair::try_from(&PrivatePkcs8KeyDer::from(pkcs8)).map_err(|error| error.to_string())?;
    Ok(pair.subject_public_key_info())
}

/// `rsaEncryption` and no parameters (RFC 8017, A.1), as an `AlgorithmIdentifier`.
const RSA: &[u8] = &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// `id-ecPublicKey` (RFC 5480, 2.1.1).
const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// The curves P-256 and P-384 (RFC 5480, 2.1.1.1).
const CURVES: [&[u8]; 2] =
    [&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]];

/// `INTEGER 0`: the version of a `PrivateKeyInfo` (RFC 5208).
const VERSION: &[u8] = &[0x02, 0x01, 0x00];

/// Puts a key of PKCS #1 ("RSA PRIVATE KEY") into PKCS #8.
fn pkcs8_of_rsa(key: &[u8]) -> Vec<u8> {
    tagged(0x30, &[VERSION, RSA, &tagged(0x04, &[key])])
}

/// Puts a key of SEC 1 ("EC PRIVATE KEY"), which names its curve, into PKCS #8.
fn pkcs8_of_curve(key: &[u8]) -> Result<Vec<u8>, String> {
    let curve = CURVES.into_iter().find(|curve| key.windows(curve.len()).any(|window| window == *curve));
    let curve = curve.ok_or_else(|| "the curve of the key is neither P-256 nor P-384".to_owned())?;
    Ok(tagged(0x30, &[VERSION, &tagged(0x30, &[EC, curve]), &tagged(0x04, &[key])]))
}

/// One value of DER.
fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut der = vec![tag];
    match content.len() {
        // The short form holds lengths to 127, the long form says first how many bytes the length takes: at most 8.
        0..=127 => der.extend_from_slice(length),
        _ => {
            der.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            der.extend_from_slice(length);
        }
    }
    der.extend(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_signs_and_proves() {
        let key = SigningKey::generate().expect("a key");
        let signature = key.sign(b"hello").expect("a signature");
        assert!(key.public().proves(b"hello", &signature));
        assert!(!key.public().proves(b"hallo", &signature));
        let jwk = key.public().jwk();
        assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["alg"]), (&json!("EC"), &json!("P-256"), &json!("ES256")));
        assert_eq!(jwk["x"].as_str().map(str::len), Some(43));
    }

    /// Keys as OpenSSL writes them, in every sort of PEM.
    #[test]
    fn keys_are_read_in_every_sort_of_pem() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
        let read = |name: &str| PublicKey::read(&directory.join(name)).expect("a key").remove(0);
        for (private, public, algorithm) in [
            ("rsa.pkcs8.pem", "rsa.certificate.pem", "RS256"),
            ("rsa.pkcs1.pem", "rsa.pkcs8.pem", "RS256"),
            ("curve.sec1.pem", "curve.public.pem", "ES256"),
        ] {
            let key = SigningKey::read(&directory.join(private)).expect("a key");
            let signature = key.sign(b"hello").expect("a signature");
            let proof = read(public);
            assert!(proof.proves(b"hello", &signature) && !proof.proves(b"hallo", &signature), "{private}");
            assert_eq!((proof.id(), proof.algorithm()), (key.public().id(), algorithm), "{private}");
            assert_eq!(proof.jwk(), key.public().jwk());
        }
        assert_eq!(read("rsa.pkcs8.pem").jwk()["e"], "AQAB");
        assert!(SigningKey::read(&directory.join("curve.public.pem")).is_err());
        assert!(SigningKey::read(&directory.join("missing.pem")).is_err());
    }

    #[test]
    fn lengths_are_told_in_the_shortest_form() {
        assert_eq!(tagged(0x04, &[&[1, 2]]), [4, 2, 1, 2]);
        assert_eq!(tagged(0x04, &[])[..], [4, 0]);
        assert_eq!(tagged(0x04, &[&[0; 200]])[..3], [4, 0x81, 200]);
        assert_eq!(tagged(0x04, &[&[0; 300]])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn keys_of_other_sorts_are_refused_in_words() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let why = PublicKey::of_pem(key.public_key_pem().as_bytes()).expect_err("ed25519 signs no tokens");
        assert_eq!(why, "the key is neither of RSA nor of an elliptic curve");
        assert!(PublicKey::of_pem(b"no pem").expect("nothing is in it").is_empty());
    }
}
