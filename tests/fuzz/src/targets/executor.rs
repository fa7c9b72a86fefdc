//! Random models on any image: the kernels of this machine and the float reference compute the same bits.

use crate::model_run::{assert_equal_everywhere, is_small};
use arbitrary::{Arbitrary, Unstructured};
use cfm_core::image::ImageView;
use cfm_core::model::Model;
use cfm_model::random::{Options, random_model};

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    seed: u64,
    side: u8,
    channels: u8,
    layers: u8,
    classes: u8,
    /// Repeated until the image is full.
    pixels: &'a [u8],
}

/// Runs the target on these bytes.
///
/// # Panics
/// When what must hold does not.
pub fn run(data: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let options = Options {
        max_side: u16::from(case.side % 20) + 1,
        max_channels: u16::from(case.channels % 48) + 1,
        max_layers: u16::from(case.layers % 8) + 1,
        max_classes: case.classes % 20 + 1,
        max_macs: 10_000,
        rgb_only: false,
    };
    let bytes = random_model(case.seed, &options)
        .to_bytes()
        .expect("random models can be written");
    let model = Model::parse(&bytes).expect("random models are valid");
    if !is_small(&model) {
        return;
    }
    let input = model.input();
    let pixels: Vec<u8> = match case.pixels {
        [] => vec![0; input.len()],
        pixels => pixels.iter().copied().cycle().take(input.len()).collect(),
    };
    let image = ImageView::new(&pixels, input.width, input.height, input.channels)
        .expect("there is a sample for each");
    assert_equal_everywhere(&model, &image, case.seed);
}
