//! Claims: what they ask for.

use machinery::meta;
use serde_json::Value;

use super::{
    super::{
        claim::{ClaimConversion, Consumer},
        read::{self, Error, Result},
    },
    constraints, driver_of, driver_selector, references, status,
};
use crate::{
    hub::{
        Allocation, Amount, Ask, Claim, ClaimConfig, Constraint, ConstraintRule, Opaque, Request, RequestAsk,
        SubRequest,
    },
    k8srm::GROUP,
};

/// Most pods that may use a claim; the prototype names no limit.
const CONSUMERS_MAX: usize = 256;
/// The resource that counts devices.
const DEVICES: &str = "devices";

/// The requests, constraints and configuration of one claim spec, under construction.
#[derive(Default)]
struct Asked {
    requests: Vec<Request>,
    constraints: Vec<Constraint>,
    config: Vec<ClaimConfig>,
}

impl Asked {
    /// Adds a claim spec. Its requests begin with `prefix`.
    fn add_spec(&mut self, spec: &Value, prefix: &str) -> Result<()> {
        let first = self.requests.len();
        read::each(spec, "devices", |instance| self.add_instance(instance, prefix))?;
        let names: Vec<String> = self.requests.iter().skip(first).map(|request| request.name.clone()).collect();
        let whole = if prefix.is_empty() { Vec::new() } else { names };
        self.add_matches(spec, &whole)
    }

    fn add_instance(&mut self, instance: &Value, prefix: &str) -> Result<()> {
        let name = format!("{prefix}{}", read::text(instance, "name")?);
        let (all, one) = (read::items(instance, "allOf")?, read::items(instance, "oneOf")?);
        if all.is_empty() && one.is_empty() {
            return self.add_request(name, instance);
        }
        let alone = all.len() == 1 && one.is_empty();
        for (index, detail) in all.iter().enumerate() {
            let name = if alone { name.clone() } else { format!("{name}.allOf[{index}]") };
            self.add_request(name, detail).map_err(|error| error.at(&format!("allOf[{index}]")))?;
        }
        if one.is_empty() {
            return Ok(());
        }
        let name = if all.is_empty() { name } else { format!("{name}.oneOf") };
        let mut alternatives = Vec::new();
        for (index, detail) in one.iter().enumerate() {
            let alternative = index.to_string();
            let ask = self
                .add_detail(detail, &format!("{name}/{alternative}"))
                .map_err(|error| error.at(&format!("oneOf[{index}]")))?;
            alternatives.push(SubRequest { name: alternative, ask });
        }
        self.requests.push(Request { name, ask: RequestAsk::FirstAvailable(alternatives) });
        Ok(())
    }

    fn add_request(&mut self, name: String, detail: &Value) -> Result<()> {
        let ask = self.add_detail(detail, &name)?;
        self.requests.push(Request { name, ask: RequestAsk::Exactly(ask) });
        Ok(())
    }

    /// Adds what a detail says about the devices of `request`, and tells which devices it asks for.
    fn add_detail(&mut self, detail: &Value, request: &str) -> Result<Ask> {
        self.add_matches(detail, &[request.to_owned()])?;
        for name in read::texts(detail, "distinctAttributes")? {
            self.constraints
                .push(Constraint { requests: vec![request.to_owned()], rule: ConstraintRule::Distinct(name) });
        }
        for parameters in references(detail)? {
            let opaque = Opaque { driver: String::new(), parameters };
            self.config.push(ClaimConfig { requests: vec![request.to_owned()], opaque });
        }
        Ok(Ask {
            class: Some(read::text(detail, "class")?),
            selectors: constraints(detail)?.into_iter().collect(),
            amount: amount(detail)?,
            admin_access: read::boolean(detail, "adminAccess")?,
            ..Ask::default()
        })
    }

    fn add_matches(&mut self, owner: &Value, requests: &[String]) -> Result<()> {
        for name in read::texts(owner, "matchAttributes")? {
            self.constraints.push(Constraint { requests: requests.to_vec(), rule: ConstraintRule::Match(name) });
        }
        Ok(())
    }

    fn into_claim(self, claim: &Value) -> Claim {
        Claim {
            namespace: meta::namespace(claim).to_owned(),
            name: meta::name(claim).to_owned(),
            uid: meta::uid(claim).to_owned(),
            requests: self.requests,
            constraints: self.constraints,
            config: self.config,
            admin_access_denied: None,
            class_group: Some(GROUP),
        }
    }
}

/// `requests` of a detail: `devices` is the number of devices, everything else a total over them.
fn amount(detail: &Value) -> Result<Amount> {
    let mut provides = read::quantities(detail, "requests")?;
    let counted = provides.remove(DEVICES).map(|devices| devices.value());
    let min = counted.or(read::integer(detail, "devices")?);
    let max = read::integer(detail, "maxDevices")?;
    if min.is_some_and(|min| min < 0) || max.is_some_and(|max| max < 1) {
        return Err(Error::new("the number of devices must be positive"));
    }
    let min = min.unwrap_or(1);
    if provides.is_empty() {
        return Ok(Amount::Exact(min));
    }
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Amount::Total { min: count(min), max: max.map(count), provides })
}

/// The kinds of claims.
pub(in crate::convert) enum Claims {
    /// `DeviceClaim`.
    One,
    /// `DevicePrivilegedClaim`: all devices of a driver on a node, whoever uses them.
    Privileged,
    /// `DeviceSetClaim`: several claims in one.
    Set,
}

impl Asked {
    /// Asks for every device of a driver, beside whoever uses them.
    fn add_privileged(&mut self, spec: &Value) -> Result<()> {
        let mut selectors = vec![driver_selector(&driver_of(spec)?)];
        selectors.extend(constraints(spec)?);
        let ask = Ask { selectors, amount: Amount::All, admin_access: Some(true), ..Ask::default() };
        self.requests.push(Request { name: "privileged".to_owned(), ask: RequestAsk::Exactly(ask) });
        for parameters in references(spec)? {
            let opaque = Opaque { driver: driver_of(spec)?, parameters };
            self.config.push(ClaimConfig { requests: Vec::new(), opaque });
        }
        Ok(())
    }

    /// Adds claim specs that have attributes in common.
    fn add_set(&mut self, spec: &Value) -> Result<()> {
        for (index, part) in read::items(spec, "claimSpec")?.iter().enumerate() {
            self.add_spec(part, &format!("{index}.")).map_err(|error| error.at(&format!("claimSpec[{index}]")))?;
        }
        self.add_matches(spec, &[])
    }
}

impl ClaimConversion for Claims {
    fn claim(&self, claim: &Value) -> Result<Claim> {
        let mut asked = Asked::default();
        read::within(claim, "spec", |spec| match self {
            Self::One => asked.add_spec(spec, ""),
            Self::Privileged => asked.add_privileged(spec),
            Self::Set => asked.add_set(spec),
        })?;
        Ok(asked.into_claim(claim))
    }

    fn allocation(&self, claim: &Value) -> Result<Option<Allocation>> {
        let mut allocation = status::allocation(claim)?;
        for result in allocation.iter_mut().flat_map(|allocation| &mut allocation.results) {
            result.admin_access = matches!(self, Self::Privileged);
        }
        Ok(allocation)
    }

    fn write_allocation(&self, claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>) {
        let devices = match self {
            Self::One | Self::Set => status::named(allocation),
            Self::Privileged => status::counted(allocation),
        };
        status::write(claim, allocation, consumer, devices);
    }

    fn consumers_max(&self, _: &Value) -> usize {
        CONSUMERS_MAX
    }

    fn consumers_path(&self) -> &'static str {
        "podNames"
    }

    fn allocation_members(&self) -> &'static [&'static str] {
        &["allocations", "classConfigs", "claimConfigs", "nodeName"]
    }

    fn consumer(&self, pod: &Value) -> Value {
        meta::name(pod).into()
    }

    fn is_consumer(&self, entry: &Value, pod: &Value) -> bool {
        entry.as_str() == Some(meta::name(pod))
    }
}
