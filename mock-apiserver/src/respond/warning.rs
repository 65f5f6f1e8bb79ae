//! `Warning` headers (RFC 7234 §5.5 as Kubernetes uses it): `299 - "<text>"`.

use std::collections::HashSet;

use http::HeaderValue;

/// Most runes that all texts may have together before each is cut.
const TOTAL_RUNES_MAX: usize = 4096;

/// Most runes of one text once the total is exceeded.
const CUT_RUNES: usize = 256;

/// One header value per distinct warning, in the order given.
pub(super) fn headers(warnings: &[String]) -> Vec<HeaderValue> {
    let mut seen = HashSet::new();
    let distinct: Vec<&str> =
        warnings.iter().map(String::as_str).filter(|warning| !warning.is_empty() && seen.insert(*warning)).collect();
    let total: usize = distinct.iter().map(|text| text.chars().count()).sum();
    let longest = if total > TOTAL_RUNES_MAX { CUT_RUNES } else { usize::MAX };
    let mut budget = TOTAL_RUNES_MAX;
    let mut values = Vec::with_capacity(distinct.len());
    for text in distinct {
        let cut: String = text.chars().take(longest).collect();
        let length = cut.chars().count();
        if length > budget {
            break;
        }
        budget -= length;
        values.extend(header(&cut));
    }
    values
}

/// Control characters cannot stand in a header, so they become spaces.
fn header(text: &str) -> Option<HeaderValue> {
    let mut quoted = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            other if other.is_control() => quoted.push(' '),
            other => quoted.push(other),
        }
    }
    HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(warnings: &[&str]) -> Vec<String> {
        let owned: Vec<String> = warnings.iter().map(|&text| text.to_owned()).collect();
        headers(&owned).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn texts_are_quoted_and_repeated_ones_dropped() {
        assert_eq!(
            texts(&["unknown field \"spec.x\"", "unknown field \"spec.x\"", "", "a\\b\nc"]),
            [r#"299 - "unknown field \"spec.x\"""#, r#"299 - "a\\b c""#,]
        );
    }

    #[test]
    fn too_much_text_is_cut() {
        let long: Vec<String> = (0..20).map(|number| format!("{number:02}{}", "é".repeat(300))).collect();
        let cut = headers(&long);
        assert_eq!(cut.len(), TOTAL_RUNES_MAX / CUT_RUNES);
        assert!(cut.iter().all(|value| String::from_utf8_lossy(value.as_bytes()).chars().count() == CUT_RUNES + 8));
    }
}
