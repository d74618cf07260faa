//! Explanations of error codes, for the terminal and for `docs/errors.md`: one text in both places.

use cavalcade_common::codes::{self, Explained};

use super::text::wrap;

/// One explanation for a terminal.
#[must_use]
pub fn explanation(e: &Explained) -> String {
    let part = |word: &str, text: &str| wrap(text, 79, &format!("  {word:<9}"), "           ");
    let head = format!("{}: {}\n\n", e.code, e.title);
    head + &part("cause", e.cause) + &part("certain", e.certain) + &part("unknown", e.unknown) + &part("remedy", e.remedy)
}

/// All explanations as one page.
#[must_use]
pub fn errors_markdown() -> String {
    let mut all: Vec<&Explained> = codes::all().collect();
    all.sort_by_key(|e| e.code);
    let mut page = "# Error codes\n\nEvery error has a stable code. `cavalcade explain CODE` prints the same text without a \
        network. This page is written by `cavalcade explain --all-markdown`; a test keeps both equal.\n"
        .to_owned();
    for e in all {
        page.push_str(&format!(
            "\n## {}: {}\n\n- **Cause**: {}\n- **Certain**: {}\n- **Not certain**: {}\n- **What to do**: {}\n",
            e.code, e.title, e.cause, e.certain, e.unknown, e.remedy
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_errors_is_the_programs_own_text() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == errors_markdown(),
            "write it anew: cargo run --bin cavalcade -- explain --all-markdown --out docs/errors.md"
        );
    }

    #[test]
    fn an_explanation_fits_a_terminal() {
        for e in codes::all() {
            let text = explanation(e);
            assert!(text.lines().skip(1).all(|l| l.split(' ').any(|w| w.len() > 60) || l.len() < 80), "{text}");
        }
    }
}
