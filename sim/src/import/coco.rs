//! Run lengths as the COCO data set has them, down the columns.

use cfm_core::segment::Run;
use serde_json::Value;

use super::{ImportProblem, Segments};

/// Reads the annotations of one image.
pub(super) fn parse(bytes: &[u8], image: Option<&str>) -> Result<Segments, ImportProblem> {
    let root: Value = serde_json::from_slice(bytes)?;
    let list = match (&root, root.get("annotations")) {
        (_, Some(Value::Array(list))) | (Value::Array(list), _) => list.as_slice(),
        (Value::Object(_), None) => std::slice::from_ref(&root),
        _ => return Err(ImportProblem::NoAnnotations),
    };
    let mut chosen: Vec<(usize, &Value)> = list.iter().enumerate().collect();
    match image {
        Some(image) => {
            chosen.retain(|(_, annotation)| image_id(annotation).is_some_and(|id| id == image));
            if chosen.is_empty() {
                return Err(ImportProblem::NoImage(image.to_owned()));
            }
        }
        None => {
            let mut ids = chosen
                .iter()
                .filter_map(|(_, annotation)| image_id(annotation));
            if let Some(first) = ids.next()
                && let Some(other) = ids.find(|id| *id != first)
            {
                return Err(ImportProblem::Images(first, other));
            }
        }
    }
    let score = |annotation: &Value| annotation.get("score").and_then(Value::as_f64);
    if chosen
        .iter()
        .all(|(_, annotation)| score(annotation).is_some())
    {
        chosen
            .sort_by(|(_, a), (_, b)| score(b).unwrap_or(0.0).total_cmp(&score(a).unwrap_or(0.0)));
    }
    let mut segments: Option<Segments> = None;
    let mut bitmap = Bitmap::default();
    for (index, annotation) in chosen {
        let refuse = |reason: String| ImportProblem::Annotation { index, reason };
        let lengths = RunLengths::read(annotation).map_err(refuse)?;
        let segments = match &mut segments {
            Some(segments) => segments,
            none => none.insert(Segments::new(lengths.width, lengths.height)?),
        };
        let size = (u64::from(segments.width), u64::from(segments.height));
        if size != (lengths.width, lengths.height) {
            let (width, height) = size;
            return Err(refuse(format!(
                "{}x{} pixels, but those before have {width}x{height}",
                lengths.width, lengths.height
            )));
        }
        bitmap.paint(&lengths.counts, segments).map_err(refuse)?;
        bitmap.take_runs(segments)?;
        segments.end()?;
    }
    segments.ok_or(ImportProblem::Empty)
}

fn image_id(annotation: &Value) -> Option<String> {
    match annotation.get("image_id")? {
        Value::String(id) => Some(id.clone()),
        id => Some(id.to_string()),
    }
}

/// Lengths of runs down the columns, outside first.
struct RunLengths {
    width: u64,
    height: u64,
    counts: Vec<u64>,
}

impl RunLengths {
    fn read(annotation: &Value) -> Result<Self, String> {
        let lengths = annotation.get("segmentation").unwrap_or(annotation);
        if lengths.is_array() {
            return Err("a polygon; only run lengths are read".to_owned());
        }
        let (Some(size), Some(counts)) = (lengths.get("size"), lengths.get("counts")) else {
            return Err("no run lengths: it has no size or no counts".to_owned());
        };
        let size = size.as_array().map(|size| size.iter().map(Value::as_u64));
        let sides: Option<Vec<u64>> = size.and_then(Iterator::collect);
        let Some(&[height, width]) = sides.as_deref() else {
            return Err("the size is not [height, width]".to_owned());
        };
        let counts = match counts {
            Value::String(text) => decompress(text)?,
            Value::Array(counts) => {
                let counts: Option<Vec<u64>> = counts.iter().map(Value::as_u64).collect();
                counts.ok_or("a count is not a number of pixels")?
            }
            _ => return Err("the counts are neither a list nor a string".to_owned()),
        };
        Ok(Self {
            width,
            height,
            counts,
        })
    }
}

/// The counts of COCO's compressed form: five bits a character, the lowest first, from '0' on, with bit 5 where more
/// follow; signed; from the fourth count on, each is the difference to the one before the last.
fn decompress(text: &str) -> Result<Vec<u64>, String> {
    let broken = || "the compressed counts are broken".to_owned();
    let mut counts: Vec<i64> = Vec::new();
    let (mut value, mut shift) = (0_i64, 0);
    for byte in text.bytes() {
        let bits = byte.checked_sub(b'0').filter(|&bits| bits < 64);
        let bits = i64::from(bits.ok_or_else(broken)?);
        // No count of an image that is read needs more than six characters.
        if shift > 30 {
            return Err(broken());
        }
        value |= (bits & 0x1f) << shift;
        shift += 5;
        if bits & 0x20 == 0 {
            if bits & 0x10 != 0 {
                value -= 1 << shift;
            }
            if counts.len() > 2 {
                value += counts[counts.len() - 2];
            }
            counts.push(value);
            (value, shift) = (0, 0);
        }
    }
    if shift > 0 {
        return Err(broken());
    }
    let counts: Option<Vec<u64>> = counts.iter().map(|&count| count.try_into().ok()).collect();
    counts.ok_or_else(broken)
}

/// The pixels of a segment, column by column, to be read row by row.
#[derive(Default)]
struct Bitmap {
    pixels: Vec<bool>,
    /// Columns and rows that may hold pixels of the segment.
    columns: Option<(usize, usize)>,
    rows: (usize, usize),
}

impl Bitmap {
    /// Paints a segment, whose runs must cover the image.
    fn paint(&mut self, counts: &[u64], image: &Segments) -> Result<(), String> {
        let height = usize::from(image.height);
        let pixels = usize::from(image.width) * height;
        let sum = counts
            .iter()
            .try_fold(0_u64, |sum, &count| sum.checked_add(count));
        if sum != Some(pixels as u64) {
            return Err(format!(
                "the counts do not add up to the {pixels} pixels of the image"
            ));
        }
        self.pixels.resize(pixels, false);
        let mut start = 0;
        for (&count, inside) in counts.iter().zip([false, true].into_iter().cycle()) {
            let end = start + count as usize;
            if inside && end > start {
                self.pixels[start..end].fill(true);
                let (left, right) = (start / height, (end - 1) / height);
                let (top, bottom) = if left == right {
                    (start % height, (end - 1) % height)
                } else {
                    (0, height - 1)
                };
                self.rows = match self.columns {
                    None => (top, bottom),
                    Some(_) => (self.rows.0.min(top), self.rows.1.max(bottom)),
                };
                self.columns = Some((self.columns.map_or(left, |(first, _)| first), right));
            }
            start = end;
        }
        Ok(())
    }

    /// Moves the pixels to the runs of a segment.
    fn take_runs(&mut self, segments: &mut Segments) -> Result<(), ImportProblem> {
        let Some((left, right)) = self.columns.take() else {
            return Ok(());
        };
        let height = usize::from(segments.height);
        for y in self.rows.0..=self.rows.1 {
            let mut start = None;
            for x in left..=right + 1 {
                let inside = x <= right && self.pixels[x * height + y];
                match (start, inside) {
                    (None, true) => start = Some(x),
                    (Some(x0), false) => {
                        segments.push_run(Run {
                            y: y as u16,
                            x0: x0 as u16,
                            x1: x as u16,
                        })?;
                        start = None;
                    }
                    _ => {}
                }
            }
        }
        self.pixels[left * height..(right + 1) * height].fill(false);
        Ok(())
    }
}
