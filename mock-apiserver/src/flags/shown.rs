//! The command line as `/flagz` shows it.

use clap::{ArgAction, ArgMatches, Command};

/// Every flag and its value, sorted; lists in brackets, as Go prints them.
pub(crate) fn shown(command: &Command, matches: &ArgMatches) -> Vec<(String, String)> {
    let flags = command.get_arguments().filter_map(|argument| {
        let name = argument.get_long()?;
        let id = argument.get_id().as_str();
        let is_known = matches.try_contains_id(id).is_ok();
        let values = is_known.then(|| matches.get_raw(id)).flatten().into_iter().flatten();
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        let values = values.join(",");
        Some((
            name.to_owned(),
            if matches!(argument.get_action(), ArgAction::Append) { format!("[{values}]") } else { values },
        ))
    });
    let mut flags: Vec<_> = flags.filter(|(name, _)| !["help", "version"].contains(&name.as_str())).collect();
    flags.sort();
    flags
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Args;

    #[test]
    fn flags_are_shown_with_what_they_are() {
        let command = Args::command();
        let line = ["s", "--port=0", "--tls", "--authorization-mode=Node,RBAC", "--bind-address=127.0.0.2"];
        let matches = command.clone().try_get_matches_from(line).expect("a command line");
        let flags = shown(&command, &matches);
        for (name, value) in [
            ("port", "0"),
            ("tls", "true"),
            ("insecure", "false"),
            ("authorization-mode", "[Node,RBAC]"),
            ("bind-address", "127.0.0.2"),
            ("min-request-timeout", "1800"),
            ("secure-port", ""),
        ] {
            let found = flags.iter().find(|(known, _)| known == name);
            assert_eq!(found.map(|(_, value)| value.as_str()), Some(value), "{name}");
        }
        assert!(flags.is_sorted() && !flags.iter().any(|(name, _)| name == "help"));
    }
}
