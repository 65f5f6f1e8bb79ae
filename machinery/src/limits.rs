//! Every bound of the wire, each with where it comes from.

/// Largest request body: kube-apiserver's `MaxRequestBodyBytes` default.
pub const REQUEST_BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Largest stored object: etcd's default request limit.
pub const OBJECT_BYTES_MAX: usize = 1536 * 1024;

/// Deepest nesting of a JSON or YAML document that is read. Upstream allows 10 000; a document of an API never comes
/// near this, and recursion over it must fit a thread's stack.
pub const DOCUMENT_DEPTH_MAX: usize = 128;

/// Most operations of one JSON patch: kube-apiserver's `maxJSONPatchOperations`.
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;

/// Most bytes that annotations may hold together: apimachinery's `TotalAnnotationSizeLimitB`.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Most bytes of data in a ConfigMap or Secret: core validation's `MaxSecretSize`.
pub const CONFIG_DATA_BYTES_MAX: usize = 1024 * 1024;
