//! What a training step sees of one photograph: the augmented image, the labels of the feature cells, and a draw of
//! segments with their classes.

use cfm_core::model::Model;

use crate::augment::Augmentation;
use crate::config::SamplingConfig;
use crate::data::{IGNORE, Photo};
use crate::projection::{Projected, ProjectionError, project};
use crate::proposals::{Candidate, Candidates, Map};
use crate::random::Stream;

/// One photograph, ready for a training step.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Interleaved RGB.
    pub pixels: Vec<u8>,
    /// For every class, then every cell in row-major order: the class's share of the cell's labelled pixels.
    pub cell_shares: Vec<f32>,
    /// The drawn segments with their class; the class after the last one is "mixed".
    pub segments: Vec<(Projected, u8)>,
}

/// Draws a sample. `segments` tells whether segments are wanted at all.
///
/// # Errors
/// When the candidates do not fit the model's input.
#[allow(clippy::too_many_arguments)]
pub fn draw(
    photo: &Photo,
    candidates: &Candidates,
    classes: usize,
    augmentation: &Augmentation,
    sampling: &SamplingConfig,
    segments: bool,
    model: &Model<'_>,
    random: &mut Stream,
) -> Result<Sample, ProjectionError> {
    let (width, height) = (photo.classes.width(), photo.classes.height());
    let warp = augmentation.warp;
    let labels = warp.nearest(photo.classes.labels(), width, height);
    let drawn = if segments {
        let maps: Vec<Map> = candidates
            .maps
            .iter()
            .map(|map| Map {
                labels: warp.nearest(&map.labels, width, height),
                count: map.count,
            })
            .collect();
        let chosen = choose(
            &maps,
            &candidates.segments,
            &labels,
            classes,
            sampling,
            random,
        );
        let projected = project(model, &maps, chosen.iter().map(|(candidate, _)| *candidate))?;
        projected
            .into_iter()
            .zip(chosen.iter().map(|&(_, class)| class))
            .collect()
    } else {
        Vec::new()
    };
    Ok(Sample {
        pixels: augmentation.image(&photo.pixels, width, height),
        cell_shares: cell_shares(&labels, width, height, classes, model),
        segments: drawn,
    })
}

/// How a segment's pixels are labelled.
struct Composition {
    pixels: u32,
    labelled: u32,
    majority: u8,
    share: f32,
}

fn composition(members: &[u16], histogram: &[u32], classes: usize) -> Composition {
    let mut counts = vec![0u32; classes + 1];
    for &member in members {
        let row = &histogram[usize::from(member) * (classes + 1)..][..classes + 1];
        for (count, &pixels) in counts.iter_mut().zip(row) {
            *count += pixels;
        }
    }
    let labelled: u32 = counts[..classes].iter().sum();
    let (majority, &most) = counts[..classes]
        .iter()
        .enumerate()
        .rev()
        .max_by_key(|&(_, &count)| count)
        .unwrap_or((0, &0));
    Composition {
        pixels: labelled + counts[classes],
        labelled,
        majority: majority as u8,
        share: most as f32 / labelled.max(1) as f32,
    }
}

/// Draws segments of one class, in equal turns of the classes, and mixed ones, with replacement.
fn choose<'c>(
    maps: &[Map],
    candidates: &'c [Candidate],
    labels: &[u8],
    classes: usize,
    sampling: &SamplingConfig,
    random: &mut Stream,
) -> Vec<(&'c Candidate, u8)> {
    let histograms: Vec<Vec<u32>> = maps
        .iter()
        .map(|map| {
            let mut histogram = vec![0; usize::from(map.count) * (classes + 1)];
            for (&id, &label) in map.labels.iter().zip(labels) {
                let class = if label == IGNORE {
                    classes
                } else {
                    label.into()
                };
                histogram[usize::from(id) * (classes + 1) + class] += 1;
            }
            histogram
        })
        .collect();
    let mut pure: Vec<Vec<&Candidate>> = vec![Vec::new(); classes];
    let mut mixed = Vec::new();
    for candidate in candidates {
        let found = composition(&candidate.members, &histograms[candidate.map], classes);
        if found.pixels < sampling.smallest.max(1) || 2 * found.labelled < found.pixels {
            continue;
        }
        if found.share >= sampling.pure_share {
            pure[usize::from(found.majority)].push(candidate);
        } else if found.share < sampling.mixed_share {
            mixed.push(candidate);
        }
    }
    let present: Vec<usize> = (0..classes).filter(|&c| !pure[c].is_empty()).collect();
    let mut chosen = Vec::with_capacity(sampling.pure + sampling.mixed);
    if !present.is_empty() {
        let first = random.below(present.len());
        for turn in 0..sampling.pure {
            let class = present[(first + turn) % present.len()];
            let candidate = pure[class][random.below(pure[class].len())];
            chosen.push((candidate, class as u8));
        }
    }
    if !mixed.is_empty() {
        for _ in 0..sampling.mixed {
            chosen.push((mixed[random.below(mixed.len())], classes as u8));
        }
    }
    chosen
}

/// The share of each class among the labelled pixels of each feature cell; all zero where nothing is labelled.
fn cell_shares(
    labels: &[u8],
    width: usize,
    height: usize,
    classes: usize,
    model: &Model<'_>,
) -> Vec<f32> {
    let (rows, columns) = (model.rows(), model.columns());
    let (cell_rows, cell_columns) = (usize::from(rows.cells()), usize::from(columns.cells()));
    let cells = cell_rows * cell_columns;
    let column_of: Vec<usize> = (0..width).map(|x| columns.cell(x as u16).into()).collect();
    let mut shares = vec![0.0f32; classes * cells];
    let mut totals = vec![0.0f32; cells];
    for y in 0..height {
        let row = usize::from(rows.cell(y as u16)) * cell_columns;
        for (&label, &column) in labels[y * width..][..width].iter().zip(&column_of) {
            if label != IGNORE {
                shares[usize::from(label) * cells + row + column] += 1.0;
                totals[row + column] += 1.0;
            }
        }
    }
    for class in shares.chunks_exact_mut(cells) {
        for (share, total) in class.iter_mut().zip(&totals) {
            *share /= total.max(1.0);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn draws_are_balanced_and_mixed_is_mixed() {
        // Eight superpixels of four pixels; labels 0, 0, 0, 1, mixed, mixed, ignored, 2.
        let map = Map {
            labels: (0..32).map(|i| i / 4).collect(),
            count: 8,
        };
        let labels: Vec<u8> = [
            [0; 4],
            [0; 4],
            [0, 0, 0, 1],
            [1; 4],
            [0, 1, 2, IGNORE],
            [2, 1, 0, 1],
            [IGNORE; 4],
            [2, 2, IGNORE, 2],
        ]
        .concat();
        let candidates: Vec<Candidate> = (0..8)
            .map(|id| Candidate {
                map: 0,
                members: vec![id],
            })
            .collect();
        let sampling = SamplingConfig {
            pure: 9,
            mixed: 4,
            mixed_share: 0.51,
            smallest: 1,
            ..SamplingConfig::default()
        };
        let mut random = Stream::new(1, Purpose::Sample, 0, 0);
        let maps = [map];
        let chosen = choose(&maps, &candidates, &labels, 3, &sampling, &mut random);
        for class in 0..3 {
            assert_eq!(chosen.iter().filter(|(_, c)| *c == class).count(), 3);
        }
        let ids = |class: u8| {
            chosen
                .iter()
                .filter(move |(_, c)| *c == class)
                .map(|(candidate, _)| candidate.members[0])
        };
        assert!(ids(0).all(|id| id <= 2));
        assert!(ids(1).all(|id| id == 3));
        assert!(ids(2).all(|id| id == 7));
        assert_eq!(ids(3).count(), 4);
        assert!(ids(3).all(|id| id == 4 || id == 5));
    }
}
