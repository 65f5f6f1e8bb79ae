//! CEL as Kubernetes runs it: parse, type check, static cost, budgeted evaluation, libraries.
