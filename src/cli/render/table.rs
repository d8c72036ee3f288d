//! Aligned columns.

use anstyle::Style;

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
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        let mut used = 0;
        for (column, cell) in row.iter().enumerate() {
            let style = cell.style;
            let text = match (column + 1 == columns, width) {
                (true, Some(width)) => super::cut(&cell.text, width.saturating_sub(used).max(10)),
                (true, None) | (false, _) => cell.text.clone(),
            };
            let padding = " ".repeat(widths[column].saturating_sub(size(cell)));
            let gap = if column == 0 { "" } else { "  " };
            let cell = match cell.right {
                true => format!("{gap}{padding}{style}{text}{style:#}"),
                false if column + 1 == columns => format!("{gap}{style}{text}{style:#}"),
                false => format!("{gap}{style}{text}{style:#}{padding}"),
            };
            line.push_str(&cell);
            used += widths[column] + 2;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
