//! Tables for people: columns by content, at most so many columns wide; a cell that is too wide goes on below itself.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::text::clean;

/// Columns of every table: one less than a terminal of 80 has.
pub const WIDTH: u16 = 79;

/// A table without lines. `right` names the columns of numbers.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>], right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(head.iter().map(|word| clean(word)));
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_never_wider_than_a_terminal() {
        let rows = vec![
            vec!["1".to_owned(), "x".repeat(100), "is-1 is-2 ".repeat(12)],
            vec!["12".to_owned(), "short\u{1b}[2J".to_owned(), "-".to_owned()],
        ];
        let text = table(&["N", "NAME", "NODES"], &rows, &[0]);
        assert!(text.lines().all(|l| console::measure_text_width(l) <= usize::from(WIDTH)), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
