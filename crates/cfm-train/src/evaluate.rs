//! Validation during training: the network as it is now, in floats or through the fake quantizer, labels photographs.
//!
//! Segments, masks and the vote are the deployed ones; only the arithmetic of the layers is the framework's.

use cfm_core::labelling::{LabelError, ScoredSegment};
use cfm_core::model::Model;
use cfm_core::segment::{Segment, SegmentError, SuperpixelMap};
use cfm_sim::dataset::Description;
use cfm_sim::evaluate::{ClassMatch, Evaluation};
use cfm_sim::label_map::{LabelMap, LabelMapError};
use cfm_sim::labelling::label;
use cfm_sim::metrics::Confusion;
use rayon::prelude::*;

use crate::data::Photo;
use crate::fake_quantize::to_vec;
use crate::network::{Exponents, Network, image_tensor};
use crate::pooling::FlatFeatures;
use crate::projection::{Projected, ProjectionError, project};
use crate::proposals::Candidates;

/// Why photographs cannot be labelled.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Segments cannot be projected.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The vote fails.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The labels are no map.
    #[error(transparent)]
    LabelMap(#[from] LabelMapError),
    /// A photograph was read without the labels to measure on.
    #[error("a photograph has no labels")]
    NoLabels,
    /// The labels cannot be measured.
    #[error(transparent)]
    Measure(#[from] cfm_sim::evaluate::EvaluateError),
}

impl From<SegmentError> for EvaluateError {
    fn from(error: SegmentError) -> Self {
        Self::Projection(error.into())
    }
}

/// A network that labels photographs.
#[derive(Debug, Clone, Copy)]
pub struct Evaluator<'a> {
    /// The network, without gradients.
    pub network: &'a Network,
    /// Runs it through the fake quantizer.
    pub exponents: Option<&'a Exponents>,
    /// Geometry, mask rule, voting rule and the scale of the logits.
    pub model: &'a Model<'a>,
    /// Exponent of `model`'s logits.
    pub logit_exponent: i32,
}

impl Evaluator<'_> {
    /// Compares labels with the truth at the resolution of the data set's label maps, as `cfm eval` does. `done` is
    /// called after each photograph.
    ///
    /// # Errors
    /// When the candidates do not fit the model's input, the model's classes are not those of the data set, a photograph
    /// has no labels, or no pixel has a class.
    pub fn evaluate(
        &self,
        photos: &[Photo],
        candidates: &[Candidates],
        description: &Description,
        done: impl Fn() + Sync,
    ) -> Result<Evaluation, EvaluateError> {
        let classes = ClassMatch::new(self.model, description)?;
        let confusion = photos
            .par_iter()
            .zip(candidates)
            .map(|(photo, candidates)| {
                let labels = photo.labels.as_ref().ok_or(EvaluateError::NoLabels)?;
                let confusion = classes.compare(labels, &self.labels(photo, candidates)?);
                done();
                Ok::<_, EvaluateError>(confusion)
            })
            .try_reduce(
                || Confusion::new(description.classes.len()),
                |a, b| Ok(a.merged(&b)),
            )?;
        Ok(classes.measure(&confusion, photos.len())?)
    }

    /// Scores all segments of one photograph: their masks, and one logit per segment and class in steps of the model's
    /// logits.
    ///
    /// # Errors
    /// When the candidates do not fit the model's input.
    pub fn logits(
        &self,
        photo: &Photo,
        candidates: &Candidates,
    ) -> Result<(Vec<Projected>, Vec<i16>), EvaluateError> {
        let (width, height) = (photo.classes.width(), photo.classes.height());
        let device = self.network.side.weight.val().device();
        let images = image_tensor(&[&photo.pixels], width, height, &device);
        let features = FlatFeatures::new(self.network.features(images, self.exponents));
        let projected = project(self.model, &candidates.maps, candidates.segments.iter())?;
        if projected.is_empty() {
            return Ok((projected, Vec::new()));
        }
        let head = &self.network.head;
        let pooled = features
            .pool_paths(0, &projected, head.pyramid())
            .map(|path| path.matrix(projected.len(), &device));
        let step = 2f32.powi(-self.logit_exponent);
        // The conversion saturates, as the classifier does.
        let logits = to_vec(head.logits(pooled, self.exponents))
            .iter()
            .map(|x| (x * step).round_ties_even() as i16)
            .collect();
        Ok((projected, logits))
    }

    /// Labels one photograph at the size of the network's input, with the model's class indices.
    ///
    /// # Errors
    /// When the candidates do not fit the model's input.
    pub fn labels(
        &self,
        photo: &Photo,
        candidates: &Candidates,
    ) -> Result<LabelMap, EvaluateError> {
        let (width, height) = (photo.classes.width(), photo.classes.height());
        let (projected, logits) = self.logits(photo, candidates)?;
        let input = self.model.input();
        let maps = candidates
            .maps
            .iter()
            .map(|map| SuperpixelMap::new(&map.labels, input.width, input.height, map.count))
            .collect::<Result<Vec<_>, _>>()?;
        let classes = self.model.class_count();
        let labels = label(
            self.model,
            self.model.labelling(),
            &maps,
            projected.len(),
            |i| ScoredSegment {
                segment: Segment::Superpixels {
                    map: candidates.segments[i].map,
                    members: &candidates.segments[i].members,
                },
                area: projected[i].area,
                logits: &logits[i * classes..][..classes],
            },
        )?;
        Ok(LabelMap::new(width, height, labels)?)
    }
}
