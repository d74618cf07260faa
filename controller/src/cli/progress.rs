//! A bar for what this program itself does: bytes of a true total.

use std::io::Write;
use std::time::{Duration, Instant};

use super::context::Context;
use super::output::say;

/// Between two pictures on a terminal.
const OFTEN: Duration = Duration::from_millis(100);
/// Between two lines where there is none.
const SELDOM: Duration = Duration::from_secs(10);

/// Bytes on their way.
pub(super) struct Bytes {
    what: String,
    live: bool,
    shown: Option<Instant>,
}

impl Bytes {
    /// Nothing is shown before the first word.
    pub(super) fn new(context: &Context, what: impl Into<String>) -> Self {
        Self { what: what.into(), live: context.live_err, shown: None }
    }

    /// So many of so many.
    pub(super) fn at(&mut self, done: u64, total: u64) {
        let pause = if self.live { OFTEN } else { SELDOM };
        if self.shown.is_some_and(|shown| shown.elapsed() < pause) && done < total {
            return;
        }
        self.shown = Some(Instant::now());
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        let (done, all) = (size(done), size(total));
        if !self.live {
            return say(&format!("{}: {done} of {all}", self.what));
        }
        let full = usize::try_from(percent / 5).unwrap_or(20).min(20);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(20 - full));
        let mut err = std::io::stderr().lock();
        // Nobody looks: nothing is lost.
        let _ = write!(err, "\r\u{1b}[K{bar} {percent:>3}% {done} of {all}  {:.30}", self.what).and_then(|()| err.flush());
    }

    /// The bar goes away.
    pub(super) fn end(&self) {
        if self.live && self.shown.is_some() {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\r\u{1b}[K").and_then(|()| err.flush());
        }
    }
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_for_people() {
        let shown: Vec<String> = [0, 1023, 1024, 1_900_000, 501_220_147, 1 << 40].map(size).to_vec();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.8 MiB", "478.0 MiB", "1.0 TiB"]);
        assert!(size(u64::MAX).ends_with("TiB"));
    }
}
