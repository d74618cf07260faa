//! `repository/logs/wso2carbon.log` and the console, in the formats of the products' log4j2.properties.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// The log of one server.
#[derive(Debug)]
pub struct CarbonLog {
    file: File,
    console: Console,
}

/// How the console names who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// As the file does: `ERROR {org.example.Class} - message`.
    Whole,
    /// By the last part alone, as API Manager 4.0.0 does: `ERROR - Class message`.
    Short,
}

impl CarbonLog {
    /// Opens the log of a home for appending.
    ///
    /// # Errors
    ///
    /// When the folder or the file cannot be made.
    pub fn open(home: &Path, console: Console) -> io::Result<Self> {
        let folder = home.join("repository/logs");
        std::fs::create_dir_all(&folder)?;
        Ok(Self { file: OpenOptions::new().create(true).append(true).open(folder.join("wso2carbon.log"))?, console })
    }

    /// An `INFO` line of a class.
    pub fn info(&self, class: &str, message: &str) {
        self.line("INFO", class, message);
    }

    /// A `WARN` line.
    pub fn warn(&self, class: &str, message: &str) {
        self.line("WARN", class, message);
    }

    /// An `ERROR` line without a stack trace.
    pub fn error(&self, class: &str, message: &str) {
        self.line("ERROR", class, message);
    }

    /// A `FATAL` line.
    pub fn fatal(&self, class: &str, message: &str) {
        self.line("FATAL", class, message);
    }

    /// An `ERROR` line with the stack trace of an exception: several lines, one record.
    pub fn exception(&self, class: &str, message: &str, exception: &str, frames: &[&str]) {
        let mut text = format!("{message}\n{exception}");
        for frame in frames {
            text.push_str("\n\tat ");
            text.push_str(frame);
        }
        self.line("ERROR", class, &text);
    }

    fn line(&self, level: &str, class: &str, message: &str) {
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
        let text = format!("[{now}] {level:>5} {{{class}}} - {message}\n");
        // Where a log cannot be written (no space), Carbon goes on without it, and so does this.
        let _written = (&self.file).write_all(format!("TID: [-1234] [] {text}").as_bytes());
        let shown = match self.console {
            Console::Whole => text,
            Console::Short => {
                let name = class.rsplit('.').next().unwrap_or(class);
                format!("[{now}] {level:>5} - {name} {message}\n")
            }
        };
        let _shown = io::stdout().write_all(shown.as_bytes());
    }
}
