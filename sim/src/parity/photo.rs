//! Parity on a photograph, for tests.

use cfm_core::kernels::{Kernels, Native, native_for};
use cfm_core::model::Model;
use image::RgbImage;

use super::{Naming, ParityError, ParityReport, check_with};
use crate::import::Segments;
use crate::pipeline::Pipeline;
use crate::trace::Inputs;

/// How the core is compared with the float reference on photographs: by which segments and with which kernels.
///
/// ```
/// use cfm_core::kernels::Portable;
/// use cfm_core::model::Model;
/// use cfm_sim::built_in;
/// use cfm_sim::parity::PhotoCheck;
/// use cfm_sim::scene::Scene;
///
/// let model = Model::parse(built_in::STREET.cfm)?;
/// let mine = Portable; // kernels of your own, for a processor of your own
/// PhotoCheck::new(&model).kernels(mine).assert(&Scene::render(60, 45, 1).photo);
/// # Ok::<_, cfm_core::model::ModelError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PhotoCheck<'a, K = Native> {
    model: &'a Model<'a>,
    segments: Option<&'a Segments>,
    /// The host's fastest for the model without any.
    kernels: Option<K>,
}

impl<'a> PhotoCheck<'a> {
    /// By the proposals that the model carries the parameters of, with the host's fastest kernels.
    #[must_use]
    pub fn new(model: &'a Model<'a>) -> Self {
        Self {
            model,
            segments: None,
            kernels: None,
        }
    }
}

impl<'a, K: Kernels + Copy> PhotoCheck<'a, K> {
    /// By these segments instead of proposals. There are no superpixels then, so the model's rule must not refine by any.
    #[must_use]
    pub const fn segments(self, segments: &'a Segments) -> Self {
        Self {
            segments: Some(segments),
            ..self
        }
    }

    /// With these kernels.
    #[must_use]
    pub fn kernels<L: Kernels + Copy>(self, kernels: L) -> PhotoCheck<'a, L> {
        PhotoCheck {
            model: self.model,
            segments: self.segments,
            kernels: Some(kernels),
        }
    }

    /// Computes everything for a photograph of any size twice and compares every tensor, as [`check_with`] does.
    ///
    /// # Errors
    /// [`ParityError`] when the photograph cannot be brought to the model's input, or something is refused.
    pub fn run(&self, photo: &RgbImage) -> Result<ParityReport, ParityError> {
        let pipeline = Pipeline::new(self.model)?;
        let check = |inputs: &Inputs<'_>| match self.kernels {
            Some(kernels) => check_with(self.model, inputs, Naming::Layers, kernels),
            None => check_with(self.model, inputs, Naming::Layers, &native_for(self.model)),
        };
        match self.segments {
            None => Inputs::of_photo(&pipeline, photo, check)?,
            Some(segments) => Inputs::of_segments(&pipeline, photo, segments, check)?,
        }
    }

    /// Asserts that every element of every tensor agrees.
    ///
    /// # Panics
    /// With the first tensor that differs, the position and both values, and the whole report; or with the error.
    #[track_caller]
    pub fn assert(&self, photo: &RgbImage) {
        match self.run(photo) {
            Ok(report) => match report.first_mismatch() {
                None => {}
                Some(first) => panic!("core and reference differ in {first}\n\n{report}"),
            },
            Err(error) => panic!("core and reference cannot be compared: {error}"),
        }
    }
}

/// Compares core and float reference on a photograph of any size, by the model's own proposals: [`PhotoCheck::run`].
///
/// # Errors
/// [`ParityError`] when nothing can be compared.
pub fn check_parity(model: &Model<'_>, photo: &RgbImage) -> Result<ParityReport, ParityError> {
    PhotoCheck::new(model).run(photo)
}

/// Asserts that core and float reference agree on a photograph of any size, to the last bit of every tensor:
/// [`PhotoCheck::assert`].
///
/// # Panics
/// With the first tensor that differs, the position and both values, and the whole report; or with the error.
#[track_caller]
pub fn assert_parity(model: &Model<'_>, photo: &RgbImage) {
    PhotoCheck::new(model).assert(photo);
}
