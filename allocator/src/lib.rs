//! Which devices: a pure function from hub input to an allocation or an explanation.
