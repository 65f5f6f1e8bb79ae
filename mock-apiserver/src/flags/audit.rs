//! Flags about what is written down, under the names that `kube-apiserver` has for them.

use std::{path::PathBuf, time::Duration};

use crate::{
    audit::{Audit, Batches, Rotation},
    authorization::duration,
};

/// Ways to write events down, by the names that Kubernetes has for them. Here an event is always written at once, and gathered with
/// others before it is sent, unless it is to be sent alone.
const MODES: [&str; 3] = ["batch", "blocking", "blocking-strict"];

/// What is written down about requests, and where.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct AuditFlags {
    /// What is written down about requests: a file of kind Policy of audit.k8s.io/v1.
    #[arg(long, value_name = "FILE")]
    audit_policy_file: Option<PathBuf>,

    /// Where it is written, a JSON document a line; "-" is standard output.
    #[arg(long, value_name = "FILE")]
    audit_log_path: Option<PathBuf>,

    /// How: only json.
    #[arg(long, value_name = "FORMAT", default_value = "json", hide = true)]
    audit_log_format: String,

    /// When it is written: always at once.
    #[arg(long, value_name = "MODE", default_value = "blocking", hide = true)]
    audit_log_mode: String,

    /// Megabytes from which on the log is put aside and a new one is begun; 0: 100.
    #[arg(long, value_name = "MEGABYTES", default_value_t = 0, allow_negative_numbers = true)]
    audit_log_maxsize: i64,

    /// Most logs that are kept beside the one that is written; 0: all.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    audit_log_maxbackup: i64,

    /// Most days for which they are kept; 0: for ever.
    #[arg(long, value_name = "DAYS", default_value_t = 0, allow_negative_numbers = true)]
    audit_log_maxage: i64,

    /// Compresses logs that are put aside.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", default_value = "false",
          require_equals = true, action = clap::ArgAction::Set)]
    audit_log_compress: bool,

    /// A kubeconfig of the server that is sent what is written down.
    #[arg(long, value_name = "FILE")]
    audit_webhook_config_file: Option<PathBuf>,

    /// How: many events at a time (batch), or each alone (blocking).
    #[arg(long, value_name = "MODE", default_value = "batch")]
    audit_webhook_mode: String,

    /// Most events that wait to be sent; more are dropped.
    #[arg(long, value_name = "N", default_value_t = Batches::default().waiting_max, hide = true)]
    audit_webhook_batch_buffer_size: usize,

    /// Most events at once.
    #[arg(long, value_name = "N", default_value_t = Batches::default().size_max)]
    audit_webhook_batch_max_size: usize,

    /// How long the first of them waits for others.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    audit_webhook_batch_max_wait: Duration,

    /// How long after a first attempt that failed events are sent again.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    audit_webhook_initial_backoff: Duration,
}

impl AuditFlags {
    /// What is written down, and where; nothing is, unless both are said. To be called in a runtime.
    ///
    /// # Errors
    /// A flag or a file says what cannot be done.
    pub(crate) fn read(&self) -> Result<Option<Audit>, String> {
        let rotation = self.rotation()?;
        let batches = self.batches()?;
        let Some(policy) = &self.audit_policy_file else { return Ok(None) };
        if self.audit_log_path.is_none() && self.audit_webhook_config_file.is_none() {
            return Ok(None);
        }
        let mut audit = Audit::open(policy)?;
        if let Some(path) = &self.audit_log_path {
            audit = audit.logging(path, rotation)?;
        }
        if let Some(file) = &self.audit_webhook_config_file {
            audit = audit.sending(file, batches)?;
        }
        Ok(Some(audit))
    }

    fn rotation(&self) -> Result<Rotation, String> {
        if self.audit_log_path.is_some() {
            check_mode("log", &self.audit_log_mode)?;
            if self.audit_log_format != "json" {
                return Err(format!(
                    "invalid audit log format {}, allowed formats are \"json\"",
                    self.audit_log_format
                ));
            }
        }
        let count = |flag: &str, number: i64| {
            u64::try_from(number).map_err(|_| format!("--{flag} {number} can't be a negative number"))
        };
        let files = count("audit-log-maxbackup", self.audit_log_maxbackup)?;
        Ok(Rotation {
            days: count("audit-log-maxage", self.audit_log_maxage)?,
            files: usize::try_from(files).unwrap_or(usize::MAX),
            megabytes: count("audit-log-maxsize", self.audit_log_maxsize)?,
            compress: self.audit_log_compress,
        })
    }

    fn batches(&self) -> Result<Batches, String> {
        if self.audit_webhook_config_file.is_some() {
            check_mode("webhook", &self.audit_webhook_mode)?;
        }
        let waits = self.audit_webhook_mode == MODES[0];
        Ok(Batches {
            waiting_max: self.audit_webhook_batch_buffer_size,
            size_max: if waits { self.audit_webhook_batch_max_size.max(1) } else { 1 },
            wait: self.audit_webhook_batch_max_wait,
            pause: self.audit_webhook_initial_backoff,
        })
    }
}

fn check_mode(what: &str, mode: &str) -> Result<(), String> {
    match MODES.contains(&mode) {
        true => Ok(()),
        false => Err(format!("invalid audit {what} mode {mode}, allowed modes are {:?}", MODES.join(","))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        audit: AuditFlags,
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (line, expected) in [
            (
                "--audit-log-mode=foo",
                "invalid audit log mode foo, allowed modes are \"batch,blocking,blocking-strict\"",
            ),
            ("--audit-log-format=legacy", "invalid audit log format legacy, allowed formats are \"json\""),
            ("--audit-log-maxsize=-1", "--audit-log-maxsize -1 can't be a negative number"),
            ("--audit-log-maxage -2", "--audit-log-maxage -2 can't be a negative number"),
        ] {
            let line = format!("s --audit-log-path=- {line}");
            let Line { audit } =
                Line::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(audit.read().expect_err("refused"), expected, "{line}");
        }
        let Line { audit } = Line::try_parse_from(["s", "--audit-log-path=-", "--audit-log-compress"]).expect("flags");
        assert!(audit.read().expect("nothing to read").is_none(), "without a policy nothing is written down");
    }
}
