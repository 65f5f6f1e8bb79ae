//! Compiled device selectors, each compiled once, and what they say about devices, asked once per device.

use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
};

use api::hub::{Device, Selector};

use crate::{
    dialect::{Compiled, Compiler, Derivation, RunError},
    features::Features,
};

/// A compiled selector. `id` is never used again for another one.
pub(crate) struct Program {
    id: u32,
    pub(crate) selector: Selector,
    compiled: Result<Compiled, String>,
}

/// The programs that were compiled, by source.
pub(crate) struct Programs {
    compiler: Compiler,
    next: AtomicU32,
    compiled: RwLock<HashMap<Selector, Arc<Program>>>,
    derivations: RwLock<HashMap<String, Arc<Result<Derivation, String>>>>,
}

/// Most programs that are kept; when there are more, all are forgotten and compiled again when asked for.
const PROGRAMS_MAX: usize = 4096;

impl Programs {
    pub(crate) fn new(features: &Features) -> Self {
        Self {
            compiler: Compiler::new(features),
            next: AtomicU32::new(0),
            compiled: RwLock::default(),
            derivations: RwLock::default(),
        }
    }

    /// The program of a selector.
    pub(crate) fn get(&self, selector: &Selector) -> Arc<Program> {
        let known = self.compiled.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(selector).cloned();
        known.unwrap_or_else(|| self.compile(selector))
    }

    /// The program of a derived attribute, or why it cannot be compiled.
    pub(crate) fn derivation(&self, source: &str) -> Arc<Result<Derivation, String>> {
        let known = self.derivations.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(source).cloned();
        known.unwrap_or_else(|| {
            let compiled = Arc::new(self.compiler.compile_derivation(source));
            let mut derivations = self.derivations.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            if derivations.len() >= PROGRAMS_MAX {
                derivations.clear();
            }
            derivations.entry(source.to_owned()).or_insert(compiled).clone()
        })
    }

    fn compile(&self, selector: &Selector) -> Arc<Program> {
        let program = Arc::new(Program {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            selector: selector.clone(),
            compiled: self.compiler.compile(selector),
        });
        let mut compiled = self.compiled.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if compiled.len() >= PROGRAMS_MAX {
            compiled.clear();
        }
        compiled.entry(selector.clone()).or_insert(program).clone()
    }
}

/// Why a selector has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It does not compile.
    Compile(String),
    /// It fails on this device.
    Run(RunError),
}

impl Program {
    /// Evaluates the program on a device.
    pub(crate) fn run(&self, driver: &str, device: &Device) -> Result<bool, Failure> {
        match &self.compiled {
            Ok(compiled) => compiled.matches(driver, device).map_err(Failure::Run),
            Err(text) => Err(Failure::Compile(text.clone())),
        }
    }
}

/// What programs said about the devices of one slice. Results are shared by all claims and nodes; failures are not
/// kept, since they end the attempt that meets them.
#[derive(Default)]
pub(crate) struct Verdicts {
    by_program: RwLock<Vec<(u32, Verdict)>>,
}

type Verdict = Arc<[AtomicU8]>;

/// Most programs whose results are kept for a slice; the oldest make place.
const VERDICTS_MAX: usize = 128;

const UNKNOWN: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;

impl Verdicts {
    /// What the program says about the device at `index` of `devices`; evaluated at most once.
    pub(crate) fn get(
        &self,
        program: &Program,
        driver: &str,
        devices: &[Device],
        index: usize,
    ) -> Result<bool, Failure> {
        let verdict = self.verdict(program.id, devices.len());
        let (Some(known), Some(device)) = (verdict.get(index), devices.get(index)) else {
            return Ok(false);
        };
        match known.load(Ordering::Relaxed) {
            UNKNOWN => {
                let matches = program.run(driver, device)?;
                known.store(if matches { TRUE } else { FALSE }, Ordering::Relaxed);
                Ok(matches)
            }
            state => Ok(state == TRUE),
        }
    }

    fn verdict(&self, program: u32, devices: usize) -> Verdict {
        let found = |verdicts: &[(u32, Verdict)]| {
            verdicts.iter().rev().find(|(id, _)| *id == program).map(|(_, verdict)| verdict.clone())
        };
        if let Some(verdict) = found(&self.by_program.read().unwrap_or_else(|poisoned| poisoned.into_inner())) {
            return verdict;
        }
        let mut verdicts = self.by_program.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(verdict) = found(&verdicts) {
            return verdict;
        }
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.remove(0);
        }
        let verdict: Verdict = (0..devices).map(|_| AtomicU8::new(UNKNOWN)).collect();
        verdicts.push((program, verdict.clone()));
        verdict
    }
}
