//! A schema tree and what one computes from it: defaults, pruning, validation, OpenAPI.
