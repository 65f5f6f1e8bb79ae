//! Kubernetes' URL library.

use std::sync::Arc;

use crate::collection::{Entries, Map};
use crate::declaration::Library;
use crate::fault::Fault;
use crate::types::Type;
use crate::url::Url;
use crate::value::{URL, Value};

pub(crate) fn declare(library: &mut Library) {
    let url = || Type::object(URL);
    let text = Type::String;
    library.global("url", "string_to_url", [Type::String], url(), parse);
    library.global("isURL", "is_url_string", [Type::String], Type::Bool, is_url);
    library.member("getScheme", "url_get_scheme", [url()], text.clone(), scheme);
    library.member("getHost", "url_get_host", [url()], text.clone(), host);
    library.member("getHostname", "url_get_hostname", [url()], text.clone(), hostname);
    library.member("getPort", "url_get_port", [url()], text.clone(), port);
    library.member("getEscapedPath", "url_get_escaped_path", [url()], text.clone(), path);
    library.member("getQuery", "url_get_query", [url()], Type::map(text, Type::list(Type::String)), query);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn parse<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text)] = args else { return Err(Fault::no_overload()) };
    let complain = |reason| Fault::error(format!("URL parse error during conversion from string: {reason}"));
    Ok(Value::Url(Arc::new(Url::parse(text).map_err(complain)?)))
}

fn is_url<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text)] = args else { return Err(Fault::no_overload()) };
    Ok(Value::Bool(Url::parse(text).is_ok()))
}

fn url<'v>(args: &'v [Value<'_>]) -> std::result::Result<&'v Url, Fault> {
    match args {
        [Value::Url(url)] => Ok(url),
        _ => Err(Fault::no_overload()),
    }
}

fn scheme<'a>(args: &[Value<'a>]) -> Result<'a> {
    url(args).map(|url| Value::string(url.scheme()))
}

fn host<'a>(args: &[Value<'a>]) -> Result<'a> {
    url(args).map(|url| Value::string(url.host()))
}

fn hostname<'a>(args: &[Value<'a>]) -> Result<'a> {
    url(args).map(|url| Value::string(url.hostname()))
}

fn port<'a>(args: &[Value<'a>]) -> Result<'a> {
    url(args).map(|url| Value::string(url.port()))
}

fn path<'a>(args: &[Value<'a>]) -> Result<'a> {
    url(args).map(|url| Value::string(url.escaped_path()))
}

fn query<'a>(args: &[Value<'a>]) -> Result<'a> {
    let mut entries = Entries::default();
    for (key, values) in url(args)?.query() {
        let values = values.into_iter().map(Value::string).collect();
        entries.insert(Value::string(key), Value::list(values)).ok_or_else(Fault::no_overload)?;
    }
    Ok(Value::Map(Map::Owned(Arc::new(entries))))
}
