//! Conformance cases as the engine sees them, and the comparison with the core.
#![allow(dead_code)] // every test uses its part

use cfm_conformance::case::{Case, Content, runs, u16s};
use cfm_core::image::ImageView;
use cfm_core::model::Model;
use cfm_core::segment::{Run, Segment, SuperpixelMap};
use cfm_hardware::golden::golden;
use cfm_hardware::interpret::configure;
use cfm_hardware::stream;
use cfm_hardware::{Engine, Folding};
use cfm_model::spec::{
    Channel, ConvSpec, FcSpec, InputSpec, LayerSpec, ModelSpec, OutputScale, Window,
    classifier_output, one_layer,
};

/// The inputs of a case.
pub struct Frame {
    pub pixels: Vec<u8>,
    pub segments: Vec<Vec<Run>>,
}

impl Frame {
    pub fn view(&self, model: &Model<'_>) -> ImageView<'_> {
        let input = model.input();
        ImageView::new(&self.pixels, input.width, input.height, input.channels).unwrap()
    }
}

pub fn model_of<'a>(case: &Case<'a>) -> Model<'a> {
    Model::parse(case.get(Content::Model).unwrap()).unwrap()
}

/// The frame of a golden case.
pub fn frame_of(case: &Case<'_>, model: &Model<'_>) -> Frame {
    let labels: Vec<(u16, Vec<u16>)> = (0..)
        .map_while(|i| case.get(Content::Map(i)))
        .map(|bytes| {
            let mut values = u16s(bytes);
            let count = values.next().unwrap();
            (count, values.collect())
        })
        .collect();
    let maps: Vec<SuperpixelMap<'_>> = labels
        .iter()
        .map(|(count, ids)| {
            SuperpixelMap::new(ids, model.input().width, model.input().height, *count).unwrap()
        })
        .collect();
    let segments = (0..case.segment_count())
        .map(|i| match case.get(Content::Runs(i)) {
            Some(bytes) => runs(bytes).collect(),
            None => {
                let mut values = u16s(case.get(Content::Members(i)).unwrap());
                let map = values.next().unwrap().into();
                let members: Vec<u16> = values.collect();
                let segment = Segment::Superpixels {
                    map,
                    members: &members,
                };
                stream::runs(&segment, &maps)
            }
        })
        .collect();
    Frame {
        pixels: case.get(Content::Image).unwrap().to_vec(),
        segments,
    }
}

/// Runs the compiled words and compares everything with the core.
pub fn compare(model: &Model<'_>, engine: &Engine, frame: &Frame, what: &str) {
    let folding: Folding = engine.folding();
    let image = frame.view(model);
    let expected = golden(model, folding, &image, &frame.segments).unwrap();
    let parameters = engine.description.parameters;
    let config = engine.config();
    let mut machine = configure(
        &config,
        &engine.external,
        parameters.side,
        parameters.feature_words,
    )
    .unwrap();
    let beats = stream::image_beats(&image, folding);
    let masks = stream::mask_words(&frame.segments);
    // The second frame finds the first one's remains.
    for round in 0..2 {
        let what = format!("{what}, folding {folding}, frame {round}");
        let outcome = machine
            .run(&beats, &masks)
            .unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert_eq!(
            outcome.writes.len(),
            expected.writes.len(),
            "{what}: writes"
        );
        for (at, (found, wanted)) in outcome.writes.iter().zip(&expected.writes).enumerate() {
            assert!(
                wanted.matches(&found.data),
                "{what}: write {at}: {found:?} {wanted:?}"
            );
        }
        assert_eq!(outcome.cells, expected.cells, "{what}: cells");
        assert_eq!(
            outcome.pooled.len(),
            expected.pooled.len(),
            "{what}: pooled"
        );
        for (at, (found, (lane, wanted))) in outcome.pooled.iter().zip(&expected.pooled).enumerate()
        {
            assert!(
                found.lane == *lane && wanted.matches(&found.data),
                "{what}: pooled write {at}: {found:?} {wanted:?}"
            );
        }
        assert_eq!(outcome.logits, expected.logits, "{what}: logits");
    }
}

/// A convolution of a grey image of this height and width, with this kernel, this dilation and these weights, and a classifier for two
/// classes.
pub fn one_convolution(
    [height, width]: [u16; 2],
    kernel: [u8; 2],
    dilation: [u8; 2],
    weights: Vec<i8>,
) -> ModelSpec {
    let depth = weights.len() / (usize::from(kernel[0]) * usize::from(kernel[1]));
    let channels = |count| {
        let channel = Channel {
            bias: 100,
            mantissa: 20_000,
            shift: 16,
        };
        vec![channel; count]
    };
    let conv = ConvSpec {
        input: 0,
        window: Window {
            kernel,
            stride: [1, 1],
            dilation,
            padding: [0; 4],
        },
        groups: 1,
        out_channels: depth as u16,
        output: OutputScale {
            zero_point: 0,
            exponent: -7,
            low: i8::MIN,
            high: i8::MAX,
        },
        weights,
        channels: channels(depth),
    };
    let classifier = FcSpec {
        outputs: 2,
        output: classifier_output(-7),
        weights: [7, -5, -3, 11]
            .into_iter()
            .cycle()
            .take(2 * depth)
            .collect(),
        channels: channels(2),
    };
    let input = InputSpec {
        height,
        width,
        channels: 1,
    };
    one_layer(input, LayerSpec::Conv2d(conv), Vec::new(), classifier)
}
