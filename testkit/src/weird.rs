//! Objects that are not as they should be: examples with parts of them changed at random.

use std::{fs, path::Path};

use machinery::{meta, yaml};
use serde_json::{Map, Value, json};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    /// From a seed.
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`; 0 where that is 0.
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or_default().checked_rem(end).unwrap_or_default()
    }
}

/// The examples of the repository, each with the files that it needs: lists of objects that belong together.
fn worlds() -> Vec<Vec<Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut worlds = Vec::new();
    for system in ["classic", "evolution", "k8srm", "kubevirt", "v1", "volcano", "explain", "tutorial"] {
        let files = fs::read_dir(root.join(system)).expect("a folder of the repository");
        let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        files.sort();
        for file in files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
            let text = fs::read_to_string(&file).expect("a file of the repository");
            let needs = text.lines().filter_map(|line| line.strip_prefix("# needs: ")).flat_map(str::split_whitespace);
            let needed = needs.filter_map(|name| fs::read_to_string(root.join(system).join(name)).ok());
            let texts: Vec<String> = needed.chain([text.clone()]).collect();
            let objects = texts.iter().flat_map(|text| yaml::documents(text).unwrap_or_default());
            worlds.push(objects.map(yaml::Document::into_value).map(named).collect());
        }
    }
    worlds
}

/// With what a server gives every object.
fn named(mut object: Value) -> Value {
    let namespaced = !["Node", "DeviceClass", "ResourceSlice", "Namespace"].contains(&meta::kind(&object));
    let uid = format!("{}-{}", meta::kind(&object), meta::name(&object));
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("uid").or_insert_with(|| json!(uid));
        metadata.entry("creationTimestamp").or_insert_with(|| json!("2026-01-01T00:00:00Z"));
        if namespaced {
            metadata.entry("namespace").or_insert_with(|| json!("default"));
        }
    }
    object
}

/// Every example, so many times, with some of its objects spoilt: the seed to name it by, the objects as they were, and as they
/// are now. The same each time.
pub fn spoilt_worlds(times: u64) -> impl Iterator<Item = (u64, Vec<Value>, Vec<Value>)> {
    let seeds = (0..).step_by(usize::try_from(times).unwrap_or(1).max(1));
    worlds().into_iter().zip(seeds).flat_map(move |(objects, first): (Vec<Value>, u64)| {
        (first..first + times).map(move |seed| {
            let mut dice = Dice::new(seed);
            let mut spoilt = objects.clone();
            for _ in 0..=dice.below(4) {
                let chosen = dice.below(spoilt.len());
                if let Some(object) = spoilt.get_mut(chosen) {
                    spoil(object, &mut dice);
                }
            }
            (seed, objects.clone(), spoilt)
        })
    })
}

/// Changes one part of an object to something else.
fn spoil(object: &mut Value, dice: &mut Dice) {
    let depth = 1 + dice.below(9);
    let mut at = object;
    for _ in 0..depth {
        let inside = match &*at {
            Value::Object(members) => members.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if inside == 0 {
            break;
        }
        let chosen = dice.below(inside);
        at = match at {
            Value::Object(members) => members.values_mut().nth(chosen).expect("it was counted"),
            Value::Array(items) => &mut items[chosen],
            _ => break,
        };
    }
    match (&mut *at, dice.below(4)) {
        (Value::Object(members), 0) => drop(members.insert(text(dice), value(dice))),
        (Value::Array(items), 0) => items.push(value(dice)),
        (Value::Array(items), 1) if !items.is_empty() => items.push(items[0].clone()),
        _ => *at = value(dice),
    }
}

fn text(dice: &mut Dice) -> String {
    const TEXTS: [&str; 14] = [
        "",
        "a",
        "gpu-0",
        "é€𝄞",
        "a/b/c",
        "..",
        "-1",
        "1Gi",
        "99999999999999999999999999",
        "2026-13-40T99:99:99Z",
        "All",
        "device.driver == ",
        "metadata.name",
        "\u{0}",
    ];
    TEXTS[dice.below(TEXTS.len())].to_owned()
}

fn value(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(i64::MIN),
        3 => json!(i64::MAX),
        4 => json!(u64::MAX),
        5 => json!(-1),
        6 => json!(1e300),
        7 => json!([]),
        8 => Value::Object(Map::new()),
        9 => json!(["a", null, {"name": "a"}, 7]),
        10 => json!("x".repeat(5000)),
        _ => json!(text(dice)),
    }
}
