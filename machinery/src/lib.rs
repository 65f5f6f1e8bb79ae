//! The vocabulary of Kubernetes, pure: names, metadata, Status and field errors, selectors, quantities, YAML, tables.
