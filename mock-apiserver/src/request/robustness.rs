//! No request is too strange to be read, and what is read means what was written.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Any JSON, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z0-9./-]{1,8}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_path_is_read(path in "(/|%|[a-z0-9.:~]|\\PC){0,60}") {
        let _ = parse_path(&path);
    }

    #[test]
    fn the_path_of_an_object_names_it(
        group in "[a-z]{1,8}(\\.[a-z]{1,5})?", version in "v[1-9](alpha1|beta2)?", namespace in "[a-z0-9-]{1,10}",
        plural in "[a-z]{1,10}s", name in "[ -.0-~]{1,20}", subresource in "(|status|scale)",
    ) {
        let encoded = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}/{encoded}/{subresource}");
        let Some(Location::Resource(info)) = parse_path(&path) else { panic!("{path}") };
        prop_assert_eq!((&info.group, &info.version, &info.namespace), (&group, &version, &namespace));
        prop_assert_eq!((&info.resource, &info.name, &info.subresource), (&plural, &name, &subresource));
        prop_assert!(info.rest.is_empty() && !info.watch);
    }

    #[test]
    fn any_query_is_read(text in "([&=%+]|[a-zA-Z0-9]|\\PC){0,80}") {
        let query = Query::parse(&text);
        let _ = (ListOptions::parse(&query), WatchOptions::parse(&query, true), DeleteOptions::from_query(&query));
        let _ = (WriteOptions::parse(&query, Write::Patch), parse_get_revision(&query), check_log_options("p", &query));
    }

    #[test]
    fn options_with_strange_values_are_read(
        name in prop_oneof![
            Just("limit"), Just("resourceVersion"), Just("timeoutSeconds"), Just("watch"), Just("sendInitialEvents"),
            Just("resourceVersionMatch"), Just("continue"), Just("gracePeriodSeconds"), Just("dryRun"), Just("force"),
            Just("propagationPolicy"), Just("fieldValidation"), Just("fieldManager"), Just("tailLines"), Just("sinceTime"),
        ],
        value in "[ -~]{0,24}",
    ) {
        let encoded = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC);
        let query = Query::parse(&format!("{name}={encoded}"));
        prop_assert_eq!(query.get(name), Some(value.as_str()));
        let _ = (ListOptions::parse(&query), WatchOptions::parse(&query, true), DeleteOptions::from_query(&query));
        let _ = (WriteOptions::parse(&query, Write::Patch), check_log_options("p", &query));
    }

    #[test]
    fn any_delete_options_are_read(body in any_json(), member in prop_oneof![
        Just("dryRun"), Just("gracePeriodSeconds"), Just("propagationPolicy"), Just("preconditions"), Just("orphanDependents"),
    ]) {
        let _ = DeleteOptions::from_body(&body);
        let _ = DeleteOptions::from_body(&json!({member: body}));
    }

    #[test]
    fn json_is_read_as_it_was_written(document in any_json()) {
        let parsed = parse_json(document.to_string().as_bytes());
        prop_assert_eq!(parsed.map(|parsed| (parsed.value, parsed.duplicates)), Ok((document, Vec::new())));
    }

    #[test]
    fn any_body_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "([\\[\\]{}:,\"'&*!|>-]|[a-z0-9 \n]){0,120}") {
        let _ = (parse_json(&bytes), parse_yaml(&bytes));
        let _ = (parse_json(text.as_bytes()), parse_yaml(text.as_bytes()));
    }
}
