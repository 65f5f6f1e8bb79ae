//! The envelope of lists, around items that are encoded already.

use serde_json::{Value, json};

use super::shown::Shown;
use crate::json::{self, Style};

/// `metadata` of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListMeta {
    /// The revision at which the list is a consistent snapshot.
    pub(super) resource_version: String,
    /// The token for the next page, when there is one.
    pub(super) continue_: Option<String>,
    /// How many items come after this page, where that is known.
    pub(super) remaining_item_count: Option<u64>,
}

impl ListMeta {
    /// A complete list at a revision.
    pub(super) fn at(resource_version: impl Into<String>) -> Self {
        Self { resource_version: resource_version.into(), ..Self::default() }
    }

    /// It as a value.
    pub(super) fn value(&self) -> Value {
        let mut meta = json!({"resourceVersion": self.resource_version});
        if let Some(token) = &self.continue_ {
            meta["continue"] = json!(token);
        }
        if let Some(count) = self.remaining_item_count {
            meta["remainingItemCount"] = json!(count);
        }
        meta
    }

    /// Appends it as JSON, members in the order of the Go struct.
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        let mut member = |name: &str, text: &[u8]| {
            if out.len() > start {
                out.push(b',');
            }
            json::write_string(out, name);
            out.push(b':');
            out.extend_from_slice(text);
        };
        if !self.resource_version.is_empty() {
            member("resourceVersion", &json::encode(&json!(self.resource_version)));
        }
        if let Some(token) = &self.continue_ {
            member("continue", &json::encode(&json!(token)));
        }
        if let Some(count) = self.remaining_item_count {
            member("remainingItemCount", count.to_string().as_bytes());
        }
        out.push(b'}');
    }
}

/// A list of whole objects. Items of built-in kinds carry no `kind` and `apiVersion`; items of custom resources do.
pub(super) fn encode(
    api_version: &str,
    list_kind: &str,
    style: Style,
    items: impl IntoIterator<Item = Shown>,
    meta: &ListMeta,
) -> Vec<u8> {
    // What comes before and after the items is short; a list that grows would be copied again and again.
    let items: Vec<Shown> = items.into_iter().collect();
    let size: usize = items.iter().map(|item| item.head.len() + item.tail.len() + 2).sum();
    let mut out = Vec::with_capacity(size + 1024);
    match style {
        Style::BuiltIn => {
            out.extend_from_slice(&json::head(api_version, list_kind, style));
            out.extend_from_slice(b"\"metadata\":");
            meta.append(&mut out);
            out.extend_from_slice(b",\"items\":[");
            append_items(&mut out, items, |out, item| {
                out.push(b'{');
                out.extend_from_slice(&item.tail);
            });
            out.extend_from_slice(b"]}");
        }
        Style::Custom => {
            out.extend_from_slice(b"{\"apiVersion\":");
            json::write_string(&mut out, api_version);
            out.extend_from_slice(b",\"items\":[");
            append_items(&mut out, items, |out, item| {
                out.extend_from_slice(&item.head);
                out.extend_from_slice(&item.tail);
            });
            out.extend_from_slice(b"],\"kind\":");
            json::write_string(&mut out, list_kind);
            out.extend_from_slice(b",\"metadata\":");
            let mut metadata = json!({
                "continue": meta.continue_.as_deref().unwrap_or_default(),
                "resourceVersion": meta.resource_version,
            });
            if let Some(count) = meta.remaining_item_count {
                metadata["remainingItemCount"] = json!(count);
            }
            json::write(&mut out, &metadata);
            out.push(b'}');
        }
    }
    out
}

fn append_items(out: &mut Vec<u8>, items: impl IntoIterator<Item = Shown>, write: impl Fn(&mut Vec<u8>, &Shown)) {
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(out, &item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn items_carry_their_kind_only_as_custom_resources() {
        let item = || Shown::of_document(&serde_json::json!({"metadata": {}}), "v1", "Pod", Style::Custom);
        let meta =
            ListMeta { resource_version: "5".into(), continue_: Some("t".into()), remaining_item_count: Some(2) };
        assert_eq!(
            String::from_utf8_lossy(&encode("v1", "PodList", Style::BuiltIn, [item(), item()], &meta)),
            r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5","continue":"t","remainingItemCount":2},"items":[{"metadata":{}},{"metadata":{}}]}"#
        );
        assert_eq!(
            String::from_utf8_lossy(&encode("a/v1", "FooList", Style::Custom, [item()], &ListMeta::at("5"))),
            r#"{"apiVersion":"a/v1","items":[{"apiVersion":"v1","kind":"Pod","metadata":{}}],"kind":"FooList","metadata":{"continue":"","resourceVersion":"5"}}"#
        );
        assert_eq!(
            String::from_utf8_lossy(&encode("v1", "PodList", Style::BuiltIn, [], &ListMeta::default())),
            r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}"#
        );
    }
}
