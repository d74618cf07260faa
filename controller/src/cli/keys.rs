//! Keys while a run is watched. The terminal gives single keys meanwhile and is set back at the end.

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Leave; the run goes on.
    Leave,
    /// More or less details.
    Details,
    /// Where the logs are.
    Logs,
}

/// The keyboard, where there is one.
pub(super) struct Keys {
    keys: Option<mpsc::Receiver<Key>>,
    before: Option<Termios>,
}

impl Keys {
    /// Reads keys from standard input if that is wanted and possible.
    pub(super) fn open(wanted: bool) -> Self {
        let none = Self { keys: None, before: None };
        let stdin = std::io::stdin();
        let Some(before) = wanted.then(|| tcgetattr(&stdin).ok()).flatten() else { return none };
        let mut single = before.clone();
        // Signals stay with the terminal: Ctrl-C works as ever.
        single.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        single.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        single.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        if tcsetattr(&stdin, SetArg::TCSANOW, &single).is_err() {
            return none;
        }
        let (send, keys) = mpsc::channel(8);
        std::thread::spawn(move || read(&send));
        Self { keys: Some(keys), before: Some(before) }
    }

    /// Whether keys are read.
    pub(super) fn is_open(&self) -> bool {
        self.keys.is_some()
    }

    /// The next key; never, where none can come.
    pub(super) async fn next(&mut self) -> Key {
        loop {
            match &mut self.keys {
                Some(keys) => match keys.recv().await {
                    Some(key) => return key,
                    None => self.keys = None,
                },
                None => return std::future::pending().await,
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs no setting back.
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

/// Reads until standard input ends. Ends with the process at the latest: nothing wakes a read of a terminal.
fn read(keys: &mpsc::Sender<Key>) {
    use std::io::Read;
    let mut byte = [0];
    while let Ok(1) = std::io::stdin().read(&mut byte) {
        let key = match byte[0] {
            b'q' | b'Q' => Key::Leave,
            b't' | b'T' => Key::Details,
            b'l' | b'L' => Key::Logs,
            _ => continue,
        };
        if keys.blocking_send(key).is_err() {
            return;
        }
    }
}
