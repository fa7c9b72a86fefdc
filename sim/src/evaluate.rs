//! Measuring a model on a labelled data set, at the resolution of its label images.
//!
//! A class of the model is the class of the data set with its label value, and must have the same name. Pixels with
//! the ignored label are left out. Pixels of classes that the model does not know stay in: they are errors of the
//! global accuracy and of the classes they are taken for, but such classes have no part in the means.

use cfm_core::model::{ClassKind, Model};
use image::RgbImage;
use rayon::prelude::*;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::dataset::{Dataset, DatasetError, Description};
use crate::label_map::LabelMap;
use crate::metrics::Confusion;

/// Why a model cannot be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The data set cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Model and data set call a label value by different names.
    #[error(
        "the model calls label {label} {model:?}, the data set {dataset:?}: they do not belong together"
    )]
    ClassName {
        /// The label value.
        label: u8,
        /// The model's name for it.
        model: String,
        /// The data set's name for it.
        dataset: String,
    },
    /// Model and data set have no class in common.
    #[error("the model and the data set have no class in common")]
    NoCommonClass,
    /// No pixel of the split has a label that counts.
    #[error("no pixel of the split belongs to a class that the model knows")]
    NoTruth,
    /// A photograph cannot be segmented.
    #[error("{id}: {source}")]
    Segment {
        /// The photograph.
        id: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// How the classes of a model and of a data set belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassMatch {
    /// Position in the data set's list by label value.
    truth: [Option<usize>; 256],
    /// Position in the data set's list by the model's class index.
    given: [Option<usize>; 256],
    measured: MeasuredClasses,
}

/// The classes of a data set, and which of them have a part in the means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredClasses {
    /// In the data set's order, that of a [`Confusion`].
    names: Vec<String>,
    /// Positions of the classes that the model knows, too.
    common: Vec<usize>,
}

impl ClassMatch {
    /// Matches classes by label value.
    ///
    /// # Errors
    /// [`EvaluateError::ClassName`] or [`EvaluateError::NoCommonClass`].
    pub fn new(model: &Model<'_>, description: &Description) -> Result<Self, EvaluateError> {
        let mut truth = [None; 256];
        for (position, class) in description.classes.iter().enumerate() {
            truth[usize::from(class.index)] = Some(position);
        }
        let mut given = [None; 256];
        for (index, class) in model.classes().enumerate() {
            if class.kind == ClassKind::Background {
                continue;
            }
            let Some(position) = truth[usize::from(class.label)] else {
                continue;
            };
            let name = &description.classes[position].name;
            if !name.eq_ignore_ascii_case(class.name) {
                return Err(EvaluateError::ClassName {
                    label: class.label,
                    model: class.name.to_owned(),
                    dataset: name.clone(),
                });
            }
            given[index] = Some(position);
        }
        let mut common: Vec<usize> = given.iter().flatten().copied().collect();
        common.sort_unstable();
        if common.is_empty() {
            return Err(EvaluateError::NoCommonClass);
        }
        Ok(Self {
            truth,
            given,
            measured: MeasuredClasses {
                names: description
                    .classes
                    .iter()
                    .map(|class| class.name.clone())
                    .collect(),
                common,
            },
        })
    }

    /// Compares labels (class indices of the model) with the ground truth (label values), at the latter's size.
    #[must_use]
    pub fn compare(&self, truth: &LabelMap, given: &LabelMap) -> Confusion {
        let given = given.resized(truth.width(), truth.height());
        let mut confusion = Confusion::new(self.measured.count());
        confusion.add(
            truth
                .labels()
                .iter()
                .zip(given.labels())
                .map(|(&t, &g)| (self.truth[usize::from(t)], self.given[usize::from(g)])),
        );
        confusion
    }

    /// The classes, and which of them have a part in the means.
    #[must_use]
    pub const fn measured(&self) -> &MeasuredClasses {
        &self.measured
    }

    /// As [`MeasuredClasses::measure`].
    ///
    /// # Errors
    /// [`EvaluateError::NoTruth`].
    pub fn measure(
        &self,
        confusion: &Confusion,
        images: usize,
    ) -> Result<Evaluation, EvaluateError> {
        self.measured.measure(confusion, images)
    }
}

impl MeasuredClasses {
    /// The number of classes of the data set.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.names.len()
    }

    /// Whether all positions are those of classes. Only values from elsewhere can be wrong.
    #[must_use]
    pub(crate) fn is_valid(&self) -> bool {
        self.common.iter().all(|&class| class < self.names.len())
    }

    /// The measures that follow from a confusion matrix of these classes.
    ///
    /// # Errors
    /// [`EvaluateError::NoTruth`].
    pub fn measure(
        &self,
        confusion: &Confusion,
        images: usize,
    ) -> Result<Evaluation, EvaluateError> {
        let classes = self
            .common
            .iter()
            .map(|&class| (self.names[class].clone(), confusion.iou(class)))
            .collect();
        let measured = || {
            Some(Evaluation {
                images,
                miou: confusion.mean_iou(&self.common)?,
                class_accuracy: confusion.class_accuracy(&self.common)?,
                global_accuracy: confusion.global_accuracy()?,
                fwiou: confusion.frequency_weighted_iou()?,
                class_iou: ClassIou(classes),
            })
        };
        measured().ok_or(EvaluateError::NoTruth)
    }
}

/// The measures of a model on a data set, as fractions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many images were compared.
    pub images: usize,
    /// Mean IoU over the model's classes that the ground truth has.
    pub miou: f64,
    /// Mean recall over the same classes.
    pub class_accuracy: f64,
    /// Share of pixels with the right class.
    pub global_accuracy: f64,
    /// Frequency-weighted IoU.
    pub fwiou: f64,
    /// IoU by class.
    pub class_iou: ClassIou,
}

/// IoU by class name, in the data set's order; `None` where the ground truth lacks the class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassIou(pub Vec<(String, Option<f64>)>);

impl Serialize for ClassIou {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, iou) in &self.0 {
            map.serialize_entry(name, iou)?;
        }
        map.end()
    }
}

/// Labels the photograph `id` with `segment` (which returns class indices of the model, once per way of labelling) and
/// compares it with the ground truth: one matrix per way of labelling.
///
/// # Errors
/// [`EvaluateError::Dataset`] or [`EvaluateError::Segment`].
pub fn compare<E: std::error::Error + Send + Sync + 'static>(
    dataset: &Dataset,
    id: &str,
    classes: &ClassMatch,
    segment: impl Fn(&RgbImage) -> Result<Vec<LabelMap>, E>,
) -> Result<Vec<Confusion>, EvaluateError> {
    let sample = dataset.sample(id)?;
    let given = segment(&sample.photo).map_err(|source| EvaluateError::Segment {
        id: id.to_owned(),
        source: Box::new(source),
    })?;
    let compare = |given| classes.compare(&sample.labels, given);
    Ok(given.iter().map(compare).collect())
}

/// [`compare`]s all photographs of `ids`, several at a time. `done` is called after each. Returns one evaluation per way
/// of labelling, of which there must be as many each time.
///
/// # Errors
/// The first [`EvaluateError`] that occurs.
pub fn evaluate<E: std::error::Error + Send + Sync + 'static>(
    dataset: &Dataset,
    ids: &[String],
    classes: &ClassMatch,
    segment: impl Fn(&RgbImage) -> Result<Vec<LabelMap>, E> + Sync,
    done: impl Fn() + Sync,
) -> Result<Vec<Evaluation>, EvaluateError> {
    let confusions = ids
        .par_iter()
        .map(|id| {
            let confusions = compare(dataset, id, classes, &segment)?;
            done();
            Ok::<_, EvaluateError>(confusions)
        })
        .try_reduce(Vec::new, |a, b| {
            Ok(match (a.is_empty(), b.is_empty()) {
                (true, _) => b,
                (_, true) => a,
                _ => a.into_iter().zip(&b).map(|(a, b)| a.merged(b)).collect(),
            })
        })?;
    confusions
        .iter()
        .map(|confusion| classes.measure(confusion, ids.len()))
        .collect()
}
