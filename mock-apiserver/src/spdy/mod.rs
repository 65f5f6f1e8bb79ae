//! SPDY/3.1, as far as Kubernetes speaks it: kubectl before 1.31 runs commands in containers over it, and `port-forward`
//! tunnels it through WebSockets to this day. No crate has it.
//!
//! Framing follows the SPDY/3.1 draft (draft-mbelshe-httpbis-spdy-00 and its revision 3.1). Flow control is left out: the
//! client library of Kubernetes (moby/spdystream) neither honours nor sends window updates. Clients open all streams.

mod dictionary;
mod frame;
mod header;
mod session;

pub(crate) use frame::Frame;
pub(crate) use header::Headers;
pub(crate) use session::{Frames, Writer, start};
