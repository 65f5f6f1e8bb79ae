//! The Kubernetes wire in memory: request, handler, registry, storage, response.
