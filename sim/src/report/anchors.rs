//! Where in a label map a class's number is best written: at the pixel farthest from any other class.

use crate::label_map::LabelMap;

/// A pixel in the middle of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Column.
    pub x: usize,
    /// Row.
    pub y: usize,
    /// Pixels to the nearest one of another class, or beyond the map, in the larger of the two directions.
    pub distance: u32,
}

/// The anchor of each of `classes` classes; `None` for one without pixels. The first of equally good pixels is taken.
#[must_use]
pub fn anchors(labels: &LabelMap, classes: usize) -> Vec<Option<Anchor>> {
    let (width, height) = (labels.width(), labels.height());
    let distances = distances(labels);
    let mut anchors: Vec<Option<Anchor>> = vec![None; classes];
    for (at, (&label, &distance)) in labels.labels().iter().zip(&distances).enumerate() {
        if let Some(anchor) = anchors.get_mut(usize::from(label))
            && anchor.is_none_or(|anchor| distance > anchor.distance)
        {
            *anchor = Some(Anchor {
                x: at % width,
                y: at / width,
                distance,
            });
        }
    }
    debug_assert!(anchors.iter().flatten().all(|anchor| anchor.y < height));
    anchors
}

/// How many pixels away the nearest one of another class is, diagonals counting as one (the chessboard's distance).
fn distances(labels: &LabelMap) -> Vec<u32> {
    let (width, height) = (labels.width(), labels.height());
    let mut distances = vec![u32::MAX; width * height];
    let mut visit = |x: usize, y: usize, neighbours: [(isize, isize); 4]| {
        let at = y * width + x;
        for (dx, dy) in neighbours {
            let neighbour = x
                .checked_add_signed(dx)
                .filter(|&x| x < width)
                .zip(y.checked_add_signed(dy).filter(|&y| y < height))
                .map(|(x, y)| y * width + x)
                .filter(|&other| labels.labels()[other] == labels.labels()[at]);
            let distance = neighbour.map_or(1, |other| distances[other].saturating_add(1));
            distances[at] = distances[at].min(distance);
        }
    };
    for y in 0..height {
        for x in 0..width {
            visit(x, y, [(-1, 0), (-1, -1), (0, -1), (1, -1)]);
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            visit(x, y, [(1, 0), (1, 1), (0, 1), (-1, 1)]);
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distances_are_those_of_a_search(
            width in 1_usize..9,
            height in 1_usize..9,
            seed in proptest::collection::vec(0_u8..3, 64),
        ) {
            let labels = LabelMap::new(width, height, seed[..width * height].to_vec()).unwrap();
            let at = |x: i64, y: i64| {
                let inside = (0..width as i64).contains(&x) && (0..height as i64).contains(&y);
                inside.then(|| labels.labels()[y as usize * width + x as usize])
            };
            let search = |x: i64, y: i64| {
                (1..).find(|&d| {
                    (-d..=d).any(|dy| (-d..=d).any(|dx| at(x + dx, y + dy) != at(x, y)))
                })
            };
            let found = distances(&labels);
            for y in 0..height {
                for x in 0..width {
                    let expected = search(x as i64, y as i64).unwrap();
                    prop_assert_eq!(i64::from(found[y * width + x]), expected, "{} {}", x, y);
                }
            }
        }
    }

    #[test]
    fn the_middle_is_the_anchor() {
        let labels = LabelMap::new(5, 5, vec![1; 25]).unwrap();
        let anchor = Anchor {
            x: 2,
            y: 2,
            distance: 3,
        };
        assert_eq!(anchors(&labels, 3), [None, Some(anchor), None]);
    }
}
