//! Lines for screens: text with styles, measured in columns and cut to fit. Nothing that could act on a terminal gets
//! through.

use console::measure_text_width;

/// How a piece of a line looks. A style adds colour and never meaning: every state has its word as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As the terminal has it.
    Plain,
    /// Bold.
    Bold,
    /// Faint.
    Dim,
    /// Went wrong.
    Red,
    /// Went well, or is new.
    Green,
    /// Waits, or wants to be read.
    Yellow,
    /// Under way, or a place.
    Blue,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Blue => "34",
        }
    }

    /// A text in this style.
    #[must_use]
    pub fn paint(self, text: &str, colour: bool) -> String {
        if !colour || self == Self::Plain || text.trim().is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{}m{text}\u{1b}[0m", self.code())
    }
}

/// One line in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of plain text.
    #[must_use]
    pub fn of(text: impl AsRef<str>) -> Self {
        Self::new().add(Style::Plain, text)
    }

    /// Adds a piece; control characters in it are shown, not kept.
    #[must_use]
    pub fn add(mut self, style: Style, text: impl AsRef<str>) -> Self {
        self.0.push((style, clean(text.as_ref())));
        self
    }

    /// Adds plain text.
    #[must_use]
    pub fn text(self, text: impl AsRef<str>) -> Self {
        self.add(Style::Plain, text)
    }

    /// Columns that it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| measure_text_width(text)).sum()
    }

    /// Fills up with spaces to this column.
    #[must_use]
    pub fn to_column(self, column: usize) -> Self {
        let missing = column.saturating_sub(self.width());
        self.text(" ".repeat(missing))
    }

    /// The line as text of at most `width` columns; what is cut is marked by `..`.
    #[must_use]
    pub fn render(&self, width: usize, colour: bool) -> String {
        let cut = self.width() > width;
        let mut room = if cut { width.saturating_sub(2) } else { width };
        let mut out = String::new();
        for (style, text) in &self.0 {
            let part = head(text, room);
            room -= measure_text_width(part);
            out.push_str(&style.paint(part, colour));
            if part.len() < text.len() {
                break;
            }
        }
        if cut {
            out.push_str(&".."[..width.min(2)]);
            return out;
        }
        out.trim_end().to_owned()
    }
}

/// The longest beginning of a text that takes at most `room` columns.
fn head(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += measure_text_width(c.encode_utf8(&mut [0; 4]));
        if used > room {
            return &text[..at];
        }
    }
    text
}

/// Text of another program or file, safe for a terminal: whatever could act on it, or turn the direction of writing, is
/// shown as its escape; a tab or a line end becomes a space.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_unicode()),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}' => {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

/// Wraps a text at spaces to `width` columns; the first line begins with `first`, the others with `next`. A single word
/// that is wider stays whole: a path or a command must be copied as it is.
#[must_use]
pub fn wrap(text: &str, width: usize, first: &str, next: &str) -> String {
    let mut out = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in clean(text.trim()).split(' ') {
        if word.is_empty() && empty {
            continue;
        }
        let full = measure_text_width(&line) + usize::from(!empty) + measure_text_width(word) > width;
        if full && !empty {
            out.push_str(line.trim_end());
            out.push('\n');
            line = next.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

/// Names in one word where they follow each other: `gw-1 gw-2 gw-3` is `gw-1..3`. The order of the first ones stays.
#[must_use]
pub fn ranges<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut groups: Vec<(String, Vec<u64>, Option<String>)> = Vec::new();
    for name in names {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = name[stem.len()..].parse::<u64>().ok().filter(|n| n.to_string() == name[stem.len()..]);
        match (number, groups.last_mut()) {
            (Some(n), Some((last, numbers, None))) if last == stem && numbers.last().is_some_and(|l| l + 1 == n) => {
                numbers.push(n);
            }
            (Some(n), _) => groups.push((stem.to_owned(), vec![n], None)),
            (None, _) => groups.push((String::new(), Vec::new(), Some(name.to_owned()))),
        }
    }
    let words = groups.into_iter().map(|(stem, numbers, whole)| match (whole, &numbers[..]) {
        (Some(whole), _) => whole,
        (None, [first, second]) => format!("{stem}{first} {stem}{second}"),
        (None, [first, .., last]) => format!("{stem}{first}..{last}"),
        (None, [only]) => format!("{stem}{only}"),
        (None, []) => stem,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_takes_more_columns_than_it_may() {
        let line = Line::of("stage ").add(Style::Red, "FAILED").text(" \u{8d85}\u{7d1a} and so on");
        for width in 0..40 {
            let plain = line.render(width, false);
            assert!(measure_text_width(&plain) <= width, "{width}: {plain:?}");
            assert_eq!(console::strip_ansi_codes(&line.render(width, true)), plain);
        }
        assert_eq!(line.render(10, false), "stage FA..");
    }

    #[test]
    fn nothing_acts_on_the_terminal() {
        let text = Line::of("a\u{1b}[2Jb\r\n\u{202e}c\td").render(80, false);
        assert_eq!(text, "a\\u{1b}[2Jb\\u{d} \\u{202e}c d");
    }

    #[test]
    fn names_in_a_row_are_one_word() {
        assert_eq!(
            ranges(["gw-1", "gw-2", "gw-3", "is-1", "is-2", "cp", "gw-9", "a01", "a02"]),
            "gw-1..3 is-1 is-2 cp gw-9 a01 a02"
        );
        assert_eq!(ranges([]), "");
        assert_eq!(ranges(["99999999999999999999999", "1"]), "99999999999999999999999 1");
    }

    #[test]
    fn wrapping_keeps_words_whole() {
        assert_eq!(wrap("one two three", 9, "- ", "  "), "- one two\n  three\n");
        assert_eq!(wrap("one   two\nthree", 11, "", "  "), "one   two\n  three\n");
        assert_eq!(wrap("/a/very/long/path x", 8, "", " "), "/a/very/long/path\n x\n");
    }
}
