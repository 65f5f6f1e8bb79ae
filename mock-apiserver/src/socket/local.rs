//! What is local: without credentials, only requests that name this machine are taken, so that no web page reaches the
//! server through the browser of whoever runs it (DNS rebinding, requests across sites).

use std::net::IpAddr;

use axum::{body::Body, extract::Request};
use http::{HeaderMap, HeaderValue, Response, header, uri::Authority};
use machinery::{names::GroupResource, status::Status};

use crate::{request::Query, respond};

/// True for the address of this machine only.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// True when the names in a request are this machine's: a web page that found a way to the port names its own site.
pub(super) fn is_local(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let host = text(header::HOST);
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    host.is_none_or(is_local_name) && origin.is_none_or(is_local_name)
}

fn is_local_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let service = "kubernetes.default.svc.cluster.local";
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(is_loopback)
        || service == name
        || service.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && name.starts_with("kubernetes"))
}

pub(super) fn foreign(request: &Request) -> Response<Body> {
    let why = "the Host or Origin of the request is not this machine; start the server with --insecure to allow it";
    let status = Status::forbidden(&GroupResource::new("", ""), "", why);
    respond::render_status(request.headers(), &Query::default(), &status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for good in [
            "localhost",
            "localhost:80",
            "127.0.0.1:55441",
            "127.1.2.3",
            "[::1]:443",
            "a.localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc.cluster.local:443",
        ] {
            assert!(is_local_name(good), "{good}");
        }
        for bad in ["example.com", "localhost.example.com", "10.0.0.1", "", "null", "k", "user@evil.com:80"] {
            assert!(!is_local_name(bad), "{bad}");
        }
    }
}
