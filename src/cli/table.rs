//! Aligned columns for people.

use crate::shown;
use std::fmt::Write;

/// Columns as wide as their widest cell, two blanks apart; the last one is not padded. Control
/// characters are shown escaped: cells may hold names that an agent chose.
pub fn render(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(|cell| shown::text(cell)).collect()).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let last = column + 1 == row.len();
            let padding = if last { 0 } else { widths.get(column).unwrap_or(&0) + 2 - cell.chars().count() };
            let _ = write!(text, "{cell}{:padding$}", "");
        }
        // A last cell that is empty leaves the padding of the one before it.
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_harmless() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["b\u{1b}]52;x".to_owned(), "2".to_owned()]];
        assert_eq!(render(&["NAME", "N"], &rows), "NAME          N\na             1\nb\\u{1b}]52;x  2\n");
        assert_eq!(render(&["A", "B"], &[vec!["a".to_owned(), String::new()]]), "A  B\na\n");
    }
}
