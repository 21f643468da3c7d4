//! Columns for people and for `awk`: left aligned, as wide as what is in them, two blanks apart, nothing at the end of a line.

/// The lines of a table; what is empty is shown as `-`, so that columns can be counted.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let mut widths = header.map(|name| name.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            line += &format!("{:width$}  ", if cell.is_empty() { "-" } else { cell });
        }
        line.truncate(line.trim_end().len());
        line
    };
    let mut lines = vec![line(header)];
    lines.extend(rows.iter().map(|row| line(std::array::from_fn(|column| row[column].as_str()))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [["orders".into(), "".into()], ["é".into(), "17".into()]];
        assert_eq!(table(["TOPIC", "LAG"], &rows), ["TOPIC   LAG", "orders  -", "é       17"]);
    }
}
