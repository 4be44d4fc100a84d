//! Rectangles whose areas are in the proportion of numbers, as square as they can be.
//!
//! The algorithm is that of Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000): rows along the
//! shorter side of what is left, each as long as that makes its worst rectangle squarer.

/// A rectangle, in whatever unit the area has that it is part of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// The left edge.
    pub x: f64,
    /// The upper edge.
    pub y: f64,
    /// How wide it is.
    pub width: f64,
    /// How high it is.
    pub height: f64,
}

/// Divides `area`: a rectangle for each number, in their order, without gaps. Rectangles of zeros have
/// no area. The numbers should come largest first; none may be negative.
#[must_use]
pub fn squarify(numbers: &[f64], area: Rect) -> Vec<Rect> {
    let total: f64 = numbers.iter().sum();
    let whole = area.width * area.height;
    let mut rects = Vec::with_capacity(numbers.len());
    let mut left = area;
    let mut rest = numbers;
    let scale = if total > 0.0 { whole / total } else { 0.0 };
    while !rest.is_empty() {
        let side = left.width.min(left.height);
        let length = row_length(rest, scale, side);
        let (row, others) = rest.split_at(length);
        left = place_row(row, others.is_empty(), scale, left, &mut rects);
        rest = others;
    }
    rects
}

/// How many of the numbers make the best row along a side.
fn row_length(numbers: &[f64], scale: f64, side: f64) -> usize {
    let mut sum = 0.0;
    let mut best = f64::INFINITY;
    for (index, number) in numbers.iter().enumerate() {
        sum += number * scale;
        let largest = numbers[0] * scale;
        let smallest = number * scale;
        let worst = worst_ratio(sum, largest, smallest, side);
        if index > 0 && worst > best {
            return index;
        }
        best = worst;
    }
    numbers.len()
}

/// The longer side of the worst rectangle in a row, by its shorter one.
fn worst_ratio(sum: f64, largest: f64, smallest: f64, side: f64) -> f64 {
    let (sum, side) = (sum * sum, side * side);
    if sum <= 0.0 || smallest <= 0.0 {
        return f64::INFINITY;
    }
    (side * largest / sum).max(sum / (side * smallest))
}

/// Places a row at the left, or above where the area is higher than wide; returns what is left. The
/// last one takes all that is left: rounding leaves no gap.
fn place_row(row: &[f64], last: bool, scale: f64, area: Rect, rects: &mut Vec<Rect>) -> Rect {
    let sum: f64 = row.iter().sum();
    let upright = area.width >= area.height;
    let (side, depth) = if upright {
        (area.height, area.width)
    } else {
        (area.width, area.height)
    };
    let thick = if last {
        depth
    } else if side > 0.0 {
        (sum * scale / side).min(depth)
    } else {
        0.0
    };
    let mut at = 0.0;
    for (index, number) in row.iter().enumerate() {
        let long = if index + 1 == row.len() {
            side - at
        } else if sum > 0.0 {
            (side * number / sum).min(side - at)
        } else {
            0.0
        };
        rects.push(if upright {
            Rect {
                x: area.x,
                y: area.y + at,
                width: thick,
                height: long,
            }
        } else {
            Rect {
                x: area.x + at,
                y: area.y,
                width: long,
                height: thick,
            }
        });
        at += long;
    }
    if upright {
        Rect {
            x: area.x + thick,
            width: area.width - thick,
            ..area
        }
    } else {
        Rect {
            y: area.y + thick,
            height: area.height - thick,
            ..area
        }
    }
}

#[cfg(test)]
#[path = "treemap_tests.rs"]
mod tests;
