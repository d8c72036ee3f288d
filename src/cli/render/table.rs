//! Aligned columns.

use anstyle::Style;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A cell: text and how it looks.
pub(super) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new(), right: false }
    }

    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style, right: false }
    }

    pub(super) fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new(), right: true }
    }
}

/// Rows with aligned columns, two spaces between them; the last column is cut where the screen ends.
pub(super) fn table(rows: &[Vec<Cell>], width: Option<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let size = |cell: &Cell| cell.text.chars().count();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(size).max().unwrap_or(0))
        .collect();
    let mut out = String::with_capacity(rows.len() * (widths.iter().sum::<usize>() + 2 * columns));
    let mut line = String::new();
    for row in rows {
        line.clear();
        let mut used = 0;
        for (column, cell) in row.iter().enumerate() {
            let last = column + 1 == columns;
            let text = match (last, width) {
                (true, Some(width)) => Cow::from(super::cut(&cell.text, width.saturating_sub(used).max(10))),
                (true, None) | (false, _) => Cow::from(&cell.text),
            };
            let padding = widths[column].saturating_sub(size(cell));
            line.push_str(if column == 0 { "" } else { "  " });
            pad(&mut line, if cell.right { padding } else { 0 });
            let style = cell.style;
            // Writing to a String cannot fail.
            let _ = write!(line, "{style}{text}{style:#}");
            pad(&mut line, if cell.right || last { 0 } else { padding });
            used += widths[column] + 2;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn pad(line: &mut String, width: usize) {
    line.extend(std::iter::repeat_n(' ', width));
}
