//! Float networks, to be calibrated and quantized.

mod affine;
mod backbone;
mod head;
mod walk;

use crate::float_model::FloatModel;
use crate::onnx::proto::ModelProto;
use crate::quantize::check_finite;
use crate::spec::InputSpec;

use super::error::{ImportError, Result};
use super::graph::{self, Graph};
use super::{Imported, Options, imported_from, numbered_classes};
use affine::Affine;
use walk::{Output, Walker};

/// Reads a float network.
pub fn import(
    model: &ModelProto,
    graph: &Graph<'_>,
    image: InputSpec,
    head: Option<&[u8]>,
    options: &Options,
) -> Result<Imported> {
    let (scale, offset) = options.pixels.scale_and_offset(image.channels.into());
    let pixels = Affine { scale, offset };
    let mut walker = Walker::of_image(graph, image, pixels, options.exact_border)?;
    let (layers, vector, backbone) = match (walker.walk()?, head) {
        (Output::Vector(vector), None) => (walker.head, vector, walker.backbone),
        (Output::Vector(_), Some(_)) => {
            return Err(ImportError::Model(
                "the network has a head of its own; name the feature map to replace it".to_owned(),
            ));
        }
        (Output::Map, None) => {
            return Err(ImportError::Head(
                "this is a backbone; a head is needed too, in a file of its own".to_owned(),
            ));
        }
        (Output::Map, Some(head)) => {
            let model = graph::decode(head)?;
            let graph = Graph::new(&model, None)?;
            let mut walker = Walker::of_pyramid(&graph, walker.backbone)?;
            match walker.walk()? {
                Output::Vector(vector) => (walker.head, vector, walker.backbone),
                Output::Map => {
                    return Err(ImportError::Head("it does not compute a vector".to_owned()));
                }
            }
        }
    };
    let channels = backbone.chain.shapes[backbone.chain.shapes.len() - 1].channels;
    let named = head.is_some();
    let head = layers.head(&vector, channels, named, &options.head)?;
    let outputs = head
        .joint_fcs
        .last()
        .map_or(0, |fc| usize::from(fc.outputs));
    let classes = match &options.classes {
        Some(classes) if classes.len() == outputs => classes.clone(),
        Some(classes) => {
            return Err(ImportError::Head(format!(
                "it has {outputs} outputs for {} classes",
                classes.len()
            )));
        }
        None => numbered_classes(outputs),
    };
    let model = FloatModel {
        input: image,
        layers: backbone.chain.layers,
        head,
        classes,
        labelling: None,
        calibration: None,
        proposals: None,
        provenance: imported_from(model),
    };
    check_finite(&model)?;
    Ok(Imported {
        model,
        notes: backbone.notes,
    })
}
