//! Truth values as texts.

/// Go's `strconv.ParseBool`.
#[must_use]
pub fn parse(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        assert_eq!(["1", "t", "T", "true", "TRUE", "True"].map(parse), [Some(true); 6]);
        assert_eq!(["0", "f", "F", "false", "FALSE", "False"].map(parse), [Some(false); 6]);
        assert_eq!(["", "yes", "tRUE", " true", "01"].map(parse), [None; 5]);
    }
}
