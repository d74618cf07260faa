//! Faults as a person reads them: one sentence, the place with its line, a hint, the code. Pure: text in, text out.
//!
//! ```text
//! error[CVL-1107]: no fact is called `facts.user_stor.type`
//!   --> recipes/is-km.yaml:142:15   step user-store-jdbc
//! 142 |         when: "facts.user_stor.type == 'jdbc'"
//!     |                ^^^^^^^^^^^^^^^^^^^^ `facts.user_store.type` exists
//! ```

use std::collections::BTreeMap;

use crate::error::{Fault, Faults, Place};

/// Widest line, in characters.
pub const WIDTH: usize = 80;

/// Texts of files by the name that faults use, for their snippets.
pub type Sources = BTreeMap<String, String>;

/// Renders all faults, with a line of counts and codes at the end. Nothing is wider than [`WIDTH`] but a single word that
/// is. `colour` adds ANSI colours and nothing else. `changed` is the last line ("Nothing was changed.").
#[must_use]
pub fn faults(faults: &Faults, sources: &Sources, changed: &str, colour: bool) -> String {
    let paint = Paint(colour);
    let mut out = String::new();
    for fault in &faults.0 {
        out.push_str(&one("error", fault, sources, paint));
        out.push('\n');
    }
    let mut codes: Vec<String> = faults.0.iter().map(|f| f.code.to_string()).collect();
    codes.sort();
    codes.dedup();
    let more = match &codes[..] {
        [] => String::new(),
        [code] => format!("   More: cavalcade explain {code}"),
        many => format!("   More: cavalcade explain CODE ({} errors, {} codes)", faults.0.len(), many.len()),
    };
    out.push_str(&wrap(&format!("{changed}{more}"), "", ""));
    out
}

/// Renders warnings in the same form, without a last line.
#[must_use]
pub fn warnings(warnings: &[Fault], sources: &Sources, colour: bool) -> String {
    warnings.iter().map(|warning| one("warning", warning, sources, Paint(colour)) + "\n").collect()
}

fn one(word: &str, fault: &Fault, sources: &Sources, paint: Paint) -> String {
    let head = format!("{word}[{}]: ", fault.code);
    let sentence = wrap(&printable(&format!("{head}{}", fault.message)), "", "    ");
    let mut out = match sentence.split_once(": ") {
        Some((code, rest)) => format!("{}: {}", paint.red(code), paint.bold(rest.trim_end())),
        None => sentence.trim_end().to_owned(),
    };
    out.push('\n');
    let concerns = [("node", &fault.node), ("step", &fault.step)];
    let concerns: String =
        concerns.iter().filter_map(|(word, what)| Some(format!("   {word} {}", printable(what.as_deref()?)))).collect();
    match &fault.place {
        Some(place) => {
            out.push_str(&wrap(&format!("{}{concerns}", at(place)), "  --> ", "      "));
            out.push_str(&snippet(fault, place, sources, paint));
        }
        None => {
            if !concerns.is_empty() {
                out.push_str(&wrap(concerns.trim_start(), "  --> ", "      "));
            }
            out.push_str(&help_line(fault, paint));
        }
    }
    out
}

fn at(place: &Place) -> String {
    let file = printable(&place.file);
    match (place.line, place.column) {
        (0, _) => file,
        (line, 0) => format!("{file}:{line}"),
        (line, column) => format!("{file}:{line}:{column}"),
    }
}

fn help_line(fault: &Fault, paint: Paint) -> String {
    match &fault.help {
        Some(help) => paint.blue(wrap(&printable(help), "  help: ", "        ").trim_end()) + "\n",
        None => String::new(),
    }
}

fn snippet(fault: &Fault, place: &Place, sources: &Sources, paint: Paint) -> String {
    let line = sources.get(&place.file).filter(|_| place.line > 0 && place.column > 0);
    let line = line.and_then(|text| text.lines().nth(usize::try_from(place.line - 1).ok()?));
    let Some(line) = line else { return help_line(fault, paint) };
    let line = printable(&line.trim_start_matches('\u{feff}').replace('\t', " "));
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let room = WIDTH - number.len() - 4;
    let (shown, column) = window(&line, usize::try_from(place.column - 1).unwrap_or(0), room);
    let left = shown.chars().count().saturating_sub(column).max(1);
    let carets = usize::try_from(place.length).unwrap_or(1).clamp(1, left);
    let mut out = format!("{} {} {shown}\n", paint.blue(&number), paint.blue("|"));
    let marks = "^".repeat(carets);
    let help = fault.help.as_deref().map(printable).unwrap_or_default();
    if column + carets + 1 + help.chars().count() <= room {
        let tail = format!("{marks} {help}");
        out.push_str(&format!("{gutter} {} {}{}\n", paint.blue("|"), " ".repeat(column), paint.red(tail.trim_end())));
    } else {
        out.push_str(&format!("{gutter} {} {}{}\n", paint.blue("|"), " ".repeat(column), paint.red(&marks)));
        out.push_str(&help_line(fault, paint));
    }
    out
}

/// The part of a long line around a column, with `...` where it was cut, and the column inside of it.
fn window(line: &str, column: usize, room: usize) -> (String, usize) {
    let chars: Vec<char> = line.chars().collect();
    if chars.len() <= room {
        return (line.to_owned(), column.min(chars.len()));
    }
    let start = column.saturating_sub(room / 3).min(chars.len().saturating_sub(room - 3));
    let (before, inner) = if start == 0 { ("", room - 3) } else { ("...", room - 6) };
    let end = (start + inner).min(chars.len());
    let after = if end < chars.len() { "..." } else { "" };
    let shown: String = chars[start..end].iter().collect();
    (format!("{before}{shown}{after}"), column.min(chars.len()) - start + before.len())
}

/// Control characters shown, not sent.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The text in lines of at most [`WIDTH`], the first behind `first` and the others behind `next`; a word that is wider stays
/// whole. Each line ends.
#[must_use]
pub fn wrap(text: &str, first: &str, next: &str) -> String {
    let mut out = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        let full = line.chars().count() + usize::from(!empty) + word.chars().count() > WIDTH;
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

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn code(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
    fn red(self, text: &str) -> String {
        self.code("1;31", text)
    }
    fn bold(self, text: &str) -> String {
        self.code("1", text)
    }
    fn blue(self, text: &str) -> String {
        self.code("34", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn example() -> (Faults, Sources) {
        let place = |line, column, length| Place { file: "recipes/is-km.yaml".to_owned(), line, column, length };
        let mut faults = Faults::default();
        faults.push(
            Fault::new(Code(1107), "no fact is called `facts.user_stor.type`")
                .at(place(2, 10, 20))
                .in_step("user-store-jdbc")
                .help("`facts.user_store.type` exists"),
        );
        faults.push(
            Fault::new(Code(1110), "a value that stands far to the right of a line which is much too wide for a screen is wrong")
                .at(place(3, 120, 5))
                .on("is-1")
                .help("write it in quotes, and give it a name that begins with a letter or a digit"),
        );
        faults.push(Fault::new(Code(1120), "the file \u{1b}[2J cannot be read").at(place(0, 0, 0)));
        faults.push(Fault::new(Code(1201), "nothing has a place here").on("is-2").help("look at the node"));
        let long = format!("  url: \"{}wrong{}\"", "x".repeat(111), "y".repeat(60));
        let text = format!("a: 1\n  when: \"facts.user_stor.type == 'jdbc'\"\r\n{long}\n");
        (faults, Sources::from([("recipes/is-km.yaml".to_owned(), text)]))
    }

    #[test]
    fn errors_look_like_this() {
        let (found, sources) = example();
        let text = faults(&found, &sources, "Nothing was changed.", false);
        insta::assert_snapshot!(text);
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn colour_adds_colour_and_nothing_else() {
        let (found, sources) = example();
        let plain = faults(&found, &sources, "Nothing was changed.", false);
        let coloured = faults(&found, &sources, "Nothing was changed.", true);
        let mut stripped = coloured.clone();
        for code in ["\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[34m", "\u{1b}[0m"] {
            stripped = stripped.replace(code, "");
        }
        assert_ne!(plain, coloured);
        assert_eq!(plain, stripped);
    }

    proptest::proptest! {
        #[test]
        fn no_place_panics(line in 0u32..5, column in 0u32..300, length in 0u32..300) {
            let (mut found, sources) = example();
            found.0[0].place = Some(Place { file: "recipes/is-km.yaml".to_owned(), line, column, length });
            let text = faults(&found, &sources, "Nothing was changed.", false);
            proptest::prop_assert!(text.lines().all(|l| l.chars().count() <= WIDTH));
        }
    }
}
