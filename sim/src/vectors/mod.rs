//! Golden vectors for others: a model, an image, segments and every intermediate tensor as plain arrays.
//!
//! `model.json` ([`Description`]) names every `.npy` file; `model.cfm` is the model itself. With these, everything
//! can be recomputed without this project (`tests/numpy_check.py` does it in numpy).

mod arrays;
mod describe;

pub use arrays::{ArrayFile, Element, Folder};
pub use describe::*;

use cfm_core::model::{Conv2d, Layer, Model, Operation, Parameters, Path, Window};
use cfm_core::segment::Segment;

use crate::core_trace::{self, CoreError};
use crate::output::FileError;
use crate::trace::{Inputs, SegmentTrace, Trace, spread};

/// Why vectors cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The core refuses the image or a segment.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The description cannot be written as JSON.
    #[error("model.json: {0}")]
    Json(#[from] serde_json::Error),
}

/// Computes everything with the core and writes it to a folder. Of more than `max_segments` segments, so many are used,
/// evenly spread; the labels are those that the used ones give.
///
/// # Errors
/// [`ExportError`] when the core refuses the inputs or a file cannot be written.
pub fn export(
    model: &Model<'_>,
    inputs: &Inputs<'_>,
    max_segments: usize,
    mut folder: Folder<'_>,
) -> Result<Description, ExportError> {
    let all = inputs.segments;
    let segments: Vec<Segment<'_>> = spread(all.len(), max_segments).map(|i| all[i]).collect();
    let left_out = all.len() - segments.len();
    let inputs = Inputs {
        segments: &segments,
        ..*inputs
    };
    let trace = core_trace::trace(model, &inputs)?;
    let description = Description {
        format: "cfm-vectors",
        version: 2,
        image: folder.array(
            "image",
            &dimensions(model.input()),
            inputs.image.pixels().iter().copied(),
        )?,
        tensors: tensors(&mut folder, model, &trace)?,
        layers: layers(&mut folder, model)?,
        geometry: Geometry {
            rows: model.rows().into(),
            columns: model.columns().into(),
        },
        head: head(&mut folder, model)?,
        classes: model.classes().map(Into::into).collect(),
        labelling: inputs.rule.into(),
        superpixel_maps: superpixel_maps(&mut folder, &inputs)?,
        segments: inputs.segments.iter().map(Into::into).collect(),
        segments_left_out: left_out,
        results: results(&mut folder, model, &trace)?,
        provenance: model.provenance().to_owned(),
    };
    folder.bytes("model.cfm", model.bytes())?;
    folder.bytes("model.json", &serde_json::to_vec_pretty(&description)?)?;
    folder.commit()?;
    Ok(description)
}

fn tensors(
    folder: &mut Folder<'_>,
    model: &Model<'_>,
    trace: &Trace,
) -> Result<Vec<TensorDescription>, FileError> {
    let tensors = model.tensors().iter().zip(&trace.tensors).enumerate();
    tensors
        .map(|(at, (tensor, values))| {
            let values = folder.array(
                &format!("tensor_{at:02}"),
                &dimensions(tensor.shape),
                values.iter().copied(),
            )?;
            Ok(TensorDescription::new(*tensor, values))
        })
        .collect()
}

fn layers(folder: &mut Folder<'_>, model: &Model<'_>) -> Result<Vec<LayerDescription>, FileError> {
    let layers = model.layers().enumerate();
    layers
        .map(|(at, layer)| describe_layer(folder, model, at, &layer))
        .collect()
}

fn describe_layer(
    folder: &mut Folder<'_>,
    model: &Model<'_>,
    at: usize,
    layer: &Layer<'_>,
) -> Result<LayerDescription, FileError> {
    let input = layer.input;
    Ok(match layer.operation {
        Operation::Conv2d(Conv2d {
            window,
            groups,
            ref parameters,
        }) => {
            let inputs = usize::from(model.tensors()[input].shape.channels);
            let [rows, columns] = window.kernel.map(usize::from);
            let shape = [
                parameters.channels.len(),
                rows,
                columns,
                inputs / usize::from(groups),
            ];
            LayerDescription::Conv2d {
                input,
                window: describe_window(window),
                groups,
                parameters: Box::new(describe_parameters(
                    folder,
                    &format!("layer_{at:02}"),
                    &shape,
                    parameters,
                )?),
            }
        }
        Operation::MaxPool { window } => LayerDescription::MaxPool {
            input,
            window: describe_window(window),
        },
        Operation::AvgPool { window } => LayerDescription::AvgPool {
            input,
            window: describe_window(window),
        },
        Operation::Add { second, output } => LayerDescription::Add {
            input,
            second,
            output: output.into(),
        },
    })
}

fn describe_window(window: Window) -> WindowDescription {
    WindowDescription {
        kernel: window.kernel,
        stride: window.stride,
        dilation: window.dilation,
        padding: window.padding,
    }
}

fn describe_parameters(
    folder: &mut Folder<'_>,
    name: &str,
    shape: &[usize],
    parameters: &Parameters<'_>,
) -> Result<ParametersDescription, FileError> {
    let channels = parameters.channels;
    let outputs = [channels.len()];
    Ok(ParametersDescription {
        weights: folder.array(
            &format!("{name}_weights"),
            shape,
            parameters
                .weights
                .iter()
                .map(|&weight| weight.cast_signed()),
        )?,
        biases: folder.array(
            &format!("{name}_biases"),
            &outputs,
            channels.iter().map(|channel| channel.bias),
        )?,
        mantissas: folder.array(
            &format!("{name}_mantissas"),
            &outputs,
            channels.iter().map(|channel| channel.mantissa),
        )?,
        shifts: folder.array(
            &format!("{name}_shifts"),
            &outputs,
            channels.iter().map(|channel| channel.shift),
        )?,
        output: parameters.output.into(),
    })
}

fn head(folder: &mut Folder<'_>, model: &Model<'_>) -> Result<HeadDescription, FileError> {
    let head = model.head();
    let mut fully_connected = Vec::new();
    for path in Path::ALL {
        for layer in head.layers(path) {
            let name = format!("fc_{:02}", fully_connected.len());
            let shape = [layer.outputs, layer.inputs];
            fully_connected.push(FullyConnectedDescription {
                path: describe::path(path),
                parameters: describe_parameters(folder, &name, &shape, &layer.parameters)?,
            });
        }
    }
    let (mask_rule, threshold) = describe::mask_rule(head.mask_rule);
    Ok(HeadDescription {
        design: describe::design(head.design),
        classifier: describe::classifier(head.classifier),
        mask_rule,
        threshold,
        segment_levels: head.segment_levels.as_slice().to_vec(),
        region_levels: head.region_levels.as_slice().to_vec(),
        logit_exponent: head.logit_exponent,
        fully_connected,
    })
}

fn superpixel_maps(
    folder: &mut Folder<'_>,
    inputs: &Inputs<'_>,
) -> Result<Vec<ArrayFile>, FileError> {
    let maps = inputs.maps.iter().enumerate();
    maps.map(|(at, map)| {
        let shape = [map.height(), map.width()].map(usize::from);
        folder.array(
            &format!("superpixels_{at}"),
            &shape,
            map.labels().iter().copied(),
        )
    })
    .collect()
}

fn results(
    folder: &mut Folder<'_>,
    model: &Model<'_>,
    trace: &Trace,
) -> Result<Results, FileError> {
    let segments = &trace.segments;
    let count = segments.len();
    let [height, width, _] = dimensions(model.input());
    let [cell_rows, cell_columns, _] = dimensions(model.feature().shape);
    let head = model.head();
    let finest = usize::from(head.segment_levels.finest());
    let hidden_layers = segments.first().map_or(0, |segment| segment.hidden.len());
    Ok(Results {
        areas: folder.array("areas", &[count], segments.iter().map(|s| s.area))?,
        windows: folder.array(
            "windows",
            &[count, 4],
            segments.iter().flat_map(|s| s.window),
        )?,
        masks: folder.array(
            "masks",
            &[count, cell_rows, cell_columns],
            segments
                .iter()
                .flat_map(|segment| whole_mask(segment, cell_rows, cell_columns)),
        )?,
        bin_masks: if segments.iter().any(|segment| !segment.bin_mask.is_empty()) {
            let bits = segments.iter().flat_map(|s| &s.bin_mask);
            let shape = [count, finest, finest];
            Some(folder.array("bin_masks", &shape, bits.map(|&bit| bit != 0))?)
        } else {
            None
        },
        segment_vectors: stacked(folder, "segment_vectors", segments, |s| &s.segment_vector)?,
        region_vectors: if head.region_levels.as_slice().is_empty() {
            None
        } else {
            Some(stacked(folder, "region_vectors", segments, |s| {
                &s.region_vector
            })?)
        },
        hidden: (0..hidden_layers)
            .map(|at| {
                stacked(folder, &format!("hidden_{at:02}"), segments, |s| {
                    &s.hidden[at]
                })
            })
            .collect::<Result<_, _>>()?,
        logits: stacked(folder, "logits", segments, |s| &s.logits)?,
        probabilities: if segments.iter().any(|s| !s.probabilities.is_empty()) {
            let values = stacked(folder, "probabilities", segments, |s| &s.probabilities)?;
            Some(values)
        } else {
            None
        },
        labels: folder.array("labels", &[height, width], trace.labels.iter().copied())?,
    })
}

/// One row per segment.
fn stacked<T: Element>(
    folder: &mut Folder<'_>,
    name: &str,
    segments: &[SegmentTrace],
    row: impl Fn(&SegmentTrace) -> &Vec<T>,
) -> Result<ArrayFile, FileError> {
    let length = segments.first().map_or(0, |segment| row(segment).len());
    folder.array(
        name,
        &[segments.len(), length],
        segments
            .iter()
            .flat_map(|segment| row(segment).iter().copied()),
    )
}

/// The mask of a segment's window as one of the whole feature map.
fn whole_mask(segment: &SegmentTrace, rows: usize, columns: usize) -> Vec<bool> {
    let [top, left, bottom, right] = segment.window.map(usize::from);
    let mut mask = vec![false; rows * columns];
    let width = right - left;
    for row in top..bottom {
        for column in left..right {
            mask[row * columns + column] = segment.mask[(row - top) * width + column - left] != 0;
        }
    }
    mask
}

#[cfg(test)]
mod tests;
