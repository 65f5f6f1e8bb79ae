//! `Mode`: the ways to decide, by the names that `--authorization-mode` knows.

use std::{fmt, str::FromStr};

/// One way to decide what a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everybody may do everything.
    AlwaysAllow,
    /// Nobody may do anything, except the group `system:masters`.
    AlwaysDeny,
    /// What roles and bindings say.
    Rbac,
    /// What the policies of a file say.
    Abac,
    /// What another server says.
    Webhook,
    /// What the kubelet of a node needs, for users `system:node:<name>` in the group `system:nodes`.
    Node,
}

/// Modes that are known, by name.
const MODES: [(&str, Mode); 6] = [
    ("ABAC", Mode::Abac),
    ("AlwaysAllow", Mode::AlwaysAllow),
    ("AlwaysDeny", Mode::AlwaysDeny),
    ("Node", Mode::Node),
    ("RBAC", Mode::Rbac),
    ("Webhook", Mode::Webhook),
];

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = MODES.iter().find(|(name, _)| *name == text);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names: Vec<&str> = MODES.iter().map(|(name, _)| *name).collect();
            format!("{text:?} is no authorization mode here; there are {}", names.join(", "))
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = MODES.iter().find(|(_, mode)| mode == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_survives_its_name() {
        for (name, mode) in MODES {
            assert_eq!((name.parse(), mode.to_string().as_str()), (Ok(mode), name));
        }
        assert!("Nobody".parse::<Mode>().is_err());
    }
}
