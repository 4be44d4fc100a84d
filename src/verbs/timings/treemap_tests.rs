//! What holds for every treemap.

use proptest::prelude::*;

use super::*;

const AREA: Rect = Rect {
    x: 2.0,
    y: 1.0,
    width: 16.0,
    height: 9.0,
};

/// Numbers as sizes of packages are: a few large, many small, some nothing.
fn sizes() -> impl Strategy<Value = Vec<f64>> {
    let size = prop_oneof![
        1 => Just(0u64),
        4 => 1..1000u64,
        4 => 1000..1_000_000u64,
        2 => 1_000_000..400_000_000u64,
    ];
    prop::collection::vec(size, 0..300).prop_map(|mut sizes| {
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.into_iter().map(|size| size as f64).collect()
    })
}

fn overlap(a: &Rect, b: &Rect) -> f64 {
    let width = (a.x + a.width).min(b.x + b.width) - a.x.max(b.x);
    let height = (a.y + a.height).min(b.y + b.height) - a.y.max(b.y);
    width.max(0.0) * height.max(0.0)
}

proptest! {
    #[test]
    fn areas_are_in_proportion_inside_and_apart(sizes in sizes()) {
        let rects = squarify(&sizes, AREA);
        prop_assert_eq!(rects.len(), sizes.len());
        let total: f64 = sizes.iter().sum();
        let whole = AREA.width * AREA.height;
        for (size, rect) in sizes.iter().zip(&rects) {
            prop_assert!(rect.width >= -1e-9 && rect.height >= -1e-9, "{rect:?}");
            prop_assert!(rect.x >= AREA.x - 1e-9 && rect.y >= AREA.y - 1e-9, "{rect:?}");
            prop_assert!(rect.x + rect.width <= AREA.x + AREA.width + 1e-9, "{rect:?}");
            prop_assert!(rect.y + rect.height <= AREA.y + AREA.height + 1e-9, "{rect:?}");
            if total > 0.0 {
                let expected = size / total * whole;
                let found = rect.width * rect.height;
                prop_assert!((found - expected).abs() < 1e-6, "{size}: {found} for {expected}");
            }
        }
        for (index, a) in rects.iter().enumerate() {
            for b in &rects[index + 1..] {
                prop_assert!(overlap(a, b) < 1e-6, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn the_same_numbers_give_the_same_map(sizes in sizes()) {
        prop_assert_eq!(squarify(&sizes, AREA), squarify(&sizes, AREA));
    }
}

#[test]
fn the_papers_example() {
    let area = Rect {
        x: 0.0,
        y: 0.0,
        width: 6.0,
        height: 4.0,
    };
    let rects = squarify(&[6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0], area);
    let rounded: Vec<_> = rects
        .iter()
        .map(|r| format!("{:.2},{:.2} {:.2}x{:.2}", r.x, r.y, r.width, r.height))
        .collect();
    assert_eq!(
        rounded,
        [
            "0.00,0.00 3.00x2.00",
            "0.00,2.00 3.00x2.00",
            "3.00,0.00 1.71x2.33",
            "4.71,0.00 1.29x2.33",
            "3.00,2.33 1.20x1.67",
            "4.20,2.33 1.20x1.67",
            "5.40,2.33 0.60x1.67",
        ]
    );
}

#[test]
fn equal_numbers_become_squares() {
    let area = Rect {
        x: 0.0,
        y: 0.0,
        width: 4.0,
        height: 4.0,
    };
    for rect in squarify(&[1.0; 16], area) {
        assert!((rect.width - 1.0).abs() < 1e-9 && (rect.height - 1.0).abs() < 1e-9);
    }
}

#[test]
fn nothing_and_only_zeros_are_no_trouble() {
    assert_eq!(squarify(&[], AREA), []);
    assert_eq!(squarify(&[0.0, 0.0], AREA).len(), 2);
}
