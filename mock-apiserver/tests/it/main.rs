//! The server as clients see it: over its router, and with the kubectls that are installed.

mod access;
mod admission_policies;
mod admission_robustness;
mod admission_webhooks;
mod apply;
mod claim_status;
mod client;
mod crd;
mod create;
mod delete;
mod garbage;
mod generations;
mod kubectl;
mod list;
mod namespaces;
mod patch;
mod pod_security;
mod pods;
mod quotas;
mod releases;
mod scale;
mod services;
mod table;
mod update;
mod watch;
mod wire;
