//! Hashes of templates, as part of names.

use serde_json::Value;

/// The letters of `rand.SafeEncodeString`: no vowels, so that no words arise, and nothing that is easily confused.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A short name for what a document says; `collisions` gives it another one.
///
/// It looks like upstream's, which hashes how Go prints the structure and cannot be had without it.
pub(super) fn of(document: &Value, collisions: Option<i64>) -> String {
    let mut hash = Fnv::new();
    hash.document(document);
    if let Some(collisions) = collisions {
        hash.bytes(&collisions.to_le_bytes());
    }
    let number = hash.0.to_string();
    number
        .bytes()
        .filter_map(|byte| ALPHABET.get(usize::from(byte) % ALPHABET.len()))
        .map(|byte| char::from(*byte))
        .collect()
}

/// FNV-1a, 32 bits.
struct Fnv(u32);

impl Fnv {
    fn new() -> Self {
        Self(0x811c_9dc5)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    /// Members in the order of their names, whatever order the document has.
    fn document(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(name, _)| *name);
                self.bytes(b"{");
                for (name, value) in members {
                    self.bytes(name.as_bytes());
                    self.bytes(b":");
                    self.document(value);
                    self.bytes(b",");
                }
                self.bytes(b"}");
            }
            Value::Array(items) => {
                self.bytes(b"[");
                for item in items {
                    self.document(item);
                    self.bytes(b",");
                }
                self.bytes(b"]");
            }
            other => self.bytes(other.to_string().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hash_names_what_a_document_says() {
        let hash = of(&json!({"a": 1, "b": [true, "x"]}), None);
        assert_eq!(hash, of(&json!({"b": [true, "x"], "a": 1}), None));
        assert_ne!(hash, of(&json!({"a": 1, "b": ["x", true]}), None));
        assert_ne!(hash, of(&json!({"a": 1, "b": [true, "x"]}), Some(1)));
        assert!(hash.bytes().all(|byte| ALPHABET.contains(&byte)) && hash.len() <= 10, "{hash}");
    }
}
