//! From the trained network to a `.cfm` file with its float weights beside it.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use cfm_core::model::{AreaFactor, ClassKind, Classifier, Combination, LabellingRule, Window};
use cfm_model::float_model::{
    Activation, ActivationScale, FloatAdd, FloatConv, FloatFc, FloatFileError, FloatHead,
    FloatLayer, FloatModel,
};
use cfm_model::output::{Batch, FileError};
use cfm_model::quantize::{QuantizeError, quantize};
use cfm_model::spec::{ClassSpec, InputSpec};
use cfm_model::writer::WriteError;
use cfm_sim::dataset::Description;
use cfm_sim::proposal_config::ProposalConfigError;

use crate::config::Config;
use crate::fake_quantize::{Range, to_vec};
use crate::head::Dense;
use crate::network::{Exponents, Network};

/// Why a network cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A batch normalization has not been folded.
    #[error("layer {0} still has a batch normalization")]
    NotFolded(usize),
    /// The proposals' parameters make no sense.
    #[error(transparent)]
    Proposals(#[from] ProposalConfigError),
    /// The weights do not fit the integers.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The format cannot hold the model.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The float weights cannot be laid out.
    #[error(transparent)]
    Float(#[from] FloatFileError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Model and float weights would be one file.
    #[error("{}: the float weights have this name; a model's may end in .cfm", .0.display())]
    SameFile(PathBuf),
}

/// The float model of a folded network.
///
/// # Errors
/// [`ExportError::NotFolded`] or [`ExportError::Proposals`].
pub fn float_model(
    network: &Network,
    exponents: &Exponents,
    config: &Config,
    description: &Description,
    provenance: Vec<(String, String)>,
) -> Result<FloatModel, ExportError> {
    let ranges = network.ranges();
    let mut scales = exponents.activations.iter().zip(ranges);
    // The activation that is said of a sum, which has none, is what its range amounts to.
    let mut scale = |activation: Option<Activation>| {
        let (&exponent, range) = scales.next().unwrap_or((&0, Range::Rectified));
        ActivationScale {
            activation: activation.unwrap_or(match range {
                Range::Rectified => Activation::Relu,
                Range::Signed => Activation::None,
            }),
            zero_point: range.zero_point(),
            exponent: exponent as i8,
        }
    };
    // The tensor that each layer is given.
    let mut given = Vec::new();
    let mut layers = Vec::new();
    let mut tensor = 0;
    for (index, (layer, plan)) in network.layers.iter().zip(&config.backbone).enumerate() {
        let bias = layer.bias.as_ref().ok_or(ExportError::NotFolded(index))?;
        given.push(tensor);
        layers.push(FloatLayer::Conv2d(FloatConv {
            input: tensor,
            window: Window {
                kernel: [plan.kernel as u8; 2],
                stride: [plan.stride as u8; 2],
                dilation: [plan.dilation as u8; 2],
                padding: [plan.padding() as u8; 4],
            },
            groups: plan.groups as u16,
            out_channels: plan.channels as u16,
            weights: channels_last(layer.weight.val()),
            bias: to_vec(bias.val()),
            output: scale(Some(plan.activation)),
        }));
        if plan.residual > 0 {
            layers.push(FloatLayer::Add(FloatAdd {
                inputs: [given[index + 1 - plan.residual], layers.len()],
                output: scale(None),
            }));
        }
        tensor = layers.len();
    }
    let hidden = ActivationScale::relu(exponents.hidden as i8);
    let head = &network.head;
    let pyramid = head.pyramid();
    let region_fcs: Vec<FloatFc> = head
        .region
        .iter()
        .map(|layer| fully_connected(layer, hidden))
        .collect();
    let mut classes: Vec<ClassSpec> = description.classes.iter().map(ClassSpec::from).collect();
    classes.push(ClassSpec {
        name: "mixed".to_owned(),
        kind: ClassKind::Background,
        color: [0; 3],
        label: u8::MAX,
    });
    Ok(FloatModel {
        input: InputSpec {
            height: config.input.height,
            width: config.input.width,
            channels: 3,
        },
        layers,
        head: FloatHead {
            design: pyramid.design,
            classifier: head.kind(),
            mask_rule: config.mask.rule(),
            region_levels: match region_fcs[..] {
                [] => Vec::new(),
                _ => pyramid.levels.clone(),
            },
            segment_levels: pyramid.levels.clone(),
            segment_fcs: vec![fully_connected(&head.segment, hidden)],
            region_fcs,
            joint_fcs: vec![fully_connected(
                &head.classifier,
                ActivationScale::logits(exponents.logits as i8),
            )],
            logit_exponent: exponents.logits as i8,
        },
        classes,
        labelling: Some(labelling(head.kind())),
        calibration: None,
        proposals: Some(config.proposals.params()?.to_bytes().to_vec()),
        provenance,
    })
}

/// How segments become pixels. Margins, which are not bounded as probabilities are, vote as they are: their third power
/// would leave the labels to a few segments, and most sums at zero.
const fn labelling(classifier: Classifier) -> LabellingRule {
    match classifier {
        Classifier::Softmax => LabellingRule::DEFAULT,
        Classifier::Svm => LabellingRule {
            combination: Combination::Vote {
                power: 1,
                area: AreaFactor::InverseRoot,
                purity: 0,
            },
            refinement: None,
        },
    }
}

fn fully_connected(layer: &Dense, output: ActivationScale) -> FloatFc {
    FloatFc {
        outputs: layer.bias.val().dims()[0] as u16,
        weights: to_vec(layer.weight.val()),
        bias: to_vec(layer.bias.val()),
        output,
    }
}

/// Weights in the order of the `.cfm`: output channel, row, column, input channel.
fn channels_last(weight: Tensor<4>) -> Vec<f32> {
    to_vec(weight.permute([0, 2, 3, 1]))
}

/// The bytes of the quantized model.
///
/// # Errors
/// When the weights do not fit the integers, or the structure exceeds what the format holds.
pub fn to_cfm(model: &FloatModel) -> Result<Vec<u8>, ExportError> {
    Ok(quantize(model)?.to_bytes()?)
}

/// Where the float weights of the model at `path` are: beside it.
///
/// # Errors
/// [`ExportError::SameFile`] when that is the model's own name.
pub fn weights_path(path: &Path) -> Result<PathBuf, ExportError> {
    let weights = path.with_extension("safetensors");
    if weights == path {
        return Err(ExportError::SameFile(weights));
    }
    Ok(weights)
}

/// Writes the `.cfm`, and before it the float weights beside it; gives the path of the latter.
///
/// # Errors
/// When the model cannot be quantized, a file cannot be written, or both would be one file.
pub fn write(model: &FloatModel, path: &Path) -> Result<PathBuf, ExportError> {
    let weights = weights_path(path)?;
    let cfm = to_cfm(model)?;
    let mut files = Batch::new();
    files.add(&weights, &model.to_safetensors(&cfm)?)?;
    files.add(path, &cfm)?;
    files.commit()?;
    Ok(weights)
}
