//! What a control plane does around the API server: claims from templates, garbage, workloads.
