//! Draws a changing picture in its place on the terminal, in one write a picture.

use std::io::Write;

use super::failure::Failure;
use super::output::raw;

/// Which stream is the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The picture's place.
#[derive(Debug)]
pub(super) struct Painter {
    stream: Stream,
    drawn: usize,
}

impl Painter {
    /// A picture that begins where the cursor stands.
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, drawn: 0 }
    }

    /// Replaces the picture.
    pub(super) fn draw(&mut self, lines: &[String]) -> Result<(), Failure> {
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A"),
        };
        let mut text = format!("{up}\r\u{1b}[J");
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.len();
        self.write(&text)
    }

    /// Takes the picture away.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        self.draw(&[])
    }

    /// Leaves the picture where it is; the next one begins below.
    pub(super) fn leave(&mut self) {
        self.drawn = 0;
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        match self.stream {
            Stream::Out => raw(text),
            Stream::Err => {
                let mut err = std::io::stderr().lock();
                // A closed standard error takes the picture away and nothing else.
                let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
                Ok(())
            }
        }
    }
}
