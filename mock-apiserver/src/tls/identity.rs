//! The user that a client certificate is about.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::{der_parser::asn1_rs::Oid, oid_registry::asn1_rs::oid};

use crate::authentication::{AUTHENTICATED, User};

/// The attribute of a subject that holds a user's uid (Kubernetes documentation, "X.509 client certificates").
const UID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);

/// The common name is the user, organizations are groups. `None`: there is no name in it.
pub(crate) fn user(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = parsed.subject();
    let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
    let name = subject.iter_common_name().filter_map(text).last().filter(|name| !name.is_empty())?;
    let mut user = User { name, groups: subject.iter_organization().filter_map(text).collect(), ..User::default() };
    user.uid = subject.iter_by_oid(&UID).filter_map(text).next().unwrap_or_default();
    let mut hash = String::from("X509SHA256=");
    for byte in Sha256::digest(certificate) {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    user.extra.insert("authentication.kubernetes.io/credential-id".to_owned(), vec![hash]);
    Some(user.in_group(AUTHENTICATED))
}
