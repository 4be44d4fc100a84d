//! A small drawing of a disk for the summary: a bar with a box for each partition, and a table.

use std::fmt::Write as _;

use super::layout::{Layout, Slot};
use super::size_text;

/// With which characters to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Box-drawing characters.
    Unicode,
    /// Plus signs, hyphens and bars.
    Ascii,
}

struct Glyphs {
    top: [char; 3],
    bottom: [char; 3],
    line: char,
    wall: char,
    at_least: &'static str,
}

const UNICODE: Glyphs = Glyphs {
    top: ['┌', '┬', '┐'],
    bottom: ['└', '┴', '┘'],
    line: '─',
    wall: '│',
    at_least: "≥ ",
};
const ASCII: Glyphs = Glyphs {
    top: ['+', '+', '+'],
    bottom: ['+', '+', '+'],
    line: '-',
    wall: '|',
    at_least: ">= ",
};

/// Draws `layout` in at most `width` columns; lines end with a newline. The bar is left out where
/// its boxes would not hold their names, or where there is nothing to draw.
#[must_use]
pub fn draw(layout: &Layout, width: usize, style: Style) -> String {
    let glyphs = match style {
        Style::Unicode => &UNICODE,
        Style::Ascii => &ASCII,
    };
    let mut text = String::new();
    bar(&mut text, layout.slots(), width, glyphs);
    table(&mut text, layout, glyphs);
    text
}

fn size(slot: &Slot, glyphs: &Glyphs) -> String {
    let prefix = if slot.size_is_minimum {
        glyphs.at_least
    } else {
        ""
    };
    format!("{prefix}{}", size_text(slot.size))
}

fn bar(text: &mut String, slots: &[Slot], width: usize, glyphs: &Glyphs) {
    let sizes: Vec<_> = slots.iter().map(|slot| size(slot, glyphs)).collect();
    // What each box needs inside: its longer line and a space on either side.
    let mut widths: Vec<usize> = slots
        .iter()
        .zip(&sizes)
        .map(|(slot, size)| slot.kind.short_name().len().max(size.chars().count()) + 2)
        .collect();
    let needed = widths.iter().sum::<usize>() + slots.len() + 1;
    let Some(spare) = width.checked_sub(needed).filter(|_| !slots.is_empty()) else {
        return;
    };
    // The rest goes to the partitions by their sizes; what rounding leaves, to the largest.
    let total: u128 = slots.iter().map(|slot| u128::from(slot.size)).sum();
    let mut left = spare;
    for (slot, width) in slots.iter().zip(&mut widths) {
        let share = (u128::from(slot.size) * spare as u128 / total.max(1)) as usize;
        *width += share;
        left -= share;
    }
    if let Some((_, width)) = slots
        .iter()
        .zip(&mut widths)
        .max_by_key(|(slot, _)| slot.size)
    {
        *width += left;
    }

    border(text, &widths, glyphs.top, glyphs.line);
    row(
        text,
        &widths,
        slots.iter().map(|s| s.kind.short_name()),
        glyphs.wall,
    );
    row(text, &widths, sizes.iter().map(String::as_str), glyphs.wall);
    border(text, &widths, glyphs.bottom, glyphs.line);
}

fn border(text: &mut String, widths: &[usize], [left, middle, right]: [char; 3], line: char) {
    let mut corner = left;
    for width in widths {
        text.push(corner);
        text.extend(std::iter::repeat_n(line, *width));
        corner = middle;
    }
    text.push(right);
    text.push('\n');
}

fn row<'a>(text: &mut String, widths: &[usize], cells: impl Iterator<Item = &'a str>, wall: char) {
    for (cell, width) in cells.zip(widths) {
        text.push(wall);
        let before = (width - cell.chars().count()) / 2;
        text.extend(std::iter::repeat_n(' ', before));
        text.push_str(cell);
        text.extend(std::iter::repeat_n(
            ' ',
            width - before - cell.chars().count(),
        ));
    }
    text.push(wall);
    text.push('\n');
}

fn table(text: &mut String, layout: &Layout, glyphs: &Glyphs) {
    let mut lines = vec![[
        String::new(),
        "Name".to_owned(),
        "Start".to_owned(),
        "Size".to_owned(),
        "Flags".to_owned(),
    ]];
    for (index, slot) in layout.slots().iter().enumerate() {
        let flags: Vec<_> = [
            (slot.attributes.read_only, "read-only"),
            (slot.attributes.grow_file_system, "grows"),
            (slot.attributes.no_auto, "no-auto"),
        ]
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect();
        lines.push([
            (index + 1).to_string(),
            slot.label.to_owned(),
            size_text(slot.offset),
            size(slot, glyphs),
            flags.join(", "),
        ]);
    }
    let prefix = if layout.slots().iter().any(|slot| slot.size_is_minimum) {
        glyphs.at_least
    } else {
        ""
    };
    lines.push([
        String::new(),
        "Whole disk".to_owned(),
        String::new(),
        format!("{prefix}{}", size_text(layout.total())),
        String::new(),
    ]);
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 4] = std::array::from_fn(width);
    for [number, name, start, size, flags] in &lines {
        let line = format!(
            "{number:>w0$}  {name:<w1$}  {start:>w2$}  {size:>w3$}  {flags}",
            w0 = widths[0],
            w1 = widths[1],
            w2 = widths[2],
            w3 = widths[3],
        );
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::disk::layout::{Attributes, Request};
    use crate::disk::{Architecture, PartitionKind};

    fn layout(parts: &[(PartitionKind, u64, bool, bool)]) -> Layout {
        let requests: Vec<_> = parts
            .iter()
            .map(|(kind, size, size_is_minimum, read_only)| Request {
                kind: *kind,
                size: *size,
                size_is_minimum: *size_is_minimum,
                uuid: Uuid::nil(),
                attributes: Attributes {
                    read_only: *read_only,
                    grow_file_system: !*read_only && *kind == PartitionKind::Root,
                    no_auto: false,
                },
            })
            .collect();
        Layout::new(Architecture::X86_64, &requests, 2048).unwrap()
    }

    #[test]
    fn draws_boxes_by_size_and_a_table() {
        let layout = layout(&[
            (PartitionKind::Esp, 256 << 20, false, false),
            (PartitionKind::Swap, 512 << 20, false, false),
            (PartitionKind::Root, 1 << 30, true, false),
        ]);
        let expected = "\
┌───────────┬─────────────────┬──────────────────────────────┐
│    esp    │      swap       │             root             │
│   256M    │      512M       │             ≥ 1G             │
└───────────┴─────────────────┴──────────────────────────────┘
   Name                  Start    Size  Flags
1  EFI System Partition     1M    256M
2  Swap Partition         257M    512M
3  Root Partition         769M    ≥ 1G  grows
   Whole disk                   ≥ 1.8G
";
        assert_eq!(draw(&layout, 62, Style::Unicode), expected);
    }

    #[test]
    fn draws_in_ascii() {
        let layout = layout(&[(PartitionKind::Root, 1 << 30, true, true)]);
        let expected = "\
+------------------+
|       root       |
|      >= 1G       |
+------------------+
   Name            Start     Size  Flags
1  Root Partition     1M    >= 1G  read-only
   Whole disk             >= 1.1G
";
        assert_eq!(draw(&layout, 20, Style::Ascii), expected);
    }

    #[test]
    fn never_wider_than_asked_and_whole_at_80_columns() {
        let all: Vec<_> = PartitionKind::ALL
            .iter()
            .zip([
                256 << 20,
                1 << 20,
                512 << 20,
                2 << 30,
                100 << 30,
                5 << 30,
                3 << 40,
                64 << 20,
            ])
            .map(|(kind, size)| (*kind, size, true, true))
            .collect();
        let layout = layout(&all);
        for width in 0..200 {
            let text = draw(&layout, width, Style::Unicode);
            let bar: Vec<_> = text
                .lines()
                .filter(|line| line.starts_with(['┌', '│', '└']))
                .collect();
            assert!(
                bar.iter().all(|line| line.chars().count() == width),
                "{width}"
            );
            assert_eq!(bar.len(), if width >= 80 { 4 } else { bar.len() });
            assert!(
                text.lines()
                    .all(|line| line.chars().count() <= width.max(80))
            );
        }
    }

    #[test]
    fn an_empty_disk_is_a_table_without_rows() {
        let text = draw(&layout(&[]), 80, Style::Unicode);
        assert_eq!(
            text,
            "  Name        Start  Size  Flags\n  Whole disk           2M\n"
        );
    }
}
