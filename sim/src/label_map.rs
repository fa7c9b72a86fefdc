//! Label maps: one class value per pixel, read from and written to 8-bit PNG files.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use crate::output;
use crate::photo::MAX_PIXELS;

/// A label for every pixel, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMap {
    width: usize,
    height: usize,
    labels: Vec<u8>,
}

/// Why a label map cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelMapError {
    /// The file cannot be opened.
    #[error("{path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The file is not a PNG image, or broken.
    #[error("{path}: {source}")]
    Decode {
        /// The file.
        path: String,
        /// What went wrong.
        source: png::DecodingError,
    },
    /// The file cannot be written.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The labels cannot be encoded.
    #[error("{path}: {source}")]
    Encode {
        /// The file.
        path: String,
        /// What went wrong.
        source: png::EncodingError,
    },
    /// The image holds colours, not one index a pixel.
    #[error("{path}: not a label image: {kind} instead of {deepest}-bit grey or palette indices")]
    Kind {
        /// The file.
        path: String,
        /// What it holds.
        kind: String,
        /// Most bits of a pixel.
        deepest: u8,
    },
    /// The image is too large.
    #[error("{path}: {width}x{height} pixels; at most {} million are read", MAX_PIXELS / 1_000_000)]
    TooLarge {
        /// The file.
        path: String,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The number of labels is not width times height, or zero.
    #[error("a label map of {width}x{height} pixels cannot have {labels} labels")]
    Length {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Labels given.
        labels: usize,
    },
}

impl LabelMap {
    /// A map of `width x height` labels.
    ///
    /// # Errors
    /// [`LabelMapError::Length`] when there are no pixels or not one label for each.
    pub fn new(width: usize, height: usize, labels: Vec<u8>) -> Result<Self, LabelMapError> {
        if labels.is_empty() || width.checked_mul(height) != Some(labels.len()) {
            return Err(LabelMapError::Length {
                width,
                height,
                labels: labels.len(),
            });
        }
        Ok(Self {
            width,
            height,
            labels,
        })
    }

    /// Reads the grey values or palette indices of a PNG file, 8 bits or fewer a pixel.
    ///
    /// # Errors
    /// Every [`LabelMapError`] but `Length`, `Encode` and `Write`.
    pub fn open(path: &Path) -> Result<Self, LabelMapError> {
        let (width, height, indices) = read_indices(path, png::BitDepth::Eight)?;
        // No value has more than eight bits.
        let labels = indices.into_iter().map(|index| index as u8).collect();
        Self::new(width, height, labels)
    }

    /// Columns.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// The labels, row-major.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The map at another size: each pixel takes the label of the one that holds its centre.
    ///
    /// # Panics
    /// When `width` or `height` is 0.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Self {
        assert!(width > 0 && height > 0, "a label map has pixels");
        Self {
            width,
            height,
            labels: nearest(&self.labels, (self.width, self.height), (width, height)),
        }
    }

    /// The map with each label l replaced by `values[l]`.
    #[must_use]
    pub fn mapped(&self, values: &[u8; 256]) -> Self {
        Self {
            labels: self
                .labels
                .iter()
                .map(|&label| values[usize::from(label)])
                .collect(),
            ..*self
        }
    }

    /// Writes the labels as an 8-bit grey PNG image.
    ///
    /// # Errors
    /// [`LabelMapError::Encode`] or [`LabelMapError::Write`].
    pub fn save(&self, path: &Path) -> Result<(), LabelMapError> {
        let name = || path.display().to_string();
        let mut bytes = Vec::new();
        self.encode(&mut bytes)
            .map_err(|source| LabelMapError::Encode {
                path: name(),
                source,
            })?;
        output::write(path, &bytes).map_err(|source| LabelMapError::Write {
            path: name(),
            source,
        })
    }

    /// Writes the labels as an 8-bit grey PNG image to a stream.
    ///
    /// # Errors
    /// What the encoder or the stream reports.
    pub fn encode(&self, to: impl Write) -> Result<(), png::EncodingError> {
        let (width, height) = (self.width as u32, self.height as u32);
        let mut encoder = png::Encoder::new(to, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.labels)?;
        writer.finish()
    }
}

/// Columns, rows, and the grey values or palette indices of a PNG file of at most `deepest` bits a pixel.
///
/// # Errors
/// As [`LabelMap::open`].
pub(crate) fn read_indices(
    path: &Path,
    deepest: png::BitDepth,
) -> Result<(usize, usize, Vec<u16>), LabelMapError> {
    let name = || path.display().to_string();
    let decode = |source| LabelMapError::Decode {
        path: name(),
        source,
    };
    let file = File::open(path).map_err(|source| LabelMapError::Open {
        path: name(),
        source,
    })?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    // What is not read need not be inflated.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // The indices as they are: no palette look-up, no stretching of grey levels.
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(decode)?;
    let (width, height) = reader.info().size();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(LabelMapError::TooLarge {
            path: name(),
            width,
            height,
        });
    }
    let (color, depth) = reader.output_color_type();
    let indexed = matches!(color, png::ColorType::Grayscale | png::ColorType::Indexed);
    if !indexed || depth as u8 > deepest as u8 {
        return Err(LabelMapError::Kind {
            path: name(),
            kind: format!("{}-bit {color:?}", depth as u8),
            deepest: deepest as u8,
        });
    }
    let bits = depth as usize;
    let line = reader.output_line_size(width).unwrap_or(0);
    let mut packed = vec![0; line * height as usize];
    reader.next_frame(&mut packed).map_err(decode)?;
    // What follows the image must be intact, too: a cut-off file is not half right.
    reader.finish().map_err(decode)?;
    let (width, height) = (width as usize, height as usize);
    let mut indices = Vec::with_capacity(width * height);
    for row in packed.chunks_exact(line.max(1)) {
        if bits == 16 {
            let (pairs, _) = row.as_chunks();
            indices.extend(pairs.iter().map(|&pair| u16::from_be_bytes(pair)));
        } else {
            indices.extend((0..width).map(|x| {
                let shift = 8 - bits - x * bits % 8;
                u16::from((row[x * bits / 8] >> shift) & (0xff >> (8 - bits)))
            }));
        }
    }
    Ok((width, height, indices))
}

/// An image of size `from` (columns, rows) at size `to`: each pixel takes the value of the one that holds its centre.
///
/// # Panics
/// When a size is zero, or `from` is not that of `values`.
pub(crate) fn nearest<T: Copy>(values: &[T], from: (usize, usize), to: (usize, usize)) -> Vec<T> {
    assert_eq!(values.len(), from.0 * from.1, "one value a pixel");
    let columns: Vec<usize> = nearest_sources(from.0, to.0).collect();
    let mut result = Vec::with_capacity(to.0 * to.1);
    for y in nearest_sources(from.1, to.1) {
        let row = &values[y * from.0..(y + 1) * from.0];
        result.extend(columns.iter().map(|&x| row[x]));
    }
    result
}

/// For each of `to` pixels in a row, which of `from` pixels across the same length holds its centre.
pub(crate) fn nearest_sources(from: usize, to: usize) -> impl Iterator<Item = usize> {
    (0..to).map(move |i| (2 * i + 1) * from / (2 * to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(width: usize, height: usize, labels: &[u8]) -> LabelMap {
        LabelMap::new(width, height, labels.to_vec()).unwrap()
    }

    #[test]
    fn nearest_resizing() {
        let four = map(4, 2, &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(four.resized(4, 2), four);
        assert_eq!(four.resized(2, 1).labels(), [5, 7]);
        let two = map(2, 1, &[5, 7]);
        assert_eq!(two.resized(4, 2).labels(), [5, 5, 7, 7, 5, 5, 7, 7]);
        assert_eq!(map(1, 1, &[9]).resized(3, 2).labels(), [9; 6]);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(LabelMap::new(2, 2, vec![0; 3]).is_err());
        assert!(LabelMap::new(0, 2, Vec::new()).is_err());
        assert!(LabelMap::new(usize::MAX, 2, vec![0]).is_err());
    }

    #[test]
    fn files_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.png");
        let five = map(5, 1, &[0, 1, 200, 255, 4]);
        five.save(&path).unwrap();
        assert_eq!(LabelMap::open(&path).unwrap(), five);
    }

    #[test]
    fn palette_indices_are_read_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        for (depth, bits) in [
            (png::BitDepth::One, 1),
            (png::BitDepth::Two, 2),
            (png::BitDepth::Four, 4),
            (png::BitDepth::Eight, 8),
        ] {
            let path = folder.path().join(format!("{bits}.png"));
            let file = File::create(&path).unwrap();
            let mut encoder = png::Encoder::new(file, 9, 2);
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_depth(depth);
            encoder.set_palette(vec![77; 3 << bits.min(8)]);
            let indices: Vec<u8> = (0..18)
                .map(|i: u8| (i * 5) & (0xff >> (8 - bits)))
                .collect();
            let mut packed = Vec::new();
            for row in indices.chunks(9) {
                let mut bytes = vec![0_u8; usize::div_ceil(9 * bits, 8)];
                for (x, index) in row.iter().enumerate() {
                    bytes[x * bits / 8] |= index << (8 - bits - x * bits % 8);
                }
                packed.extend(bytes);
            }
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(&packed).unwrap();
            writer.finish().unwrap();
            assert_eq!(LabelMap::open(&path).unwrap(), map(9, 2, &indices));
        }
    }

    #[test]
    fn colours_and_broken_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.png");
        image::RgbImage::new(2, 2).save(&path).unwrap();
        let error = LabelMap::open(&path).unwrap_err().to_string();
        assert!(error.contains("8-bit Rgb instead of"), "{error}");
        map(40, 40, &[3; 1600]).save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(LabelMap::open(&path).is_err(), "{length} bytes");
        }
    }
}
