//! Pictures inside the page: data URIs, and shapes as paths of an SVG.

use std::fmt::Write;
use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};
use maud::{Markup, html};

/// Quality of photographs.
const QUALITY: u8 = 85;

/// A photograph as JPEG in a data URI; empty if it cannot be encoded, which is not known to occur.
pub(super) fn photograph(picture: &RgbImage) -> String {
    let mut bytes = Vec::new();
    match picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY)) {
        Ok(()) => data_uri("image/jpeg", &bytes),
        Err(_) => String::new(),
    }
}

/// A drawing as PNG in a data URI; empty if it cannot be encoded, which is not known to occur.
pub(super) fn drawing(picture: impl Into<DynamicImage>) -> String {
    let mut bytes = Cursor::new(Vec::new());
    match picture.into().write_to(&mut bytes, ImageFormat::Png) {
        Ok(()) => data_uri("image/png", bytes.get_ref()),
        Err(_) => String::new(),
    }
}

fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

/// The area of the elements that are `wanted` as an SVG path, one unit an element.
pub(super) fn area(wanted: &[bool], width: usize) -> String {
    let mut path = String::new();
    for (y, row) in wanted.chunks(width.max(1)).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run[0] {
                let length = run.len();
                // Writing to a string cannot fail.
                let _ = write!(path, "M{x} {y}h{length}v1h-{length}z");
            }
            x += run.len();
        }
    }
    path
}

/// The border between elements that are `wanted` and others (or the edge of the picture) as an SVG path of lines.
pub(super) fn border(wanted: &[bool], width: usize) -> String {
    let width = width.max(1);
    let height = wanted.len() / width;
    let at = |x: usize, y: usize| x < width && y < height && wanted[y * width + x];
    let left = |x: usize, y: usize| x > 0 && at(x - 1, y);
    let above = |x: usize, y: usize| y > 0 && at(x, y - 1);
    let mut path = String::new();
    // Edges above elements, row by row, then edges to their left, column by column.
    for y in 0..=height {
        let edges: Vec<bool> = (0..width).map(|x| at(x, y) != above(x, y)).collect();
        lines(&edges, |start, length| {
            let _ = write!(path, "M{start} {y}h{length}");
        });
    }
    for x in 0..=width {
        let edges: Vec<bool> = (0..height).map(|y| at(x, y) != left(x, y)).collect();
        lines(&edges, |start, length| {
            let _ = write!(path, "M{x} {start}v{length}");
        });
    }
    path
}

/// Calls `with` with beginning and length of every run of edges.
fn lines(edges: &[bool], mut with: impl FnMut(usize, usize)) {
    let mut start = 0;
    for run in edges.chunk_by(|a, b| a == b) {
        if run[0] {
            with(start, run.len());
        }
        start += run.len();
    }
}

/// A horizontal bar of `share` of the whole width.
pub(super) fn bar(share: f64) -> Markup {
    let width = format!("{:.2}", 100.0 * share.clamp(0.0, 1.0));
    html! {
        svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="100" height="10" {}
            rect.fill width=(width) height="10" {}
        }
    }
}

/// A bar with its number beside it.
pub(super) fn measure(share: f64, number: &str) -> Markup {
    html! { div.measure { (bar(share)) span.value { (number) } } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The elements that a path of [`area`] covers.
    fn painted(path: &str, width: usize, height: usize) -> Vec<bool> {
        let mut painted = vec![false; width * height];
        for part in path.split('M').skip(1) {
            let (start, rest) = part.split_once('h').unwrap();
            let (x, y) = start.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let length: usize = rest.split_once('v').unwrap().0.parse().unwrap();
            for element in &mut painted[y * width + x..][..length] {
                assert!(!std::mem::replace(element, true));
            }
        }
        painted
    }

    /// How long the lines of a path are altogether.
    fn length(path: &str) -> usize {
        let lengths = path.split('M').skip(1).map(|line| {
            let length = line.split(['h', 'v']).nth(1).unwrap();
            length.parse::<usize>().unwrap()
        });
        lengths.sum()
    }

    proptest! {
        #[test]
        fn paths_cover_what_is_wanted(
            width in 1_usize..9,
            wanted in proptest::collection::vec(any::<bool>(), 64),
        ) {
            let height = 64 / width;
            let wanted = &wanted[..width * height];
            prop_assert_eq!(painted(&area(wanted, width), width, height), wanted);
            // Every element has four sides; those between two wanted ones are no border.
            let inner = (0..wanted.len()).filter(|&at| wanted[at]).map(|at| {
                let right = at % width + 1 < width && wanted[at + 1];
                let below = at + width < wanted.len() && wanted[at + width];
                usize::from(right) + usize::from(below)
            });
            let elements = wanted.iter().filter(|w| **w).count();
            let expected = 4 * elements - 2 * inner.sum::<usize>();
            prop_assert_eq!(length(&border(wanted, width)), expected);
        }
    }

    #[test]
    fn pictures_survive_their_uri() {
        let picture = RgbImage::from_fn(5, 4, |x, y| image::Rgb([x as u8 * 40, y as u8 * 50, 7]));
        let uri = drawing(picture.clone());
        let data = uri.strip_prefix("data:image/png;base64,").unwrap();
        let decoded = crate::photo::decode(&STANDARD.decode(data).unwrap()).unwrap();
        assert_eq!(decoded, picture);
        let uri = photograph(&picture);
        let data = uri.strip_prefix("data:image/jpeg;base64,").unwrap();
        let decoded = crate::photo::decode(&STANDARD.decode(data).unwrap()).unwrap();
        assert_eq!(decoded.dimensions(), (5, 4));
    }
}
