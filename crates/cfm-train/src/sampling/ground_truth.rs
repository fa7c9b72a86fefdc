//! The ground-truth segments of objects.
//!
//! A data set may have them in `regions/ID.png`, 8 bits a pixel: 0 for none, otherwise the number of the segment, whose
//! class is the most frequent one of its pixels. Without that file, an object is a 4-connected component of the pixels
//! of an object class; touching objects of one class are one then.

use std::path::PathBuf;

use cfm_sim::dataset::{Dataset, DatasetError, Kind};

use crate::data::{IGNORE, Photo};

/// Why there are no ground-truth segments.
#[derive(Debug, thiserror::Error)]
pub enum GroundTruthError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] DatasetError),
    /// It does not fit the labels.
    #[error("{0}: it does not have the size of the labels")]
    Size(PathBuf),
}

/// The objects of one photograph, at the size of the network's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objects {
    /// The object of every pixel, row-major, if it belongs to one.
    pub object: Vec<Option<u16>>,
    /// The class of every object.
    pub classes: Vec<u8>,
}

impl Objects {
    /// The objects of a photograph: those of its file, otherwise the connected components. `kinds` are the kinds of
    /// all classes.
    ///
    /// # Errors
    /// When there is a file, but it cannot be read or has another size than the labels.
    pub fn of(dataset: &Dataset, photo: &Photo, kinds: &[Kind]) -> Result<Self, GroundTruthError> {
        let classes = &photo.classes;
        let (width, height) = (classes.width(), classes.height());
        let Some(regions) = dataset.regions(&photo.id)? else {
            return Ok(Self::components(classes.labels(), width, kinds));
        };
        if (regions.width(), regions.height()) != photo.labels_size {
            return Err(GroundTruthError::Size(dataset.regions_path(&photo.id)));
        }
        let regions = regions.resized(width, height);
        Ok(Self::regions(regions.labels(), classes.labels(), kinds))
    }

    /// The objects among numbered segments (0 is none), each of its majority class.
    #[must_use]
    pub fn regions(regions: &[u8], labels: &[u8], kinds: &[Kind]) -> Self {
        let mut counts = vec![vec![0_u32; kinds.len()]; 256];
        for (&region, &label) in regions.iter().zip(labels) {
            if region != 0 && label != IGNORE {
                counts[usize::from(region)][usize::from(label)] += 1;
            }
        }
        let mut number = [None; 256];
        let mut classes = Vec::new();
        for (number, counts) in number.iter_mut().zip(&counts) {
            let most = counts.iter().copied().max().unwrap_or(0);
            let majority = counts.iter().position(|&count| count == most && most > 0);
            if let Some(class) = majority.filter(|&class| kinds[class] == Kind::Object) {
                *number = Some(classes.len() as u16);
                classes.push(class as u8);
            }
        }
        let object = regions
            .iter()
            .map(|&region| number[usize::from(region)])
            .collect();
        Self { object, classes }
    }

    /// The 4-connected components of object classes in rows of `width` pixels.
    #[must_use]
    pub fn components(labels: &[u8], width: usize, kinds: &[Kind]) -> Self {
        let is_object = |label: u8| kinds.get(usize::from(label)) == Some(&Kind::Object);
        let mut object = vec![None; labels.len()];
        let mut classes: Vec<u8> = Vec::new();
        let mut stack = Vec::new();
        for start in 0..labels.len() {
            let class = labels[start];
            // A photograph with more objects than 16 bits can count has noise for labels: leave out the rest.
            if !is_object(class) || object[start].is_some() || classes.len() > usize::from(u16::MAX)
            {
                continue;
            }
            let number = classes.len() as u16;
            classes.push(class);
            object[start] = Some(number);
            stack.push(start);
            while let Some(at) = stack.pop() {
                let column = at % width;
                let neighbours = [
                    (column > 0).then(|| at - 1),
                    (column + 1 < width).then(|| at + 1),
                    at.checked_sub(width),
                    Some(at + width).filter(|&below| below < labels.len()),
                ];
                for near in neighbours.into_iter().flatten() {
                    if labels[near] == class && object[near].is_none() {
                        object[near] = Some(number);
                        stack.push(near);
                    }
                }
            }
        }
        Self { object, classes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Kind; 3] = [Kind::Object, Kind::Stuff, Kind::Object];

    #[test]
    fn regions_have_their_majority_class() {
        let regions = [0, 7, 7, 7, 2, 2, 9, 9, 3];
        let labels = [0, 0, 0, 1, 1, 1, 2, IGNORE, IGNORE];
        let objects = Objects::regions(&regions, &labels, &KINDS);
        assert_eq!(objects.classes, [0, 2]);
        let [none, first, second] = [None, Some(0), Some(1)];
        let expected = [none, first, first, first, none, none, second, second, none];
        assert_eq!(objects.object, expected);
    }

    proptest! {
        /// Against the definition: two pixels share an object exactly if a path of equal labels joins them.
        #[test]
        fn components_are_the_closure_of_adjacency(
            labels in proptest::collection::vec(0_u8..4, 30),
        ) {
            let labels: Vec<u8> = labels.iter().map(|&l| if l == 3 { IGNORE } else { l }).collect();
            let width = 6;
            let objects = Objects::components(&labels, width, &KINDS);
            let adjacent = |a: usize, b: usize| {
                let (ax, ay, bx, by) = (a % width, a / width, b % width, b / width);
                ax.abs_diff(bx) + ay.abs_diff(by) == 1 && labels[a] == labels[b]
            };
            let n = labels.len();
            let mut joined: Vec<Vec<bool>> = (0..n)
                .map(|a| (0..n).map(|b| a == b || adjacent(a, b)).collect())
                .collect();
            for via in 0..n {
                for a in 0..n {
                    for b in 0..n {
                        joined[a][b] |= joined[a][via] && joined[via][b];
                    }
                }
            }
            for a in 0..n {
                let is_object = [0, 2].contains(&labels[a]);
                prop_assert_eq!(objects.object[a].is_some(), is_object);
                if let Some(object) = objects.object[a] {
                    prop_assert_eq!(objects.classes[usize::from(object)], labels[a]);
                    let same: Vec<bool> =
                        objects.object.iter().map(|&other| other == Some(object)).collect();
                    prop_assert_eq!(&same, &joined[a]);
                }
            }
        }
    }
}
