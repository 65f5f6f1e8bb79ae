//! The named resources model of Kubernetes 1.30: each request takes the first instance that is free and matches, without
//! looking back. What a request takes, a later one cannot have, even where another choice would have served both.

use api::hub::{Device, Environment, Selector};

use crate::{
    dialect::{Compiled, Compiler},
    features::Features,
};

/// What is asked of one driver.
pub struct FirstFit {
    filter: Option<Compiled>,
    requests: Vec<Compiled>,
}

impl FirstFit {
    /// Requests by their selectors, and a filter for all of them.
    ///
    /// # Errors
    /// A selector does not compile; the text says why.
    pub fn new<'s>(
        filter: Option<&str>,
        requests: impl IntoIterator<Item = &'s str>,
        features: &Features,
    ) -> Result<Self, String> {
        let compiler = Compiler::new(features);
        let compile = |source: &str| {
            let selector = Selector { expression: Some(source.to_owned()), environment: Environment::NamedResources };
            compiler.compile(&selector)
        };
        Ok(Self {
            filter: filter.map(compile).transpose()?,
            requests: requests.into_iter().map(compile).collect::<Result<_, _>>()?,
        })
    }

    /// An instance for each request, by its index; `None` where one gets none. `taken` says which are in use.
    ///
    /// # Errors
    /// A selector fails for an instance that is looked at, which ends the whole attempt.
    pub fn choose(
        &self,
        driver: &str,
        instances: &[&Device],
        taken: &dyn Fn(&Device) -> bool,
    ) -> Result<Option<Vec<usize>>, String> {
        let mut chosen: Vec<usize> = Vec::with_capacity(self.requests.len());
        for request in &self.requests {
            let mut found = None;
            for (index, instance) in instances.iter().enumerate() {
                if chosen.contains(&index) || taken(instance) {
                    continue;
                }
                let passes = match &self.filter {
                    Some(filter) => filter.matches(driver, instance).map_err(|error| error.text)?,
                    None => true,
                };
                if passes && request.matches(driver, instance).map_err(|error| error.text)? {
                    found = Some(index);
                    break;
                }
            }
            match found {
                Some(index) => chosen.push(index),
                None => return Ok(None),
            }
        }
        Ok(Some(chosen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::hub::Attribute;

    fn instance(name: &str, memory: i64) -> Device {
        let attributes = [("memory".to_owned(), Attribute::Int(memory))].into();
        Device { name: name.to_owned(), attributes, ..Device::default() }
    }

    fn choose(filter: Option<&str>, requests: &[&str], taken: &str) -> Result<Option<Vec<usize>>, String> {
        let instances = [instance("a", 80), instance("b", 40), instance("c", 80)];
        let instances: Vec<&Device> = instances.iter().collect();
        let ask = FirstFit::new(filter, requests.iter().copied(), &Features::of_minor(36))?;
        ask.choose("d", &instances, &|instance| instance.name == taken)
    }

    #[test]
    fn the_first_that_fits_is_taken_for_good() {
        assert_eq!(choose(None, &["true", "true"], ""), Ok(Some(vec![0, 1])));
        assert_eq!(choose(None, &["true"], "a"), Ok(Some(vec![1])));
        assert_eq!(choose(Some("attributes.int['memory'] == 80"), &["true", "true"], ""), Ok(Some(vec![0, 2])));
        assert_eq!(choose(None, &["attributes.int['memory'] < 80", "true"], ""), Ok(Some(vec![1, 0])));
        // Another order would serve both.
        assert_eq!(
            choose(None, &["true", "attributes.int['memory'] == 80", "attributes.int['memory'] == 80"], ""),
            Ok(None)
        );
    }

    #[test]
    fn a_failing_selector_ends_the_attempt() {
        assert_eq!(choose(None, &["attributes.bool['x']"], ""), Err("no such key: x".to_owned()));
        assert!(choose(None, &["?!"], "").is_err());
        assert_eq!(choose(None, &[], ""), Ok(Some(vec![])));
    }
}
