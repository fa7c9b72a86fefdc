//! What an engine must show, computed by the core: it knows nothing of the words that the engine executes.

use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::image::ImageView;
use cfm_core::model::{Design, Model};
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::{Run, Segment};

use crate::folding::Folding;
use crate::interpret::Cells;
use crate::scoring::pyramid;

/// Why the core cannot compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GoldenError {
    /// The image is refused.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A segment is refused.
    #[error("segment {0}: {1}")]
    Score(usize, ScoreError),
}

/// A word, or the words of all lanes, and which of the bytes count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    /// The bytes; 0 where they do not count.
    pub data: Vec<u8>,
    /// Which count: the others hold anything.
    pub used: Vec<bool>,
}

impl Bytes {
    /// Whether `data` holds the bytes that count.
    #[must_use]
    pub fn matches(&self, data: &[u8]) -> bool {
        data.len() == self.data.len()
            && data
                .iter()
                .zip(self.data.iter().zip(&self.used))
                .all(|(found, (expected, used))| !used || found == expected)
    }

    fn push(&mut self, values: &[i8], pe: usize) {
        for p in 0..pe {
            self.data
                .push(values.get(p).map_or(0, |value| value.cast_unsigned()));
            self.used.push(p < values.len());
        }
    }

    const fn new() -> Self {
        Self {
            data: Vec::new(),
            used: Vec::new(),
        }
    }
}

/// Everything that an engine must show for a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Golden {
    /// What the array's path writes, in order: `L` words, lane 0 first.
    pub writes: Vec<Bytes>,
    /// What the pooling writes, in order: lane and word.
    pub pooled: Vec<(u32, Bytes)>,
    /// The masks of the segments.
    pub cells: Vec<Cells>,
    /// The words of the logits stream.
    pub logits: Vec<u32>,
}

/// The vectors of a segment that the scoring program computes, and its logits.
struct Scores {
    hidden: Vec<Vec<i8>>,
    logits: Vec<i16>,
}

/// Computes a frame with the core.
///
/// # Errors
/// A [`GoldenError`] for an image of another size than the model's, or a broken segment.
pub fn golden(
    model: &Model<'_>,
    folding: Folding,
    image: &ImageView<'_>,
    segments: &[Vec<Run>],
) -> Result<Golden, GoldenError> {
    let (pe, lanes) = (folding.pe as usize, folding.lanes as usize);
    let mut golden = Golden::default();
    let mut arena = vec![0; model.arena_bytes()];
    let mut executor = Executor::new(model, &mut arena)?;
    let input = model.input();
    if (image.height(), image.width(), image.channels())
        != (input.height, input.width, input.channels)
    {
        return Err(ExecuteError::InputSize.into());
    }
    for row in image.rows() {
        executor.push_row_observed(row, |tensor, _, values| {
            if let (Some(tensor), true) = (model.tensors().get(tensor), tensor > 0) {
                let channels = usize::from(tensor.shape.channels);
                let cells: Vec<&[i8]> = values.chunks_exact(channels.max(1)).collect();
                for block in cells.chunks(lanes) {
                    golden.writes.extend(words(block, pe, lanes));
                }
            }
        })?;
    }
    let (features, scratch) = executor.finish()?;
    let mut scorer =
        Scorer::new(model, features, scratch).map_err(|error| GoldenError::Score(0, error))?;
    for (at, batch) in segments.chunks(lanes).enumerate() {
        let mut scores = Vec::new();
        for (lane, runs) in batch.iter().enumerate() {
            let index = at * lanes + lane;
            let scored = score(model, &mut scorer, runs, pe, lane as u32, &mut golden)
                .map_err(|error| GoldenError::Score(index, error))?;
            scores.push(scored);
        }
        for layer in 0..scores.first().map_or(0, |scores| scores.hidden.len()) {
            let vectors: Vec<&[i8]> = scores.iter().map(|s| s.hidden[layer].as_slice()).collect();
            golden.writes.extend(words(&vectors, pe, lanes));
        }
        for (lane, scores) in scores.iter().enumerate() {
            let logits = &scores.logits;
            golden
                .logits
                .extend(logits.iter().map(|&logit| i32::from(logit).cast_unsigned()));
            let best = (0..logits.len()).rev().max_by_key(|&c| logits[c]);
            let index = (at * lanes + lane) as u32;
            golden
                .logits
                .push(best.unwrap_or(0) as u32 & 0xFFFF | index << 16);
        }
    }
    Ok(golden)
}

/// The words of up to `lanes` vectors of the same length, a group of channels at a time.
fn words(vectors: &[&[i8]], pe: usize, lanes: usize) -> Vec<Bytes> {
    let length = vectors.first().map_or(0, |vector| vector.len());
    (0..length.div_ceil(pe))
        .map(|group| {
            let mut bytes = Bytes::new();
            for lane in 0..lanes {
                let values = match vectors.get(lane) {
                    Some(vector) => &vector[group * pe..length.min((group + 1) * pe)],
                    None => &[],
                };
                bytes.push(values, pe);
            }
            bytes
        })
        .collect()
}

fn score(
    model: &Model<'_>,
    scorer: &mut Scorer<'_, '_>,
    runs: &[Run],
    pe: usize,
    lane: u32,
    golden: &mut Golden,
) -> Result<Scores, ScoreError> {
    let head = model.head();
    let channels = usize::from(model.feature().shape.channels);
    let segment = Segment::Runs(runs);
    let masked = scorer.project(&segment, &[])?;
    let window = masked.window();
    golden.cells.push(Cells {
        window: [window.top, window.left, window.bottom, window.right],
        bits: masked.mask().iter().map(|&bit| bit != 0).collect(),
    });
    let pooled = masked.pool();
    {
        let (segment, region) = (pooled.segment_vector(), pooled.region_vector());
        let whole_of = match head.design {
            Design::A => region,
            Design::Plain | Design::B => segment,
        };
        // With a word a bin, offsets count bins.
        for entry in pyramid(head, 1, 0, 0) {
            for bin in 0..usize::from(entry.level) * usize::from(entry.level) {
                let value = |vector: &[i8], first: u32, group: usize| {
                    let start = (first as usize + bin) * channels;
                    let end = start + channels.min((group + 1) * pe);
                    let mut bytes = Bytes::new();
                    bytes.push(&vector[start + group * pe..end], pe);
                    (lane, bytes)
                };
                for group in 0..channels.div_ceil(pe) {
                    let masked = entry.masked.map(|first| value(segment, first, group));
                    let whole = entry.whole.map(|first| value(whole_of, first, group));
                    golden.pooled.extend(masked.into_iter().chain(whole));
                }
            }
        }
    }
    let mut scores = Scores {
        hidden: Vec::new(),
        logits: vec![0; model.class_count()],
    };
    pooled.classify_observed(&mut scores.logits, |_, _, values| {
        scores.hidden.push(values.to_vec());
    })?;
    Ok(scores)
}
