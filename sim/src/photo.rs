//! Photographs: reading them safely and bringing them to the size of the network's input.

mod jpeg;
pub(crate) mod triangle;

use std::borrow::Cow;
use std::io::{self, Cursor};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Rgb, RgbImage};

use cfm_model::bounded_file;

use crate::output::one_line;

/// Most pixels of a photograph.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Most bytes of a photograph's file.
pub const MAX_FILE: u64 = 1 << 30;

/// Most bytes that decoding may allocate: [`MAX_PIXELS`] of 16-bit RGBA.
const MAX_ALLOCATION: u64 = MAX_PIXELS * 8;

/// Why a photograph cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct PhotoError {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub problem: PhotoProblem,
}

/// What is wrong with a photograph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhotoProblem {
    /// The file cannot be read.
    #[error("{0}")]
    Read(io::Error),
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file is longer than [`MAX_FILE`].
    #[error("the file is longer than {} MiB", MAX_FILE >> 20)]
    TooLong,
    /// The file is no image of a known format.
    #[error("not an image (PNG, JPEG, BMP and PNM are read)")]
    Format,
    /// An image of a stream is neither binary PPM nor binary PGM.
    #[error("neither a binary PPM nor a binary PGM image")]
    StreamFormat,
    /// The image has more than [`MAX_PIXELS`] pixels.
    #[error("{0}x{1} pixels; at most {max} million are read", max = MAX_PIXELS / 1_000_000)]
    TooLarge(u32, u32),
    /// The file ends before the image does.
    #[error("the image is cut off")]
    Truncated,
    /// The image has no pixels.
    #[error("the image has no pixels")]
    NoPixels,
    /// The image is broken.
    #[error("{}", one_line(&.0.to_string()))]
    Decode(ImageError),
}

/// Reads a photograph (PNG, JPEG, BMP or PNM) as 8-bit RGB, turned upright as its EXIF orientation says.
///
/// # Errors
/// A [`PhotoError`] that names the file and what is wrong with it.
pub fn open(path: &Path) -> Result<RgbImage, PhotoError> {
    read(path)
        .and_then(|bytes| decode(&bytes))
        .map_err(|problem| PhotoError {
            path: path.display().to_string(),
            problem,
        })
}

fn read(path: &Path) -> Result<Vec<u8>, PhotoProblem> {
    bounded_file::read(path, MAX_FILE)
        .map_err(PhotoProblem::Read)?
        .ok_or(PhotoProblem::TooLong)
}

/// Decodes a photograph held in memory.
///
/// # Errors
/// What is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, PhotoProblem> {
    if bytes.is_empty() {
        return Err(PhotoProblem::Empty);
    }
    let bytes = &*without_extras(bytes);
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(PhotoProblem::Read)?;
    let format = reader.format().ok_or(PhotoProblem::Format)?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| match error {
        ImageError::Unsupported(_) => PhotoProblem::Format,
        error => PhotoProblem::Decode(error),
    })?;
    check_size(&decoder)?;
    if format == ImageFormat::Jpeg && jpeg::is_cut_off(bytes) {
        return Err(PhotoProblem::Truncated);
    }
    rgb(decoder)
}

/// A PNG file without its colour profile and texts, which nobody looks at, but the decoder would inflate, whatever their
/// size.
fn without_extras(bytes: &[u8]) -> Cow<'_, [u8]> {
    const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
    const EXTRAS: [&[u8; 4]; 4] = [b"iCCP", b"iTXt", b"tEXt", b"zTXt"];
    if !bytes.starts_with(SIGNATURE) {
        return Cow::Borrowed(bytes);
    }
    let mut kept: Option<Vec<u8>> = None;
    let (mut start, mut at) = (0, SIGNATURE.len());
    // Length, kind, data and checksum of a chunk.
    while let Some((&[a, b, c, d, ref kind @ ..], _)) = bytes
        .get(at..)
        .and_then(|rest| rest.split_first_chunk::<8>())
    {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let end = at.saturating_add(12).saturating_add(length);
        if EXTRAS.contains(&kind) {
            let before = &bytes[start..at];
            kept.get_or_insert_default().extend_from_slice(before);
            start = end.min(bytes.len());
        }
        at = end;
    }
    match kept {
        None => Cow::Borrowed(bytes),
        Some(mut kept) => {
            kept.extend_from_slice(&bytes[start..]);
            Cow::Owned(kept)
        }
    }
}

/// What a decoder decodes, as 8-bit RGB, upright; a size beyond the limits is refused before anything is allocated.
///
/// # Errors
/// What is wrong with the image.
pub(crate) fn rgb(mut decoder: impl ImageDecoder) -> Result<RgbImage, PhotoProblem> {
    check_size(&decoder)?;
    let orientation = decoder.orientation().map_err(PhotoProblem::Decode)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(PhotoProblem::Decode)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

fn check_size(decoder: &impl ImageDecoder) -> Result<(), PhotoProblem> {
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PhotoProblem::TooLarge(width, height));
    }
    if width == 0 || height == 0 {
        return Err(PhotoProblem::NoPixels);
    }
    Ok(())
}

/// The photograph at another size: the mean of each 2x2 block (halves up) when that is exactly half, as it is when
/// nothing changes, and through a triangle filter otherwise. Deterministic, and in no memory but that of the result.
///
/// # Panics
/// When `width` or `height` is 0.
#[must_use]
pub fn resized(photo: &RgbImage, width: u32, height: u32) -> RgbImage {
    assert!(width > 0 && height > 0, "a photograph has pixels");
    if photo.dimensions() == (width, height) {
        return photo.clone();
    }
    if photo.dimensions() != (2 * width, 2 * height) {
        return triangle::resized(photo, width, height);
    }
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(std::array::from_fn(|channel| {
            let at = |dx, dy| u16::from(photo.get_pixel(2 * x + dx, 2 * y + dy)[channel]);
            ((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1) + 2) / 4) as u8
        }))
    })
}

/// Whether the smaller of two sizes (columns, rows) is the larger one scaled, to less than a pixel.
#[must_use]
pub fn same_shape(a: (u32, u32), b: (u32, u32)) -> bool {
    let (a, b) = (a.min(b), a.max(b));
    let [aw, ah, bw, bh] = [a.0, a.1, b.0, b.1].map(u64::from);
    // Its rows are within one of the scaled ones, or its columns.
    (aw * bh).abs_diff(ah * bw) < bw.max(bh)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gradient(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 3) as u8, (y * 5) as u8, 90])
        })
    }

    #[test]
    fn lossless_formats_are_read_exactly() {
        let image = gradient(31, 17);
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Pnm] {
            assert_eq!(decode(&encoded(&image, format)).unwrap(), image);
        }
        let one = RgbImage::from_pixel(1, 1, Rgb([1, 2, 3]));
        assert_eq!(decode(&encoded(&one, ImageFormat::Png)).unwrap(), one);
    }

    #[test]
    fn cut_off_files_are_refused() {
        let image = gradient(48, 32);
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::Bmp,
            ImageFormat::Pnm,
        ] {
            let bytes = encoded(&image, format);
            assert!(decode(&bytes).is_ok());
            for length in (0..bytes.len() - 12).step_by(7) {
                assert!(decode(&bytes[..length]).is_err(), "{format:?} {length}");
            }
        }
    }

    /// As phones store a photograph: a film behind the image.
    #[test]
    fn photographs_with_a_film_are_read() {
        let bytes = encoded(&gradient(48, 32), ImageFormat::Jpeg);
        let image = decode(&bytes).unwrap();
        let film = [&b"\0\0\0\x18ftypmp42"[..], &[0xff, 0xda, 3, 0xff, 0xd8, 5]].concat();
        assert_eq!(decode(&[&bytes[..], &film].concat()).unwrap(), image);
        // Without its end, it is cut off.
        let end = bytes.len() - 2;
        assert_eq!(bytes[end..], [0xff, 0xd9]);
        assert!(matches!(
            decode(&[&bytes[..end], &film].concat()).unwrap_err(),
            PhotoProblem::Truncated
        ));
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let image = gradient(24, 16);
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::Bmp,
            ImageFormat::Pnm,
        ] {
            let bytes = encoded(&image, format);
            for at in 0..bytes.len().min(700) {
                let mut broken = bytes.clone();
                broken[at] ^= 0xff;
                if let Ok(image) = decode(&broken) {
                    assert!(image.width() > 0 && image.height() > 0);
                }
            }
        }
    }

    #[test]
    fn absurd_sizes_are_refused_before_decoding() {
        let error = decode(b"P6\n60000 60000\n255\n").unwrap_err();
        assert!(
            matches!(error, PhotoProblem::TooLarge(60000, 60000)),
            "{error}"
        );
        assert!(matches!(
            decode(b"hello").unwrap_err(),
            PhotoProblem::Format
        ));
        assert!(matches!(decode(b"").unwrap_err(), PhotoProblem::Empty));
        assert!(decode(b"P6\n0 4\n255\n").is_err());
    }

    #[test]
    fn half_size_is_the_block_mean() {
        let photo = RgbImage::from_fn(4, 2, |x, y| Rgb([(x * 10 + y) as u8; 3]));
        assert_eq!(resized(&photo, 2, 1).into_raw(), [6, 6, 6, 26, 26, 26]);
    }

    #[test]
    fn constant_images_stay_constant() {
        for (width, height) in [(1, 1), (7, 300), (640, 3)] {
            let photo = RgbImage::from_pixel(width, height, Rgb([13, 130, 250]));
            let resized = resized(&photo, 24, 18);
            assert_eq!(resized.dimensions(), (24, 18));
            assert!(resized.pixels().all(|pixel| pixel.0 == [13, 130, 250]));
        }
    }

    #[test]
    fn a_shape_may_be_scaled_but_not_turned_or_cropped() {
        for (a, b) in [
            ((480, 360), (240, 180)),
            ((321, 213), (160, 106)),
            ((7, 5), (700, 500)),
        ] {
            assert!(
                same_shape(a, a) && same_shape(a, b) && same_shape(b, a),
                "{a:?} {b:?}"
            );
        }
        for (a, b) in [
            ((60, 45), (45, 60)),
            ((480, 360), (480, 350)),
            ((480, 360), (470, 360)),
        ] {
            assert!(!same_shape(a, b) && !same_shape(b, a), "{a:?} {b:?}");
        }
    }
}
