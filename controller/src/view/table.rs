//! Tables for people: columns by content, at most so many columns wide; a cell that is too wide goes on below itself.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

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
    let words = longest_words(head, rows);
    // No word is broken where that leaves a quarter of the width to share out.
    if words.iter().sum::<u16>() <= WIDTH / 4 * 3 {
        for (column, word) in table.column_iter_mut().zip(words) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(word)));
        }
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// The longest word of each column, with the space on both sides of it.
fn longest_words(head: &[&str], rows: &[Vec<String>]) -> Vec<u16> {
    let of = |text: &str| clean(text).split_whitespace().map(console::measure_text_width).max().unwrap_or(0);
    let of_column = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| of(cell));
        cells.chain([of(head[column])]).max().unwrap_or(0)
    };
    (0..head.len()).map(|column| u16::try_from(of_column(column) + 2).unwrap_or(WIDTH)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_whole_where_there_is_room_for_all() {
        let nodes = "is-1 is-2 am-1 tm-1 gw-1 gw-2".to_owned();
        let row = [
            "database.shared_db.password".to_owned(),
            "set anew".to_owned(),
            "the databases of the fleet file".to_owned(),
            nodes,
        ];
        let text = table(&["OLD SETTING", "BECOMES", "WHY", "NODES"], &[row.to_vec()], &[]);
        assert!(text.contains("database.shared_db.password"), "{text}");
        assert!(text.lines().all(|l| console::measure_text_width(l) <= usize::from(WIDTH)), "{text}");
    }

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
