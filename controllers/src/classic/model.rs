//! What the emulated vendors understand of parameters, and which devices they choose.
//!
//! Parameters are a vendor's business. These are understood, in `spec` of a custom resource or in `data` of a ConfigMap:
//! `count` (how many devices), `selector` (what they must be like) and `profile` (a slot of a device instead of all of it).

use std::collections::BTreeMap;

use api::{
    classic::HandleDevice,
    hub::{Attribute, Device},
};
use serde_json::Value;

/// Most devices of one claim.
const COUNT_MAX: u64 = 64;
/// Frame buffer of a GPU that does not say how much it has, in GB.
const MEMORY_DEFAULT: u64 = 80;

/// What the parameters of a class and a claim ask for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    count: usize,
    selector: Value,
    profile: Option<String>,
    /// Several pods may use it at once.
    pub(super) shareable: bool,
}

impl Wish {
    /// Reads the parameters.
    ///
    /// # Errors
    /// A value makes no sense; the text says which.
    pub(super) fn read(class: Option<&Value>, claim: Option<&Value>) -> Result<Self, String> {
        let part = |parameters: Option<&Value>, member: &str| {
            let parameters = parameters?;
            let found = ["spec", "data"].iter().find_map(|part| parameters.get(part)?.get(member));
            found.filter(|value| !value.is_null()).cloned()
        };
        let count = match part(claim, "count") {
            None => 1,
            Some(count) => {
                let number = count.as_u64().or_else(|| count.as_str()?.parse().ok());
                number.filter(|number| (1..=COUNT_MAX).contains(number)).ok_or_else(|| {
                    format!("invalid number of devices requested: {count}: must be from 1 to {COUNT_MAX}")
                })?
            }
        };
        let profile = part(claim, "profile").and_then(|profile| profile.as_str().map(str::to_owned));
        if let Some(profile) = profile.as_deref()
            && frame_buffer(profile).is_none()
        {
            return Err(format!("unknown profile {profile:?}"));
        }
        // Spelled in two ways by those who wrote drivers.
        let shareable = ["shareable", "sharable"].iter().any(|member| part(class, member) == Some(Value::Bool(true)));
        Ok(Self {
            count: usize::try_from(count).unwrap_or(1),
            selector: part(claim, "selector").unwrap_or_default(),
            profile,
            shareable,
        })
    }
}

/// The gigabytes in the name of a vGPU profile: `A100DX-40C` has 40.
fn frame_buffer(profile: &str) -> Option<u64> {
    let (_, size) = profile.rsplit_once('-')?;
    let digits: String = size.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|size| *size > 0)
}

/// What claims hold of the devices of one driver on one node.
pub(super) type Held = BTreeMap<String, Vec<HandleDevice>>;

/// Devices, or slots of them, for a claim; `None` when there are not enough.
pub(super) fn choose(wish: &Wish, uid: &str, devices: &[Device], held: &Held) -> Option<Vec<HandleDevice>> {
    let of_device =
        |name: &str| -> Vec<&HandleDevice> { held.values().flatten().filter(|holding| holding.name == name).collect() };
    let mut chosen: Vec<HandleDevice> = Vec::with_capacity(wish.count);
    for device in devices.iter().filter(|device| matches(&wish.selector, device)) {
        let users = of_device(&device.name).len();
        let free = match &wish.profile {
            None => usize::from(users == 0),
            // A GPU that is cut into slots is cut into equal ones.
            Some(profile) => {
                let alike = of_device(&device.name).iter().all(|one| one.profile.as_ref() == Some(profile));
                if alike { slots(device, profile).saturating_sub(users) } else { 0 }
            }
        };
        for _ in 0..free {
            if chosen.len() == wish.count {
                break;
            }
            let mdev_uuid = wish.profile.as_ref().map(|_| mediated(uid, chosen.len()));
            chosen.push(HandleDevice { name: device.name.clone(), profile: wish.profile.clone(), mdev_uuid });
        }
    }
    (chosen.len() == wish.count).then_some(chosen)
}

/// How many slots of a profile a device has.
fn slots(device: &Device, profile: &str) -> usize {
    const GIGABYTE: u64 = 1 << 30;
    let memory = device.capacity.iter().find(|(name, _)| name.rsplit('/').next() == Some("memory"));
    let memory = memory.map(|(_, capacity)| capacity.value.clone()).or_else(|| match attribute(device, "memory") {
        Some(Attribute::Quantity(amount)) => Some(amount.clone()),
        _ => None,
    });
    let gigabytes =
        memory.and_then(|amount| u64::try_from(amount.as_i64()?).ok()).map(|bytes| bytes.div_ceil(GIGABYTE));
    let size = frame_buffer(profile).unwrap_or(u64::MAX);
    usize::try_from(gigabytes.unwrap_or(MEMORY_DEFAULT) / size).unwrap_or(0)
}

/// The UUID of the mediated device of a slot: that of the claim, with the number of the slot added to its last byte.
fn mediated(uid: &str, slot: usize) -> String {
    let last = uid.len().checked_sub(2).and_then(|at| Some((uid.get(..at)?, uid.get(at..)?)));
    let next = last.and_then(|(rest, byte)| {
        let byte = u8::from_str_radix(byte, 16).ok()?;
        Some(format!("{rest}{:02x}", byte.wrapping_add(u8::try_from(slot).ok()?)))
    });
    next.unwrap_or_else(|| format!("{uid}-{slot}"))
}

/// Whether a device is what a selector asks for: values by attribute, `*` in texts for any characters, `andExpression` and
/// `orExpression` for lists of selectors.
fn matches(selector: &Value, device: &Device) -> bool {
    selector.as_object().into_iter().flatten().all(|(name, wanted)| match (name.as_str(), wanted) {
        ("andExpression", Value::Array(parts)) => parts.iter().all(|part| matches(part, device)),
        ("orExpression", Value::Array(parts)) => parts.iter().any(|part| matches(part, device)),
        _ => attribute(device, name).is_some_and(|value| is(value, wanted)),
    })
}

fn attribute<'a>(device: &'a Device, name: &str) -> Option<&'a Attribute> {
    let own = device.attributes.get(name);
    own.or_else(|| {
        device.attributes.iter().find(|(key, _)| key.rsplit('/').next() == Some(name)).map(|(_, value)| value)
    })
}

fn is(value: &Attribute, wanted: &Value) -> bool {
    match value {
        Attribute::Int(value) => wanted.as_i64() == Some(*value),
        Attribute::Bool(value) => wanted.as_bool() == Some(*value),
        Attribute::String(value) | Attribute::Version(value) => {
            wanted.as_str().is_some_and(|pattern| glob(pattern, value))
        }
        _ => false,
    }
}

/// Whether a text is what a pattern says, in which `*` stands for any characters. Case does not matter.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let (last, middle) = parts.split_last().map_or(("", &[][..]), |(last, middle)| (*last, middle));
    for part in middle {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gpu(name: &str, product: &str) -> Device {
        let attributes = [("productName".to_owned(), Attribute::String(product.to_owned()))].into();
        Device { name: name.to_owned(), attributes, ..Device::default() }
    }

    fn names(wish: &Wish, held: &Held) -> Option<Vec<String>> {
        let devices = [gpu("gpu-0", "NVIDIA A100"), gpu("gpu-1", "NVIDIA H100")];
        choose(wish, "0000-00fe", &devices, held).map(|chosen| chosen.into_iter().map(|one| one.name).collect())
    }

    fn wish(spec: Value) -> Wish {
        Wish::read(None, Some(&json!({"spec": spec}))).expect("a wish")
    }

    #[test]
    fn whole_devices_and_slots_are_counted() {
        let one = |name: &str, profile: Option<&str>| {
            vec![HandleDevice { name: name.into(), profile: profile.map(str::to_owned), mdev_uuid: None }]
        };
        let none = Held::new();
        assert_eq!(names(&wish(json!({})), &none), Some(vec!["gpu-0".to_owned()]));
        assert_eq!(names(&wish(json!({"count": 2})), &none), Some(vec!["gpu-0".to_owned(), "gpu-1".to_owned()]));
        assert_eq!(names(&wish(json!({"count": 3})), &none), None);
        assert_eq!(names(&wish(json!({"selector": {"productName": "*h100"}})), &none), Some(vec!["gpu-1".to_owned()]));
        let half = Held::from([("c".to_owned(), one("gpu-0", Some("A100DX-40C")))]);
        let slot = wish(json!({"profile": "A100DX-40C"}));
        assert_eq!(names(&slot, &half), Some(vec!["gpu-0".to_owned()]));
        assert_eq!(names(&wish(json!({"profile": "A100DX-20C"})), &half), Some(vec!["gpu-1".to_owned()]));
        assert_eq!(names(&wish(json!({})), &half), Some(vec!["gpu-1".to_owned()]));
        let full = Held::from([
            ("c".to_owned(), one("gpu-0", Some("A100DX-40C"))),
            ("d".to_owned(), one("gpu-0", Some("A100DX-40C"))),
            ("e".to_owned(), one("gpu-1", None)),
        ]);
        assert_eq!(names(&slot, &full), None);
        assert_eq!((mediated("0000-00fe", 1), mediated("0000-00ff", 1)), ("0000-00ff".into(), "0000-0000".into()));
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for spec in
            [json!({"count": 0}), json!({"count": "many"}), json!({"profile": "big"}), json!({"profile": "A-0C"})]
        {
            assert!(Wish::read(None, Some(&json!({"spec": spec}))).is_err(), "{spec}");
        }
        let map = json!({"data": {"count": "2"}});
        let class = json!({"spec": {"shareable": true}});
        let wish = Wish::read(Some(&class), Some(&map)).expect("a wish");
        assert_eq!((wish.count, wish.shareable), (2, true));
    }

    #[test]
    fn patterns_match_as_shells_do() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("*b*", "abc", true),
            ("ABC", "abc", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "acb", false),
            ("", "a", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
