//! Taints and tolerations of devices (KEP-5055).

use api::hub::{Slice, Taint, TaintRule, Toleration};

fn wants(restriction: Option<&String>, name: &str) -> bool {
    restriction.is_none_or(|wanted| wanted == name)
}

/// Appends the taints of the rules to the devices that they match, in the order of the rules, duplicates included.
///
/// Each part of a rule's selector that is given must match. A rule without any matches every device: the scheduler
/// reads an absent selector like an empty one, although its documentation says otherwise.
pub fn apply_rules(slice: &mut Slice, rules: &[TaintRule]) {
    for rule in rules {
        if !wants(rule.driver.as_ref(), &slice.driver) || !wants(rule.pool.as_ref(), &slice.pool) {
            continue;
        }
        for device in &mut slice.devices {
            if wants(rule.device.as_ref(), &device.name) {
                device.taints.push(rule.taint.clone());
            }
        }
    }
}

/// The first taint that keeps a device from being used under these tolerations. Only the effects `NoSchedule` and
/// `NoExecute` do.
pub fn blocking_taint<'a>(taints: &'a [Taint], tolerations: &[Toleration]) -> Option<&'a Taint> {
    taints.iter().find(|taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !tolerations.iter().any(|t| tolerates(t, taint))
    })
}

/// True when the toleration accepts the taint.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    if !toleration.effect.is_empty() && toleration.effect != taint.effect {
        return false;
    }
    if !toleration.key.is_empty() && toleration.key != taint.key {
        return false;
    }
    match toleration.operator.as_str() {
        "" | "Equal" => toleration.value == taint.value,
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::hub::Device;

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint { key: key.into(), value: value.into(), effect: effect.into() }
    }

    fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
        Toleration {
            key: key.into(),
            operator: operator.into(),
            value: value.into(),
            effect: effect.into(),
            toleration_seconds: None,
        }
    }

    #[test]
    fn tolerations_match_as_they_do_for_nodes() {
        let degraded = taint("health", "degraded", "NoSchedule");
        for (given, expected) in [
            (toleration("health", "Equal", "degraded", "NoSchedule"), true),
            (toleration("health", "", "degraded", ""), true),
            (toleration("health", "Exists", "", ""), true),
            (toleration("", "Exists", "", ""), true),
            (toleration("health", "Exists", "", "NoExecute"), false),
            (toleration("health", "Equal", "other", ""), false),
            (toleration("other", "Exists", "", ""), false),
            (toleration("health", "Matches", "degraded", ""), false),
        ] {
            assert_eq!(tolerates(&given, &degraded), expected, "{given:?}");
            assert_eq!(blocking_taint(std::slice::from_ref(&degraded), &[given]).is_none(), expected);
        }
        assert_eq!(blocking_taint(&[taint("a", "", "None"), taint("b", "", "Unheard")], &[]), None);
    }

    #[test]
    fn rules_taint_what_they_select() {
        let named = |name: &str| Device { name: name.into(), ..Device::default() };
        let mut slice = Slice {
            driver: "d".into(),
            pool: "p".into(),
            devices: vec![named("one"), named("two")],
            ..Slice::default()
        };
        let rule = |driver: Option<&str>, device: Option<&str>, key: &str| TaintRule {
            driver: driver.map(str::to_owned),
            device: device.map(str::to_owned),
            pool: None,
            taint: taint(key, "", "NoSchedule"),
        };
        apply_rules(
            &mut slice,
            &[rule(Some("other"), None, "no"), rule(Some("d"), Some("two"), "first"), rule(None, None, "second")],
        );
        let keys = |i: usize| slice.devices[i].taints.iter().map(|t| t.key.as_str()).collect::<Vec<_>>();
        assert_eq!(keys(0), ["second"]);
        assert_eq!(keys(1), ["first", "second"]);
    }
}
