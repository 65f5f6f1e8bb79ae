//! Keys of issuers: JWK sets (RFC 7517), and the signatures that they prove (RFC 7518).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

/// Most keys of a set that are looked at.
const KEYS_MAX: usize = 100;

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: String,
    public: Public,
}

#[derive(Clone, Debug)]
enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The point, uncompressed; the curve is P-256 or P-384 by its length.
    Curve(Vec<u8>),
}

/// The keys of a set that are understood.
pub(super) fn keys(set: &Value) -> Vec<Key> {
    let list = set.get("keys").and_then(Value::as_array).into_iter().flatten();
    list.filter(|key| key.get("use").is_none_or(|purpose| purpose == "sig")).filter_map(key).take(KEYS_MAX).collect()
}

fn key(jwk: &Value) -> Option<Key> {
    let bytes = |member: &str| URL_SAFE_NO_PAD.decode(jwk.get(member)?.as_str()?.trim_end_matches('=')).ok();
    let public = match jwk.get("kty")?.as_str()? {
        "RSA" => Public::Rsa { n: bytes("n")?, e: bytes("e")? },
        "EC" => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            let size = match jwk.get("crv")?.as_str()? {
                "P-256" => 32,
                "P-384" => 48,
                _ => return None,
            };
            (x.len() == size && y.len() == size).then(|| Public::Curve([vec![4], x, y].concat()))?
        }
        _ => return None,
    };
    Some(Key { id: jwk.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned(), public })
}

impl Key {
    /// Whether the key has the name that a token gives; tokens may give none.
    pub(super) fn is_named(&self, id: &str) -> bool {
        id.is_empty() || self.id == id
    }

    /// Whether a signature, made in the way that the token says, is of this key.
    pub(super) fn proves(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::Rsa { n, e } => {
                let how: &RsaParameters = match algorithm {
                    "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
                    "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
                    "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
                    _ => return false,
                };
                RsaPublicKeyComponents { n, e }.verify(how, message, signature).is_ok()
            }
            Public::Curve(point) => {
                let how = match (algorithm, point.len()) {
                    ("ES256", 65) => &ECDSA_P256_SHA256_FIXED,
                    ("ES384", 97) => &ECDSA_P384_SHA384_FIXED,
                    _ => return false,
                };
                UnparsedPublicKey::new(how, point).verify(message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::authentication::SigningKey;

    #[test]
    fn a_key_of_a_set_proves_what_its_other_half_signed() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
        for (file, algorithm) in [("rsa.pkcs8.pem", "RS256"), ("curve.sec1.pem", "ES256")] {
            let signer = SigningKey::read(&directory.join(file)).expect("a key");
            let found = keys(&json!({"keys": [signer.public().jwk(), {"kty": "oct"}, {"use": "enc", "kty": "RSA"}]}));
            let [key] = found.as_slice() else { panic!("one key: {found:?}") };
            let signature = signer.sign(b"hello").expect("a signature");
            assert!(key.proves(algorithm, b"hello", &signature), "{file}");
            assert!(!key.proves(algorithm, b"hallo", &signature), "{file}");
            assert!(!key.proves("none", b"hello", &signature) && !key.proves("HS256", b"hello", &signature));
            assert!(key.is_named("") && !key.is_named("other"));
        }
    }
}
