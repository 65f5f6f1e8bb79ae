//! Command lines that are refused, in the words of kube-apiserver.

use clap::error::{ContextKind, ErrorKind};

use super::IN_PLACE_OF;

/// A wrong command line in kube-apiserver's words.
pub(crate) fn refusal(error: &clap::Error) -> String {
    let part = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let flag = part(ContextKind::InvalidArg);
    let flag = flag.split([' ', '=', '[']).next().unwrap_or_default();
    let value = part(ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with("--") => format!("unknown flag: {flag}"),
        ErrorKind::UnknownArgument => match flag.strip_prefix('-').and_then(|flag| flag.chars().next()) {
            Some(letter) => format!("unknown shorthand flag: {letter:?} in {flag}"),
            None => format!("\"{IN_PLACE_OF}\" does not take any arguments, got [{flag:?}]"),
        },
        ErrorKind::InvalidValue if part(ContextKind::ValidValue).contains("true") => {
            let why = format!("strconv.ParseBool: parsing {value:?}: invalid syntax");
            invalid(&value, flag.trim_start_matches('-'), &why)
        }
        _ => {
            // What follows the empty line tells how to do it right.
            let whole = error.to_string();
            let lines: Vec<&str> = whole.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let said = lines.join(" ");
            let said = said.trim_start_matches("error: ");
            let why = std::error::Error::source(error).map_or_else(|| said.to_owned(), ToString::to_string);
            if value.is_empty() { why } else { invalid(&value, flag.trim_start_matches('-'), &why) }
        }
    }
}

/// A value that a flag does not take.
pub(crate) fn invalid(value: &str, flag: &str, why: &str) -> String {
    format!("invalid argument {value:?} for \"--{flag}\" flag: {why}")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    #[test]
    fn wrong_command_lines_are_refused_in_kube_apiservers_words() {
        for (line, expected) in [
            ("--nope=1", "unknown flag: --nope"),
            ("-z", "unknown shorthand flag: 'z' in -z"),
            ("extra", "\"kube-apiserver\" does not take any arguments, got [\"extra\"]"),
            ("--bind-address=foo", "invalid argument \"foo\" for \"--bind-address\" flag: invalid IP address syntax"),
            (
                "--anonymous-auth=maybe",
                "invalid argument \"maybe\" for \"--anonymous-auth\" flag: strconv.ParseBool: parsing \"maybe\": invalid \
                 syntax",
            ),
            ("--tls-cert-file=c", "the following required arguments were not provided: --tls-private-key-file <FILE>"),
            (
                "--request-timeout=abc",
                "invalid argument \"abc\" for \"--request-timeout\" flag: time: invalid duration \"abc\"",
            ),
        ] {
            let error = Args::try_parse_from(["kube-apiserver", line]).expect_err(line);
            assert_eq!(refusal(&error), expected, "{line}");
        }
    }
}
