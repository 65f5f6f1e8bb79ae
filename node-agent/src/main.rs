//! The `node-agent` command: fake kubelets that prepare devices which do not exist.

fn main() {}
