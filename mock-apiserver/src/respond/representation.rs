//! Which representation of an answer a client gets: encoding, transformation and layout, negotiated from its headers.

use http::{HeaderMap, header};
use machinery::status::{Details, Reason, Status};

use super::{
    accept::{self, Clause},
    table::IncludeObject,
};
use crate::{catalog::Endpoint, json::Style, protobuf, request::Query};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl Encoding {
    /// The encodings in the order in which a wildcard tries them.
    pub(crate) const ALL: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];

    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The media type of a stream of watch events; YAML has none.
    pub(crate) fn stream_media_type(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("application/json"),
            Self::Yaml => None,
            Self::Protobuf => Some("application/vnd.kubernetes.protobuf;stream=watch"),
        }
    }

    /// The media type below `application`.
    pub(crate) fn subtype(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Protobuf => "vnd.kubernetes.protobuf",
        }
    }
}

/// A version of `meta.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MetaVersion {
    /// `meta.k8s.io/v1`.
    V1,
    /// `meta.k8s.io/v1beta1`.
    V1Beta1,
}

impl MetaVersion {
    /// As `apiVersion` spells it.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What becomes of the object before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transform {
    /// Nothing.
    None,
    /// A Table for people.
    Table(MetaVersion),
    /// Only the metadata of one object.
    PartialMetadata(MetaVersion),
    /// Only the metadata of every object of a list.
    PartialMetadataList(MetaVersion),
}

/// What kind of answer is being negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One object.
    Object,
    /// A list.
    List,
    /// A watch.
    Watch,
}

/// What an endpoint can answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// A built-in kind: JSON, YAML and protobuf; Tables and metadata.
    BuiltIn,
    /// A built-in kind that is only created (reviews, bindings): as the others, but nothing makes rows of it.
    CreatedOnly,
    /// A kind without protobuf messages: JSON and YAML; Tables; metadata in all three encodings.
    Custom,
    /// No object of a served kind (discovery, Status): every encoding, nothing transformed.
    Plain,
}

impl Offer {
    /// What an endpoint can answer with. Whether a kind has messages is looked up only for clients that ask for them.
    fn of(endpoint: &Endpoint, headers: &HeaderMap) -> Self {
        let has_messages = || {
            let kind = endpoint.kind();
            protobuf::supports(&kind.api_version(), &kind.kind)
        };
        match endpoint.resource.style() {
            Style::Custom => Self::Custom,
            Style::BuiltIn if endpoint.is_only_created() => Self::CreatedOnly,
            Style::BuiltIn if accept_header(headers).is_none_or(|accept| !accept.contains("protobuf")) => Self::BuiltIn,
            Style::BuiltIn => {
                if has_messages() {
                    Self::BuiltIn
                } else {
                    Self::Custom
                }
            }
        }
    }

    fn allows(self, encoding: Encoding, target: Target) -> bool {
        match (self, target) {
            (_, Target::Unknown) | (Self::Plain, Target::Known(_)) => false,
            (Self::CreatedOnly, Target::Known(Transform::Table(_))) => false,
            (Self::Custom, Target::Absent) => encoding != Encoding::Protobuf,
            (_, Target::Absent) => true,
            (_, Target::Known(Transform::Table(_))) => encoding != Encoding::Protobuf,
            (_, Target::Known(_)) => true,
        }
    }
}

/// What a clause asks the object to become.
#[derive(Clone, Copy)]
enum Target {
    Absent,
    Known(Transform),
    Unknown,
}

/// The representation of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Representation {
    /// How it is written.
    pub(crate) encoding: Encoding,
    /// What the object becomes before.
    pub(crate) transform: Transform,
    /// JSON is indented, for people.
    pub(crate) pretty: bool,
    /// What comes with the rows of a Table.
    pub(crate) include: IncludeObject,
    /// The client takes compressed answers.
    pub(crate) gzip: bool,
}

impl Representation {
    /// Compact JSON of the object itself: what a client gets that asks for nothing, and for errors when nothing fits.
    pub(crate) const JSON: Self = Self {
        encoding: Encoding::Json,
        transform: Transform::None,
        pretty: false,
        include: IncludeObject::Metadata,
        gzip: false,
    };

    /// The representation of an error, of a Status, of any document that is no object of a served kind: what the client
    /// accepts, and JSON where that cannot be had.
    pub(crate) fn of_document(headers: &HeaderMap, query: &Query) -> Self {
        // Where nothing fits, upstream writes plain JSON, which it always indents.
        negotiate_document(headers, query).unwrap_or(Self { pretty: true, ..Self::JSON })
    }

    /// True when the client sees rows and columns.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.transform, Transform::Table(_))
    }

    /// True when the client gets the object itself as a protobuf message.
    pub(super) fn is_whole_message(&self) -> bool {
        self.transform == Transform::None && self.encoding == Encoding::Protobuf
    }

    /// The same encoding and layout without a transformation.
    pub(crate) fn untransformed(self) -> Self {
        Self { transform: Transform::None, ..self }
    }
}

/// The representation of a document that is no object of a served kind.
pub(super) fn negotiate_document(headers: &HeaderMap, query: &Query) -> Result<Representation, Status> {
    check_media_ranges(headers, false)?;
    let chosen = choose(headers, Offer::Plain)
        .ok_or_else(|| Status::not_acceptable(&Encoding::ALL.map(Encoding::media_type)))?;
    Ok(Representation { pretty: chosen.pretty || wants_pretty(headers, query), gzip: accepts_gzip(headers), ..chosen })
}

/// The first clause of `Accept` that the endpoint can satisfy. A clause with an unsupported parameter is passed over, as the API
/// conventions ask ("Receiving resources as Tables").
pub(crate) fn negotiate(
    headers: &HeaderMap,
    query: &Query,
    shape: Shape,
    endpoint: &Endpoint,
) -> Result<Representation, Status> {
    let style = endpoint.resource.style();
    if style == Style::BuiltIn {
        check_media_ranges(headers, shape != Shape::Object)?;
    }
    let chosen = choose(headers, Offer::of(endpoint, headers));
    let mut chosen = chosen.ok_or_else(|| Status::not_acceptable(&Encoding::ALL.map(Encoding::media_type)))?;
    if shape == Shape::Watch {
        if chosen.encoding.stream_media_type().is_none() {
            return Err(Status::not_acceptable(&STREAM_MEDIA_TYPES));
        }
        return with_options(Representation { pretty: false, ..chosen }, query);
    }
    chosen.pretty |= wants_pretty(headers, query);
    chosen.gzip = accepts_gzip(headers);
    let (asked, found) = match (shape, chosen.transform) {
        (Shape::Object, Transform::PartialMetadataList(_)) => ("PartialObjectMetadataList", "not a list"),
        (Shape::List, Transform::PartialMetadata(_)) => ("PartialObjectMetadata", "a list"),
        _ => return with_options(chosen, query),
    };
    let go_type = go_type(endpoint, shape);
    let message = format!("you requested {asked}, but the requested object is {found} ({go_type})");
    Err(Status::failure(Reason::NotAcceptable, message))
}

fn with_options(mut chosen: Representation, query: &Query) -> Result<Representation, Status> {
    if chosen.is_table() {
        chosen.include = IncludeObject::parse(query.get("includeObject").unwrap_or_default())?;
    }
    Ok(chosen)
}

/// The name of upstream's own type, which its messages quote.
fn go_type(endpoint: &Endpoint, shape: Shape) -> String {
    let definition = endpoint.definition();
    let (kind, list) = match shape {
        Shape::Object => (&definition.kind, ""),
        Shape::List | Shape::Watch => (&definition.list_kind, "List"),
    };
    match (endpoint.resource.style(), definition.group.split('.').next()) {
        (Style::Custom, _) => format!("*unstructured.Unstructured{list}"),
        (Style::BuiltIn, None | Some("")) => format!("*core.{kind}"),
        (Style::BuiltIn, Some(package)) => format!("*{package}.{kind}"),
    }
}

const STREAM_MEDIA_TYPES: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// The refusal of a request whose `Accept` header holds none of the media types at all, whatever their parameters. Paths of
/// built-in kinds check this before anything else, and word it differently.
fn check_media_ranges(headers: &HeaderMap, list: bool) -> Result<(), Status> {
    let Some(header) = accept_header(headers) else { return Ok(()) };
    let clauses = accept::parse(header);
    // `application/*` is none of them: the router knows media types and `*/*`.
    let known = |clause: &accept::Clause| {
        clause.subtype != "*" && Encoding::ALL.iter().any(|encoding| clause.matches(encoding.subtype()))
    };
    if clauses.iter().any(|clause| known(clause) || clause.type_ == "*") {
        return Ok(());
    }
    let mut available = Encoding::ALL.map(Encoding::media_type).to_vec();
    if list {
        available.extend(STREAM_MEDIA_TYPES);
    }
    Err(unacceptable(&available))
}

/// 406 of a path that has these representations, in the words of the router.
fn unacceptable(available: &[&str]) -> Status {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {}", available.join(", "));
    Status::failure(Reason::NotAcceptable, message).with_details(Details::default())
}

/// Refuses a request that does not take `application/<subtype>`, for a path that has nothing else.
pub(crate) fn check_subtype(headers: &HeaderMap, subtype: &str) -> Result<(), Status> {
    let takes = |clause: &accept::Clause| clause.type_ == "*" || clause.subtype != "*" && clause.matches(subtype);
    match accept_header(headers) {
        Some(header) if !accept::parse(header).iter().any(takes) => {
            Err(unacceptable(&[&format!("application/{subtype}")]))
        }
        _ => Ok(()),
    }
}

fn accept_header(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).filter(|text| !text.trim().is_empty())
}

fn choose(headers: &HeaderMap, offer: Offer) -> Option<Representation> {
    let Some(header) = accept_header(headers) else { return Some(Representation::JSON) };
    accept::parse(header).iter().find_map(|clause| {
        Encoding::ALL
            .iter()
            .filter(|encoding| clause.matches(encoding.subtype()))
            .find_map(|&encoding| accept_clause(clause, encoding, offer))
    })
}

fn accept_clause(clause: &Clause, encoding: Encoding, offer: Offer) -> Option<Representation> {
    let streamable = match clause.parameter("stream") {
        "" => true,
        "watch" => encoding.stream_media_type().is_some(),
        _ => false,
    };
    let target = target(clause);
    if !streamable || !clause.parameter("sv").is_empty() || !offer.allows(encoding, target) {
        return None;
    }
    let transform = match target {
        Target::Known(transform) => transform,
        Target::Absent | Target::Unknown => Transform::None,
    };
    let pretty = clause.parameter("pretty") == "1";
    Some(Representation { encoding, transform, pretty, ..Representation::JSON })
}

fn target(clause: &Clause) -> Target {
    let (kind, group, version) = (clause.parameter("as"), clause.parameter("g"), clause.parameter("v"));
    if clause.parameters.iter().all(|(key, _)| !matches!(key.as_str(), "as" | "g" | "v")) {
        return Target::Absent;
    }
    let version = match (group, version) {
        ("meta.k8s.io", "v1") => MetaVersion::V1,
        ("meta.k8s.io", "v1beta1") => MetaVersion::V1Beta1,
        _ => return Target::Unknown,
    };
    match kind {
        "Table" => Target::Known(Transform::Table(version)),
        "PartialObjectMetadata" => Target::Known(Transform::PartialMetadata(version)),
        "PartialObjectMetadataList" => Target::Known(Transform::PartialMetadataList(version)),
        _ => Target::Unknown,
    }
}

/// `?pretty=` decides when it is given; else tools that a person holds get indented JSON.
fn wants_pretty(headers: &HeaderMap, query: &Query) -> bool {
    match query.get("pretty").filter(|value| !value.is_empty()) {
        Some(value) => matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True"),
        None => headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|agent| ["curl", "Wget", "Mozilla/5.0"].iter().any(|person| agent.starts_with(person))),
    }
}

/// True when the client takes gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|text| {
        text.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            matches!(name.trim(), "gzip" | "*") && !matches!(weight.trim(), "q=0" | "q=0.0")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(header::ACCEPT, accept.parse().expect("a header value"));
        }
        headers
    }

    fn chosen(accept: &str, offer: Offer) -> Option<(Encoding, Transform)> {
        let found = choose(&headers(accept), offer)?;
        Some((found.encoding, found.transform))
    }

    #[test]
    fn the_first_clause_that_fits_wins() {
        use Encoding::{Json, Protobuf, Yaml};
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let old_table = "application/json;as=Table;v=v1beta1;g=meta.k8s.io";
        let partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
        let kubectl = format!("{table},{old_table},application/json");
        for (accept, offer, expected) in [
            ("", Offer::BuiltIn, Some((Json, Transform::None))),
            ("*/*", Offer::BuiltIn, Some((Json, Transform::None))),
            ("application/yaml", Offer::Custom, Some((Yaml, Transform::None))),
            (kubectl.as_str(), Offer::Custom, Some((Json, Transform::Table(MetaVersion::V1)))),
            (kubectl.as_str(), Offer::Plain, Some((Json, Transform::None))),
            (old_table, Offer::BuiltIn, Some((Json, Transform::Table(MetaVersion::V1Beta1)))),
            (table, Offer::Plain, None),
            (table, Offer::CreatedOnly, None),
            (partial, Offer::CreatedOnly, Some((Protobuf, Transform::PartialMetadata(MetaVersion::V1)))),
            (kubectl.as_str(), Offer::CreatedOnly, Some((Json, Transform::None))),
            ("application/vnd.kubernetes.protobuf,application/json", Offer::BuiltIn, Some((Protobuf, Transform::None))),
            ("application/vnd.kubernetes.protobuf,application/json", Offer::Custom, Some((Json, Transform::None))),
            ("application/vnd.kubernetes.protobuf", Offer::Custom, None),
            (partial, Offer::Custom, Some((Protobuf, Transform::PartialMetadata(MetaVersion::V1)))),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", Offer::BuiltIn, None),
            ("application/json;as=Nothing;v=v1;g=meta.k8s.io", Offer::BuiltIn, None),
            ("application/json;v=v1", Offer::BuiltIn, None),
            ("application/cbor;q=1,application/json;q=0.9", Offer::BuiltIn, Some((Json, Transform::None))),
            ("text/html", Offer::BuiltIn, None),
        ] {
            assert_eq!(chosen(accept, offer), expected, "{accept} {offer:?}");
        }
    }

    #[test]
    fn people_get_indented_json_unless_they_say_otherwise() {
        for (agent, query, expected) in [
            ("curl/8", "", true),
            ("curl/8", "pretty=false", false),
            ("kubectl/v1.33", "", false),
            ("kubectl/v1.33", "limit=5&pretty=true", true),
            ("kubectl/v1.33", "pretty=yes", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, agent.parse().expect("a header value"));
            let found = Representation::of_document(&headers, &Query::parse(query));
            assert_eq!(found.pretty, expected, "{agent} {query}");
        }
    }

    #[test]
    fn no_known_media_type_at_all_is_refused_with_the_list() {
        let refused = check_media_ranges(&headers("text/html"), false).expect_err("refused");
        assert_eq!(
            refused.message,
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
        assert_eq!(refused.code, 406);
        assert_eq!(check_media_ranges(&headers("text/html, */*;q=0.1"), true), Ok(()));
        assert_eq!(check_media_ranges(&headers("application/json;as=Bogus"), true), Ok(()));
    }

    #[test]
    fn gzip_is_taken_unless_it_weighs_nothing() {
        for (value, expected) in
            [("deflate, gzip;q=1.0", true), ("*", true), ("gzip;q=0, identity", false), ("br", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().expect("a header value"));
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
    }
}
