//! `--strict-transport-security-directives`: what browsers are told about HTTPS (RFC 6797, section 6.1).

use http::HeaderValue;

/// The header of every answer, if there is to be one.
///
/// # Errors
/// What is no directive, in the words of kube-apiserver.
pub(crate) fn strict_transport_security(directives: &[String]) -> Result<Option<HeaderValue>, String> {
    let refused = || {
        "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, preload. see \
         https://tools.ietf.org/html/rfc6797#section-6.1 for more information"
            .to_owned()
    };
    for directive in directives {
        if directive.trim().is_empty() {
            return Err("empty value in strict-transport-security-directives".to_owned());
        }
        let is_age = directive.strip_prefix("max-age=").is_some_and(|age| !age.contains('='));
        if !is_age && !["includeSubDomains", "preload"].contains(&directive.as_str()) {
            return Err(refused());
        }
    }
    if directives.is_empty() {
        return Ok(None);
    }
    HeaderValue::from_str(&directives.join("; ")).map(Some).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_those_of_the_rfc() {
        for (directives, expected) in [
            ("max-age=31536000,includeSubDomains", Ok("max-age=31536000; includeSubDomains")),
            ("preload", Ok("preload")),
            ("max-age=1,", Err("empty value")),
            ("max-age", Err("invalid, allowed values")),
            ("max-age=1=2", Err("invalid, allowed values")),
            ("max-age=\u{7f}", Err("invalid, allowed values")),
            ("forever", Err("invalid, allowed values")),
        ] {
            let list: Vec<String> = directives.split(',').map(str::to_owned).collect();
            let found = strict_transport_security(&list);
            match expected {
                Ok(header) => assert_eq!(found, Ok(Some(HeaderValue::from_static(header))), "{directives}"),
                Err(why) => assert!(found.as_ref().is_err_and(|found| found.contains(why)), "{directives}: {found:?}"),
            }
        }
        assert_eq!(strict_transport_security(&[]), Ok(None));
    }
}
