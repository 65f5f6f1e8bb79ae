//! A terminal: somebody types into a shell.

use std::time::Duration;

use axum::extract::ws::WebSocket;
use jiff::Timestamp;

use super::{
    channels::{self, CLOSE, STDIN, STDOUT},
    stream::{self, View},
};
use crate::container::{
    Run,
    network::{Directory, Network},
    process::{Process, Whereabouts},
    shell::Shell,
};

/// Longest line, and most lines that are remembered.
const LINE_CHARS_MAX: usize = 16 * 1024;
const LINES_MAX: usize = 100;

/// What the line that is being typed looks like, and the ones before it.
#[derive(Default)]
struct Editor {
    line: Vec<char>,
    history: Vec<Vec<char>>,
    /// Which line of the history is shown; its length: the new one.
    shown: usize,
    /// Bytes of a character, or of a key, that are not all there yet.
    partial: Vec<u8>,
}

/// What a key asks for.
enum Asked {
    /// Nothing more than what is shown.
    Nothing,
    /// The line is to be run.
    Enter(String),
    /// The line, or what runs, is given up.
    Interrupt,
    /// The end.
    End,
}

impl Editor {
    /// Takes a byte in; gives back what is shown of it.
    fn take(&mut self, byte: u8) -> (String, Asked) {
        if !self.partial.is_empty() || byte >= 0x80 || byte == 0x1b {
            self.partial.push(byte);
            return (self.key(), Asked::Nothing);
        }
        match byte {
            b'\r' | b'\n' => {
                let line: String = std::mem::take(&mut self.line).into_iter().collect();
                if !line.trim().is_empty() && self.history.len() < LINES_MAX {
                    self.history.push(line.chars().collect());
                }
                self.shown = self.history.len();
                ("\r\n".to_owned(), Asked::Enter(line))
            }
            3 => {
                self.line.clear();
                ("^C\r\n".to_owned(), Asked::Interrupt)
            }
            4 if self.line.is_empty() => (String::new(), Asked::End),
            // Backspace, and the whole line.
            8 | 127 if self.line.pop().is_some() => ("\u{8} \u{8}".to_owned(), Asked::Nothing),
            21 => (self.replace(Vec::new()), Asked::Nothing),
            0..=31 | 127 => (String::new(), Asked::Nothing),
            _ if self.line.len() >= LINE_CHARS_MAX => ("\u{7}".to_owned(), Asked::Nothing),
            _ => {
                self.line.push(char::from(byte));
                (char::from(byte).to_string(), Asked::Nothing)
            }
        }
    }

    /// Shows another line instead.
    fn replace(&mut self, line: Vec<char>) -> String {
        let erase = "\u{8} \u{8}".repeat(self.line.len());
        self.line = line;
        erase + &self.line.iter().collect::<String>()
    }

    /// A key, or a character, of more than one byte; what is shown of it once it is whole.
    fn key(&mut self) -> String {
        if self.partial[0] != 0x1b {
            return match std::str::from_utf8(&self.partial) {
                Ok(text) => {
                    let text = text.to_owned();
                    self.line.extend(text.chars());
                    self.partial.clear();
                    text
                }
                Err(error) if error.error_len().is_none() && self.partial.len() < 4 => String::new(),
                Err(_) => {
                    self.partial.clear();
                    String::new()
                }
            };
        }
        match self.partial.as_slice() {
            [_] | [_, b'[' | b'O'] => return String::new(),
            // Up and down.
            [_, _, b'A'] if self.shown > 0 => self.shown -= 1,
            [_, _, b'B'] if self.shown < self.history.len() => self.shown += 1,
            [_, _, b'0'..=b'?', ..] if self.partial.len() < 8 && !self.partial.ends_with(b"~") => return String::new(),
            _ => {
                self.partial.clear();
                return String::new();
            }
        }
        self.partial.clear();
        let line = self.history.get(self.shown).cloned().unwrap_or_default();
        self.replace(line)
    }
}

/// Lets somebody type into a shell in a container, until it ends. Gives back its exit code.
pub(super) async fn converse(socket: &mut WebSocket, process: &Process, place: &Whereabouts, name: &str) -> i32 {
    let mut shell = Shell::interactive(process.inside(place, Timestamp::now()).await, name, Timestamp::now());
    let (mut editor, mut typed) = (Editor::default(), String::new());
    let mut keys: std::collections::VecDeque<u8> = std::collections::VecDeque::new();
    if show(socket, &shell.prompt()).await.is_err() {
        return 0;
    }
    loop {
        let Some(byte) = keys.pop_front() else {
            match hear(socket).await {
                Some(bytes) => keys.extend(bytes),
                None => return shell.code(),
            }
            continue;
        };
        let (shown, asked) = editor.take(byte);
        if !shown.is_empty() && show(socket, &shown).await.is_err() {
            return shell.code();
        }
        match asked {
            Asked::Nothing => continue,
            Asked::End => {
                // The other side may have gone: then nobody wants to know.
                let _ = show(socket, if name.ends_with("bash") { "exit\r\n" } else { "\r\n" }).await;
                return shell.code();
            }
            Asked::Interrupt => typed.clear(),
            Asked::Enter(line) => {
                typed.push_str(&line);
                let now = Timestamp::now();
                match typed_in(&mut shell, &typed, now, place).await {
                    None if typed.len() < LINE_CHARS_MAX => {
                        typed.push('\n');
                        if show(socket, "> ").await.is_err() {
                            return shell.code();
                        }
                        continue;
                    }
                    None => typed.clear(),
                    Some((run, ends)) => {
                        typed.clear();
                        process.record(now, run.changes.clone());
                        if play(socket, run, process, &mut keys).await.is_err() || ends {
                            return shell.code();
                        }
                    }
                }
            }
        }
        if show(socket, &shell.prompt()).await.is_err() {
            return shell.code();
        }
    }
}

/// Runs what was typed, with what it finds in the network now.
pub(super) async fn typed_in(
    shell: &mut Shell,
    typed: &str,
    now: Timestamp,
    place: &Whereabouts,
) -> Option<(Run, bool)> {
    *shell.network() = Network::default();
    loop {
        let mut next = shell.clone();
        let typed = next.typed(typed, now);
        match typed.as_ref().and_then(|(run, _)| run.asks.as_ref()) {
            Some(ask) => {
                let answer = Directory::of(place).find(&ask.host).await;
                shell.network().learn(&ask.host, answer, Duration::MAX);
            }
            None => {
                *shell = next;
                return typed;
            }
        }
    }
}

/// Shows what commands write, in its time, until they end or are interrupted.
async fn play(
    socket: &mut WebSocket,
    run: Run,
    process: &Process,
    keys: &mut std::collections::VecDeque<u8>,
) -> Result<(), ()> {
    let start = tokio::time::Instant::now();
    let view = View { input: true, tty: true };
    let moments = run.output.into_iter().map(|one| (Some(one.after), Some((one.stream, one.text))));
    let end = std::iter::once((run.end.map(|(after, _)| after), None));
    for (after, text) in moments.chain(end) {
        let at = after.map(|after| start + process.scaled(after));
        loop {
            let wait = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => tokio::time::sleep(Duration::MAX).await,
                }
            };
            tokio::select! {
                biased;
                () = wait => break,
                bytes = hear(socket) => {
                    let bytes = bytes.ok_or(())?;
                    if bytes.contains(&3) {
                        return show(socket, "^C\r\n").await;
                    }
                    keys.extend(bytes);
                }
            }
        }
        if let Some((stream, text)) = text {
            stream::send(socket, stream, &text, view).await.map_err(drop)?;
        }
    }
    Ok(())
}

async fn show(socket: &mut WebSocket, text: &str) -> Result<(), ()> {
    channels::send(socket, STDOUT, text.as_bytes()).await.map_err(drop)
}

/// What was typed; `None` at the end.
pub(super) async fn hear(socket: &mut WebSocket) -> Option<Vec<u8>> {
    loop {
        let data = channels::receive(socket).await?;
        match data.split_first() {
            Some((&STDIN, rest)) if !rest.is_empty() => return Some(rest.to_vec()),
            Some((&STDIN, _)) => return None,
            Some((&CLOSE, [STDIN, ..])) => return None,
            // The size of the window, for instance.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_edited() {
        let mut editor = Editor::default();
        let mut entered = Vec::new();
        for byte in "lx\u{7f}s\r\u{1b}[A\ra\u{15}é\u{1b}[3~\r\u{3}".bytes() {
            if let (_, Asked::Enter(line)) = editor.take(byte) {
                entered.push(line);
            }
        }
        assert_eq!(entered, ["ls", "ls", "é"]);
        assert!(matches!(editor.take(4), (_, Asked::End)));
    }
}
