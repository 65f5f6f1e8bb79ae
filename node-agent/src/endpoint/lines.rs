//! A shell that reads its commands from somebody without a terminal: each line is run when it has come.

use axum::extract::ws::WebSocket;
use jiff::Timestamp;

use super::{
    stream::{self, View},
    terminal::{hear, typed_in},
};
use crate::container::{
    process::{Process, Whereabouts},
    shell::Shell,
};

/// Most that is read of one command.
const COMMAND_BYTES_MAX: usize = 1 << 20;

/// Lets somebody send commands to a shell in a container, until it ends. Gives back its exit code.
pub(super) async fn converse(socket: &mut WebSocket, process: &Process, place: &Whereabouts, name: &str) -> i32 {
    let mut shell = Shell::interactive(process.inside(place, Timestamp::now()).await, name, Timestamp::now());
    let (mut command, mut heard) = (String::new(), Vec::new());
    loop {
        let line = heard.iter().position(|byte| *byte == b'\n').map(|end| heard.drain(..=end).collect::<Vec<u8>>());
        let (line, is_last) = match line {
            Some(line) => (line, false),
            None => match hear(socket).await {
                Some(bytes) if heard.len() + bytes.len() <= COMMAND_BYTES_MAX => {
                    heard.extend(bytes);
                    continue;
                }
                Some(_) => return shell.code(),
                None => (std::mem::take(&mut heard), true),
            },
        };
        command.push_str(&String::from_utf8_lossy(&line));
        if !command.trim().is_empty() && command.len() <= COMMAND_BYTES_MAX {
            let now = Timestamp::now();
            if let Some((run, ends)) = typed_in(&mut shell, &command, now, place).await {
                command.clear();
                process.record(now, run.changes.clone());
                let view = View { input: true, tty: false };
                if stream::play(socket, run, process, view).await.is_none() || ends {
                    return shell.code();
                }
            }
        }
        if is_last {
            return shell.code();
        }
    }
}
