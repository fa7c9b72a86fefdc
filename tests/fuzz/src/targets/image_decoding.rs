//! Any bytes as a photograph, as a stream of frames and as a label map: an error, or an image within the limits.

use crate::scratch_file::with_file;
use cfm_sim::label_map::LabelMap;
use cfm_sim::photo::{self, MAX_PIXELS};
use cfm_sim::photo_stream::PhotoStream;

/// Runs the target on these bytes.
///
/// # Panics
/// When what must hold does not.
pub fn run(data: &[u8]) {
    let check_size = |width: u32, height: u32| {
        let pixels = u64::from(width) * u64::from(height);
        assert!((1..=MAX_PIXELS).contains(&pixels), "{width}x{height}");
    };
    if let Ok(photo) = photo::decode(data) {
        check_size(photo.width(), photo.height());
    }

    // Every frame takes bytes, and behind an error there is none.
    let mut failed = false;
    for (at, frame) in PhotoStream::new(data).enumerate() {
        assert!(!failed && at <= data.len());
        match frame {
            Ok(photo) => check_size(photo.width(), photo.height()),
            Err(_) => failed = true,
        }
    }

    if let Ok(map) = with_file("png", data, LabelMap::open) {
        check_size(map.width() as u32, map.height() as u32);
        let mut bytes = Vec::new();
        map.encode(&mut bytes).expect("a label map can be written");
        let again = with_file("png", &bytes, LabelMap::open);
        assert_eq!(again.expect("what was written can be read"), map);
    }
}
