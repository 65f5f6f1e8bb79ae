//! The head of an example file: what it needs, and what must happen (`testdata/README.md` has the grammar).

/// Stands among systems for what every cluster has, and nothing more.
const KUBERNETES: &str = "kubernetes";

/// The head of an example file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The first comment line that is for people.
    pub title: String,
    /// Files to be applied before, relative to this one.
    pub needs: Vec<String>,
    /// A scheduler and all controllers work: pods are scheduled as they come.
    pub works: bool,
    /// Systems that are installed in such a cluster.
    pub systems: Vec<controllers::System>,
    /// A list of nodes with their devices, as `node-agent` reads it.
    pub inventory: Option<String>,
    /// Shapes whose capacity is published before, and on how many nodes.
    pub generate: Vec<(String, usize)>,
    /// What must happen.
    pub expectations: Vec<Expectation>,
}

/// One thing that must happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The pod gets this node and exactly these devices.
    Scheduled {
        /// Name of the pod.
        pod: String,
        /// Name of the node.
        node: String,
        /// `REQUEST=POOL/DEVICE`, in order.
        devices: Vec<String>,
    },
    /// The pod gets no node, and the reason holds these words.
    Unschedulable {
        /// Name of the pod.
        pod: String,
        /// Part of what is said about it.
        words: String,
    },
    /// A claim shows this state.
    Claim {
        /// Name of the claim.
        name: String,
        /// `pending`, `allocated` or `allocated,reserved`.
        state: String,
    },
    /// The status of a claim holds this JSON text.
    Config {
        /// Name of the claim.
        name: String,
        /// Compact JSON.
        text: String,
    },
    /// kubectl comes to print these words.
    Prints {
        /// What follows `kubectl`.
        arguments: Vec<String>,
        /// Part of the output.
        words: String,
    },
    /// The server refuses an object, and the reason holds these words.
    Refused {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// Part of the reason.
        words: String,
    },
}

impl Head {
    /// Reads the comment lines at the top of a file.
    ///
    /// # Errors
    /// A line begins like one of the grammar and does not follow it; the text names the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut head = Self::default();
        for line in text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim) {
            let malformed = || format!("malformed line: # {line}");
            if let Some(files) = line.strip_prefix("needs:") {
                head.needs.extend(files.split_whitespace().map(str::to_owned));
            } else if let Some(systems) = line.strip_prefix("systems:") {
                head.works = true;
                for system in systems.split_whitespace().filter(|name| *name != KUBERNETES) {
                    head.systems.push(system.parse().map_err(|_| malformed())?);
                }
            } else if let Some(file) = line.strip_prefix("inventory:") {
                head.inventory = Some(file.trim().to_owned());
            } else if let Some(shape) = line.strip_prefix("generate:") {
                let (name, count) = shape.trim().split_once(' ').ok_or_else(malformed)?;
                head.generate.push((name.to_owned(), count.trim().parse().map_err(|_| malformed())?));
            } else if let Some(expected) = line.strip_prefix("expect:") {
                head.expectations.push(Expectation::read(expected.trim()).ok_or_else(malformed)?);
            } else if head.title.is_empty() {
                head.title = line.trim_end_matches('.').to_owned();
            }
        }
        Ok(head)
    }
}

impl Expectation {
    fn read(text: &str) -> Option<Self> {
        let (what, rest) = text.split_once(' ')?;
        if what == "kubectl" {
            let (arguments, words) = rest.split_once(": ")?;
            let arguments = arguments.split_whitespace().map(str::to_owned).collect();
            return Some(Self::Prints { arguments, words: words.trim().to_owned() });
        }
        let (name, rest) = rest.split_once(' ')?;
        let name = name.to_owned();
        match what {
            "pod" => match rest.strip_prefix("unschedulable:") {
                Some(words) => Some(Self::Unschedulable { pod: name, words: words.trim().to_owned() }),
                None => {
                    let rest = rest.strip_prefix("scheduled ")?;
                    let (node, devices) = rest.split_once(' ').unwrap_or((rest, "[]"));
                    let devices = devices.trim().strip_prefix('[')?.strip_suffix(']')?;
                    let devices = devices.split_whitespace().map(str::to_owned).collect();
                    Some(Self::Scheduled { pod: name, node: node.to_owned(), devices })
                }
            },
            "claim" => Some(Self::Claim { name, state: rest.trim().to_owned() }),
            "config" => Some(Self::Config { name, text: rest.trim().to_owned() }),
            "refused" => {
                let (object, words) = rest.split_once(':')?;
                Some(Self::Refused { kind: name, name: object.to_owned(), words: words.trim().to_owned() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let head = Head::read(
            "# One GPU.\n# needs: a.yaml b.yaml\n# generate: dgxa100 2\n\
             # expect: pod p scheduled n [g=n/d h/x=n/e]\n# expect: pod q unschedulable: in use\n\
             # expect: refused ResourceClaim c: too long\napiVersion: v1\n# expect: nothing here\n",
        );
        assert_eq!(
            head,
            Ok(Head {
                title: "One GPU".into(),
                needs: vec!["a.yaml".into(), "b.yaml".into()],
                works: false,
                systems: vec![],
                inventory: None,
                generate: vec![("dgxa100".into(), 2)],
                expectations: vec![
                    Expectation::Scheduled {
                        pod: "p".into(),
                        node: "n".into(),
                        devices: vec!["g=n/d".into(), "h/x=n/e".into()]
                    },
                    Expectation::Unschedulable { pod: "q".into(), words: "in use".into() },
                    Expectation::Refused { kind: "ResourceClaim".into(), name: "c".into(), words: "too long".into() },
                ],
            })
        );
        let printed = Head::read("# systems: volcano\n# inventory: n.yaml\n# expect: kubectl get vcjob j: Running\n");
        let printed = printed.expect("a head");
        assert_eq!((printed.works, printed.systems.len(), printed.inventory.as_deref()), (true, 1, Some("n.yaml")));
        let plain = Head::read("# systems: kubernetes\n").expect("a head");
        assert_eq!((plain.works, plain.systems.len()), (true, 0));
        let arguments = ["get", "vcjob", "j"].map(str::to_owned).to_vec();
        assert_eq!(printed.expectations, [Expectation::Prints { arguments, words: "Running".into() }]);
        assert!(Head::read("# systems: nonesuch\n").is_err());
        assert!(Head::read("# expect: pod p scheduled\n").is_err());
        assert!(Head::read("# generate: dgxa100 many\n").is_err());
    }
}
