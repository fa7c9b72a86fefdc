//! Any bytes are refused as a model, or computed right.

use crate::model_run::{assert_equal_everywhere, is_small};
use cfm_core::model::{Model, crc32};
use cfm_model::random::random_image;
use cfm_model::spec::InputSpec;

/// Runs the target on these bytes.
///
/// # Panics
/// When what must hold does not.
pub fn run(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    // Otherwise nothing would get past the checksum.
    if choice & 1 != 0 && bytes.len() >= 16 {
        let length = bytes.len() as u32;
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        let crc = crc32(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    }
    let Ok(model) = Model::parse(&bytes) else {
        return;
    };
    if !is_small(&model) {
        return;
    }
    let input = model.input();
    let size = InputSpec {
        height: input.height,
        width: input.width,
        channels: input.channels,
    };
    let image = random_image(choice.into(), size);
    let view = image.view().expect("random images are valid");
    assert_equal_everywhere(&model, &view, choice.into());
}
