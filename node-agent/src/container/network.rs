//! The network as containers see it: who answers to a name, and what.
//!
//! What a process writes is worked out at once, but the network changes while it runs. So a process knows of each name that
//! it asks for what was found when, and until when that holds; what it asks later than that is looked up when its time has
//! come ([`Ask`]), and its run is worked out anew.

mod directory;
mod name;
mod server;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub(crate) use directory::Directory;
pub(crate) use server::{Answer, Server};

/// Most names that one process asks for; others do not exist.
const HOSTS_MAX: usize = 64;
/// Most changes of one name that are remembered.
const ANSWERS_MAX: usize = 256;
/// How long what was found counts as known.
pub(crate) const FRESH: Duration = Duration::from_millis(500);

/// Something that listens at addresses of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Host {
    /// Its full name.
    pub(crate) name: String,
    /// Its addresses.
    pub(crate) addresses: Vec<String>,
    /// Its ports that somebody answers for, or should.
    pub(crate) doors: BTreeMap<u16, Door>,
    /// What becomes of connections to other ports: packets to a service are dropped, a machine refuses.
    pub(crate) silent: bool,
}

/// A port.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Door {
    /// Somebody listens.
    Open(Server),
    /// Nobody does.
    Refuses,
}

impl Host {
    /// Its first address.
    pub(crate) fn address(&self) -> &str {
        self.addresses.first().map_or("", String::as_str)
    }

    /// Who answers at a port.
    pub(crate) fn connect(&self, port: u16) -> Connection<'_> {
        match self.doors.get(&port) {
            Some(Door::Open(server)) => Connection::Open(server),
            None if self.silent => Connection::Silent,
            Some(Door::Refuses) | None => Connection::Refused,
        }
    }
}

/// What becomes of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Connection<'a> {
    /// Somebody answers.
    Open(&'a Server),
    /// Nobody listens.
    Refused,
    /// No answer at all.
    Silent,
}

/// A process asks for a name of which nothing is known at that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Which name, or address.
    pub(crate) host: String,
    /// How long after the start of the process.
    pub(crate) at: Duration,
}

/// What a process knows of the network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    hosts: BTreeMap<String, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    /// What was found, and from when in the process on it holds.
    answers: Vec<(Duration, Option<Arc<Host>>)>,
    until: Duration,
}

impl Network {
    /// Who answers to a name at a time of the process: nobody if there is no such name.
    ///
    /// # Errors
    /// It is not known.
    pub(crate) fn find(&self, host: &str, at: Duration) -> Result<Option<&Host>, Ask> {
        match self.hosts.get(host) {
            Some(known) if at <= known.until => {
                let answer = known.answers.iter().rev().find(|(from, _)| *from <= at).or(known.answers.first());
                Ok(answer.and_then(|(_, answer)| answer.as_deref()))
            }
            None if self.hosts.len() >= HOSTS_MAX => Ok(None),
            _ => Err(Ask { host: host.to_owned(), at }),
        }
    }

    /// Takes in what was found, which holds until a time of the process, and does not change what was known before.
    pub(crate) fn learn(&mut self, host: &str, answer: Option<Host>, until: Duration) {
        let answer = answer.map(Arc::new);
        let known = self.hosts.entry(host.to_owned());
        let known = known.or_insert_with(|| Known { answers: Vec::new(), until: Duration::ZERO });
        let from =
            if known.answers.is_empty() { Duration::ZERO } else { known.until.saturating_add(Duration::from_nanos(1)) };
        let changed = known.answers.last().is_none_or(|(_, last)| *last != answer);
        if changed && known.answers.len() < ANSWERS_MAX {
            known.answers.push((from, answer));
        }
        known.until = known.until.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_answered_once_stays_so() {
        let mut network = Network::default();
        let ask = |at| Ask { host: "db".to_owned(), at };
        assert_eq!(network.find("db", Duration::ZERO), Err(ask(Duration::ZERO)));
        network.learn("db", None, SECOND);
        assert_eq!((network.find("db", SECOND), network.find("db", 2 * SECOND)), (Ok(None), Err(ask(2 * SECOND))));
        let host = Host { name: "db.default.svc.cluster.local".to_owned(), ..Host::default() };
        network.learn("db", Some(host.clone()), 3 * SECOND);
        assert_eq!((network.find("db", SECOND), network.find("db", 2 * SECOND)), (Ok(None), Ok(Some(&host))));
        network.learn("db", Some(host), 2 * SECOND);
        assert_eq!(network.hosts["db"].answers.len(), 2);
        assert!(network.find("db", 3 * SECOND).is_ok());
    }

    #[test]
    fn names_have_an_end() {
        let mut network = Network::default();
        (0..HOSTS_MAX).for_each(|number| network.learn(&number.to_string(), None, SECOND));
        assert_eq!(network.find("another", SECOND), Ok(None));
    }

    #[test]
    fn services_drop_what_machines_refuse() {
        let doors = BTreeMap::from([(80, Door::Open(Server::default())), (81, Door::Refuses)]);
        let mut host = Host { doors, silent: true, ..Host::default() };
        assert!(matches!(host.connect(80), Connection::Open(_)));
        assert_eq!((host.connect(81), host.connect(82)), (Connection::Refused, Connection::Silent));
        host.silent = false;
        assert_eq!(host.connect(82), Connection::Refused);
    }
}
