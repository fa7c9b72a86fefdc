//! Photographs from a stream: binary PGM and PPM images, each right behind the one before, as
//! `ffmpeg -i VIDEO -f image2pipe -c:v ppm -` writes the frames of a video.

use std::io::{self, BufRead, Cursor, Read};

use image::codecs::pnm::PnmDecoder;
use image::{ImageError, RgbImage};

use crate::photo::{self, PhotoProblem};

/// Why a stream ends before its end.
#[derive(Debug, thiserror::Error)]
#[error("frame {frame} of the stream: {problem}")]
pub struct StreamError {
    /// The frame, counted from 1.
    pub frame: u64,
    /// What is wrong with it.
    pub problem: PhotoProblem,
}

/// The photographs of a stream. After an error there are no more: nothing says where the next one starts.
#[derive(Debug)]
pub struct PhotoStream<R> {
    reader: R,
    frame: u64,
    broken: bool,
}

impl<R: BufRead> PhotoStream<R> {
    /// Photographs from `reader`, one at a time.
    #[must_use]
    pub const fn new(reader: R) -> Self {
        Self {
            reader,
            frame: 0,
            broken: false,
        }
    }

    fn read(&mut self) -> Result<Option<RgbImage>, PhotoProblem> {
        if self
            .reader
            .fill_buf()
            .map_err(PhotoProblem::Read)?
            .is_empty()
        {
            return Ok(None);
        }
        let mut magic = [0; 2];
        self.reader.read_exact(&mut magic).map_err(cut_off)?;
        if !matches!(&magic, b"P5" | b"P6") {
            return Err(PhotoProblem::StreamFormat);
        }
        // The decoder takes the bytes of one image from the reader, and no more.
        let decoder = PnmDecoder::new(Cursor::new(magic).chain(&mut self.reader));
        let image = decoder.map_err(PhotoProblem::Decode).and_then(photo::rgb);
        image.map(Some).map_err(|problem| match problem {
            PhotoProblem::Decode(ImageError::IoError(error)) => cut_off(error),
            problem => problem,
        })
    }
}

fn cut_off(error: io::Error) -> PhotoProblem {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => PhotoProblem::Truncated,
        _ => PhotoProblem::Read(error),
    }
}

impl<R: BufRead> Iterator for PhotoStream<R> {
    type Item = Result<RgbImage, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        self.frame += 1;
        let read = self.read();
        self.broken = !matches!(read, Ok(Some(_)));
        read.map_err(|problem| StreamError {
            frame: self.frame,
            problem,
        })
        .transpose()
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb};
    use proptest::prelude::*;

    use super::*;

    fn ppm(image: &RgbImage) -> Vec<u8> {
        let header = format!("P6\n{} {}\n255\n", image.width(), image.height());
        [header.as_bytes(), image.as_raw()].concat()
    }

    fn frames(bytes: &[u8]) -> Vec<Result<RgbImage, String>> {
        PhotoStream::new(bytes)
            .map(|frame| frame.map_err(|error| error.to_string()))
            .collect()
    }

    proptest! {
        #[test]
        fn frames_come_one_by_one(
            sizes in proptest::collection::vec((1..20_u32, 1..20_u32), 0..5), seed in any::<u8>(), cut in any::<usize>(),
        ) {
            let images: Vec<RgbImage> = sizes
                .iter()
                // Any bytes, those of a header, too.
                .map(|&(w, h)| RgbImage::from_fn(w, h, |x, y| {
                    Rgb([b'P', b'6' + (x % 2) as u8, (x * y) as u8 ^ seed])
                }))
                .collect();
            let bytes = images.iter().map(ppm).collect::<Vec<_>>().concat();
            let all: Result<Vec<_>, _> = frames(&bytes).into_iter().collect();
            prop_assert_eq!(all.as_ref(), Ok(&images));

            // Cut anywhere, the frames before the cut are whole, and the cut is noticed unless it is between two.
            let cut = cut % (bytes.len() + 1);
            let frames = frames(&bytes[..cut]);
            let mut end = 0;
            let whole = images.iter().take_while(|image| {
                end += ppm(image).len();
                end <= cut
            });
            let whole = whole.count();
            let between = images[..whole].iter().map(|image| ppm(image).len()).sum::<usize>() == cut;
            prop_assert_eq!(frames.len(), whole + usize::from(!between));
            prop_assert!(frames[..whole].iter().zip(&images).all(|(a, b)| a.as_ref() == Ok(b)));
            if let (false, Some(Err(error))) = (between, frames.last()) {
                prop_assert_eq!(error, &format!("frame {}: the image is cut off", whole + 1).replace(':', " of the stream:"));
            }
        }
    }

    #[test]
    fn grey_frames_and_comments_are_read() {
        let grey = GrayImage::from_pixel(2, 1, Luma([9]));
        let bytes = [
            &b"P5 # a camera\n2 1 255\n"[..],
            grey.as_raw(),
            b"P6\n1 1\n255\nabc",
        ]
        .concat();
        let frames = frames(&bytes);
        assert_eq!(frames[0], Ok(RgbImage::from_pixel(2, 1, Rgb([9; 3]))));
        assert_eq!(frames[1], Ok(RgbImage::from_pixel(1, 1, Rgb(*b"abc"))));
        assert_eq!(frames.len(), 2);
    }

    #[test]
    fn other_bytes_and_absurd_sizes_end_the_stream() {
        let good = ppm(&RgbImage::new(2, 2));
        for (rest, text) in [
            (
                &b"P6\n60000 60000\n255\n"[..],
                "60000x60000 pixels; at most 100 million are read",
            ),
            (b"P6\n0 5\n255\n", "the image has no pixels"),
            (b"P6\n5 5\n99999\n", "frame 2 of the stream: "),
            (
                b"P3\n1 1\n255\n1 2 3\n",
                "neither a binary PPM nor a binary PGM image",
            ),
            (b"\n", "the image is cut off"),
            (
                b"\xff\xd8\xff\xe0",
                "neither a binary PPM nor a binary PGM image",
            ),
        ] {
            let frames = frames(&[&good, rest].concat());
            assert_eq!(frames.len(), 2, "{text}");
            let error = frames[1].as_ref().unwrap_err();
            assert!(error.contains(text) && error.contains("frame 2"), "{error}");
        }
    }
}
