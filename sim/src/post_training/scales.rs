//! The scale of every activation, from the histograms of the float network.

use cfm_core::model::{Design, Path};
use cfm_model::Place;
use cfm_model::float_model::{ActivationScale, FloatFc, FloatHead, FloatLayer, FloatModel};
use cfm_model::quantize::range::{Histogram, RangeMethod};
use cfm_model::spec::{IMAGE_SCALE, OutputScale};

use super::PerLayer;

/// Sets all scales of `float`.
pub(super) fn choose(
    float: &mut FloatModel,
    histograms: &PerLayer<Histogram>,
    method: RangeMethod,
) {
    let chosen = |place, output: &mut ActivationScale| {
        if let Some(histogram) = histograms.get(place) {
            *output = histogram.scale(output.activation, method);
        }
    };
    for (i, layer) in float.layers.iter_mut().enumerate() {
        match layer {
            FloatLayer::Conv2d(conv) => chosen(Place::Layer(i), &mut conv.output),
            FloatLayer::Add(add) => chosen(Place::Layer(i), &mut add.output),
            // They pass their input's scale on.
            FloatLayer::MaxPool(_) | FloatLayer::AvgPool(_) => {}
        }
    }
    let feature = feature_scale(&float.layers);
    let head = &mut float.head;
    for path in Path::ALL {
        for (i, fc) in fcs(head, path).iter_mut().enumerate() {
            chosen(Place::FullyConnected(path, i), &mut fc.output);
        }
    }
    if head.design == Design::A {
        join(head, histograms, method, feature);
    }
    if let Some(last) = head.joint_fcs.len().checked_sub(1)
        && let Some(logits) = histograms.get(Place::FullyConnected(Path::Joint, last))
    {
        head.logit_exponent = logits.logit_exponent();
        head.joint_fcs[last].output = ActivationScale::logits(head.logit_exponent);
    }
}

fn fcs(head: &mut FloatHead, path: Path) -> &mut [FloatFc] {
    match path {
        Path::Segment => &mut head.segment_fcs,
        Path::Region => &mut head.region_fcs,
        Path::Joint => &mut head.joint_fcs,
    }
}

/// Both paths of Design A are concatenated, so they end at one scale: that of both their values together, or the
/// feature map's where one path has no layers.
fn join(
    head: &mut FloatHead,
    histograms: &PerLayer<Histogram>,
    method: RangeMethod,
    feature: OutputScale,
) {
    let end = |path, fcs: &[FloatFc]| {
        let last = fcs.len().checked_sub(1)?;
        histograms.get(Place::FullyConnected(path, last))
    };
    let ends = [
        end(Path::Segment, &head.segment_fcs),
        end(Path::Region, &head.region_fcs),
    ];
    for path in [Path::Segment, Path::Region] {
        if let Some(fc) = fcs(head, path).last_mut() {
            fc.output = match ends {
                [Some(segment), Some(region)] => {
                    let mut both = segment.clone();
                    both.merge(region);
                    both.scale(fc.output.activation, method)
                }
                _ => ActivationScale {
                    zero_point: feature.zero_point,
                    exponent: feature.exponent,
                    ..fc.output
                },
            };
        }
    }
}

/// The scale of the feature map.
fn feature_scale(layers: &[FloatLayer]) -> OutputScale {
    let mut tensor = layers.len();
    loop {
        let Some(layer) = tensor.checked_sub(1).and_then(|i| layers.get(i)) else {
            return IMAGE_SCALE;
        };
        tensor = match layer {
            FloatLayer::Conv2d(conv) => return conv.output.output_scale(),
            FloatLayer::Add(add) => return add.output.output_scale(),
            FloatLayer::MaxPool(pool) | FloatLayer::AvgPool(pool) => pool.input,
        };
    }
}
