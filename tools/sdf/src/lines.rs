// SPDX-License-Identifier: BSD-2-Clause
//! From byte offsets in a text to rows and columns.

use crate::model::Pos;

/// Where the lines of a text begin.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Row and column of a byte offset; offsets past the end give the end.
    pub(crate) fn pos(&self, offset: usize) -> Pos {
        let row = self.starts.partition_point(|start| *start <= offset);
        let start = row.checked_sub(1).and_then(|i| self.starts.get(i)).copied().unwrap_or(0);
        let line = self.text.get(start..offset).unwrap_or("");
        Pos { row: clamp(row.max(1)), col: clamp(line.chars().count() + 1) }
    }

    /// Byte offset of a row and column, the inverse of [`Lines::pos`]; places past the end of a line give its end.
    pub(crate) fn offset(&self, pos: Pos) -> usize {
        let row = usize::try_from(pos.row).unwrap_or(usize::MAX).saturating_sub(1);
        let Some(&start) = self.starts.get(row) else { return self.text.len() };
        let end = self.starts.get(row + 1).map_or(self.text.len(), |next| next - 1);
        let col = usize::try_from(pos.col).unwrap_or(usize::MAX).saturating_sub(1);
        let line = self.text.get(start..end).unwrap_or("");
        start + line.char_indices().nth(col).map_or(line.len(), |(at, _)| at)
    }
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_rows_and_columns_and_back() {
        let text = "ab\ncä€d\n\nx";
        let lines = Lines::new(text);
        for (offset, row, col) in
            [(0, 1, 1), (2, 1, 3), (3, 2, 1), (6, 2, 3), (9, 2, 4), (11, 3, 1), (12, 4, 1), (13, 4, 2)]
        {
            assert_eq!(lines.pos(offset), Pos { row, col }, "offset {offset}");
            assert_eq!(lines.offset(Pos { row, col }), offset);
        }
    }

    #[test]
    fn places_outside_the_text_are_clamped() {
        let lines = Lines::new("ab\nc");
        assert_eq!(lines.offset(Pos { row: 9, col: 1 }), 4);
        assert_eq!(lines.offset(Pos { row: 1, col: 99 }), 2);
        assert_eq!(lines.pos(99).row, 2);
    }
}
