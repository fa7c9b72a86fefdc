//! What a training step sees of one photograph: the augmented image, the labels of the feature cells, and a draw of
//! segments with their classes.
//!
//! A step takes all its segments from a few whole images, since an image is convolved once however many segments it
//! has. The images are permuted anew for every pass, and the segments of each are drawn anew, so that the segments of
//! all images meet in ever new mini-batches.
//!
//! There are two [methods](crate::config::SamplingMethod). [`share`] goes by the labels of the augmented image. [`paper`]
//! compares segments with ground-truth [objects](ground_truth) ([`object_overlap`]) and stuff ([`purity`],
//! [`segment_pursuit`]), once for each photograph before training: a mirror changes none of these overlaps, and the
//! small zoom, which moves labels and segments together, cuts off parts of both alike. Segments of which the crop leaves
//! less than the smallest size are dropped.

pub mod ground_truth;
pub mod object_overlap;
pub mod overlap;
pub mod paper;
pub mod purity;
pub mod segment_pursuit;
pub mod share;

use cfm_core::model::Model;

use self::paper::Roles;
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

/// A photograph to draw from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The photograph.
    pub photo: &'a Photo,
    /// Its segments.
    pub candidates: &'a Candidates,
    /// What they are examples of, with the method of the paper; `None` for the method of shares.
    pub roles: Option<&'a Roles>,
    /// Classes of the data set.
    pub classes: usize,
    /// What to draw.
    pub config: &'a SamplingConfig,
}

impl<'a> Source<'a> {
    /// Draws a sample. `segments` tells whether segments are wanted at all.
    ///
    /// # Errors
    /// When the candidates do not fit the model's input.
    pub fn draw(
        &self,
        augmentation: &Augmentation,
        segments: bool,
        model: &Model<'_>,
        random: &mut Stream,
    ) -> Result<Sample, ProjectionError> {
        let (width, height) = (self.photo.classes.width(), self.photo.classes.height());
        let warp = augmentation.warp;
        let labels = warp.nearest(self.photo.classes.labels(), width, height);
        let drawn = if segments {
            let maps: Vec<Map> = self
                .candidates
                .maps
                .iter()
                .map(|map| Map {
                    labels: warp.nearest(&map.labels, width, height),
                    count: map.count,
                })
                .collect();
            let chosen = self.choose(&maps, &labels, random);
            self.project(&maps, &chosen, model)?
        } else {
            Vec::new()
        };
        Ok(Sample {
            pixels: augmentation.image(&self.photo.pixels, width, height),
            cell_shares: cell_shares(&labels, width, height, self.classes, model),
            segments: drawn,
        })
    }

    /// All segments of the photograph, as it is, that are examples of anything.
    ///
    /// # Errors
    /// When the candidates do not fit the model's input.
    pub fn all(&self, model: &Model<'_>) -> Result<Vec<(Projected, u8)>, ProjectionError> {
        let maps = &self.candidates.maps;
        let chosen = match self.roles {
            Some(roles) => roles.all(self.candidates, &self.config.paper),
            None => self.labelled(maps, self.photo.classes.labels()).all(),
        };
        self.project(maps, &chosen, model)
    }

    fn labelled(&self, maps: &[Map], labels: &[u8]) -> share::Labelled {
        let segments = &self.candidates.segments;
        share::labelled(maps, segments, labels, self.classes, self.config)
    }

    /// Draws segments (by index) of the warped maps.
    fn choose(&self, maps: &[Map], labels: &[u8], random: &mut Stream) -> Vec<(usize, u8)> {
        let Some(roles) = self.roles else {
            return self.labelled(maps, labels).draw(self.config, random);
        };
        let mut chosen = roles.draw(self.candidates, &self.config.paper, random);
        let areas = overlap::classes(maps, labels, self.classes);
        chosen.retain(|&(index, _)| {
            let Candidate { map, members } = &self.candidates.segments[index];
            let area: u32 = areas[*map].of(members).iter().sum();
            area >= self.config.smallest.max(1)
        });
        chosen
    }

    fn project(
        &self,
        maps: &[Map],
        chosen: &[(usize, u8)],
        model: &Model<'_>,
    ) -> Result<Vec<(Projected, u8)>, ProjectionError> {
        let segments = chosen
            .iter()
            .map(|&(index, _)| &self.candidates.segments[index]);
        let projected = project(model, maps, segments)?;
        let classes = chosen.iter().map(|&(_, class)| class);
        Ok(projected.into_iter().zip(classes).collect())
    }
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
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The pixels of a segment.
    pub(crate) fn pixels(candidates: &Candidates, segment: &Candidate) -> Vec<usize> {
        let labels = &candidates.maps[segment.map].labels;
        (0..labels.len())
            .filter(|&pixel| segment.members.contains(&labels[pixel]))
            .collect()
    }

    /// One map, whose superpixels are the segments.
    pub(crate) fn singles(labels: Vec<u16>, count: u16) -> Candidates {
        Candidates {
            maps: vec![Map { labels, count }],
            segments: (0..count)
                .map(|id| Candidate {
                    map: 0,
                    members: vec![id],
                })
                .collect(),
        }
    }

    /// Two maps of `pixels` pixels with five superpixels each, some of which may be empty, and segments of both.
    pub(crate) fn arbitrary_candidates(pixels: usize) -> impl Strategy<Value = Candidates> {
        let map =
            proptest::collection::vec(0_u16..5, pixels).prop_map(|labels| Map { labels, count: 5 });
        let members = proptest::sample::subsequence(vec![0_u16, 1, 2, 3, 4], 1..=5);
        let segment = (0_usize..2, members).prop_map(|(map, members)| Candidate { map, members });
        let maps = proptest::collection::vec(map, 2);
        let segments = proptest::collection::vec(segment, 0..12);
        (maps, segments).prop_map(|(maps, segments)| Candidates { maps, segments })
    }
}
