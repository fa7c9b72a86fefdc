//! The segments that a report shows: from pixels to cells to bins to scores.

use cfm_core::mask::CellWindow;
use cfm_core::model::{ClassKind, Classifier, Model, Shape};
use cfm_core::segment::{Segment, SuperpixelMap};
use cfm_core::spatial_pyramid::bin;
use serde::Serialize;

use crate::picture::inside;
use crate::trace::SegmentTrace;

/// Most segments that are shown.
pub const SHOWN: usize = 12;

/// Most classes of a segment whose scores are shown.
pub const SCORES: usize = 4;

/// A segment with its masks, pyramids and scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownSegment {
    /// Its number among all segments.
    pub index: usize,
    /// Pixels.
    pub area: u32,
    /// The cells of its bounding box: top, left, bottom, right; the last two exclusive.
    pub window: [u16; 4],
    /// The best classes with their scores: probabilities of a softmax, otherwise margins; the best first.
    pub scores: Vec<Score>,
    /// Which pixels of the network's input are its own, row-major.
    #[serde(skip)]
    pub pixels: Vec<bool>,
    /// The mask over the window's cells, row-major, 0 or 1.
    #[serde(skip)]
    pub mask: Vec<u8>,
    /// What the paths pooled: the segment's levels, then the region's.
    #[serde(skip)]
    pub pyramids: Vec<Level>,
}

/// A class's score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// Index of the class.
    pub class: usize,
    /// Its probability (softmax), or its margin.
    pub score: f64,
}

/// A level of a spatial pyramid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Whether it is of the region path, which is not masked.
    pub region: bool,
    /// Bins in a row.
    pub side: u8,
    /// For every bin, the mean over the channels of its value's distance from zero, in steps; row-major.
    pub means: Vec<u32>,
    /// Whether each bin has been masked out; empty where bins are not masked.
    pub masked_out: Vec<bool>,
    /// The cells that each bin pools: rows and columns.
    pub cells: Vec<[u16; 2]>,
}

/// The segments to show, at most [`SHOWN`]: of the segments of which a class is the best, the first one of every class,
/// then the second of every class, and so on. Those with the best score come first; of scores that round to the same
/// hundredth the larger segment, in which there is more to see; then the smaller index. Background classes come after the
/// others.
#[must_use]
pub fn shown(
    model: &Model<'_>,
    maps: &[SuperpixelMap<'_>],
    segments: &[Segment<'_>],
    traces: &[SegmentTrace],
) -> Vec<ShownSegment> {
    let Shape { width, height, .. } = model.input();
    let background: Vec<bool> = model
        .classes()
        .map(|class| class.kind == ClassKind::Background)
        .collect();
    let best = |trace: &SegmentTrace| {
        let best = scores(model, trace).first().copied();
        best.unwrap_or(Score {
            class: 0,
            score: 0.0,
        })
    };
    let mut order: Vec<(usize, Score)> = traces.iter().map(best).enumerate().collect();
    order.sort_by(|(a, x), (b, y)| {
        let group = |score: &Score| background.get(score.class).copied().unwrap_or(false);
        let hundredths = |score: &Score| (100.0 * score.score).round() as i64;
        let area = |at: usize| traces[at].area;
        (group(x).cmp(&group(y)))
            .then(hundredths(y).cmp(&hundredths(x)))
            .then(area(*b).cmp(&area(*a)))
            .then(a.cmp(b))
    });
    // The place of each among those of its class.
    let mut seen = vec![0_usize; model.class_count()];
    let mut ranked: Vec<(usize, usize)> = order
        .into_iter()
        .filter_map(|(at, score)| {
            let rank = seen.get_mut(score.class)?;
            *rank += 1;
            Some((*rank, at))
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let chosen = ranked.into_iter().take(SHOWN);
    chosen
        .filter_map(|(_, at)| {
            let trace = &traces[at];
            Some(ShownSegment {
                index: at,
                area: trace.area,
                window: trace.window,
                scores: scores(model, trace).into_iter().take(SCORES).collect(),
                pixels: inside(width.into(), height.into(), maps, segments.get(at)?),
                mask: trace.mask.clone(),
                pyramids: pyramids(model, trace),
            })
        })
        .collect()
}

/// All classes of a segment, the best first; of equal ones, that with the smaller index.
fn scores(model: &Model<'_>, trace: &SegmentTrace) -> Vec<Score> {
    let head = model.head();
    let step = f64::from(head.logit_exponent).exp2();
    let mut scores: Vec<Score> = match head.classifier {
        Classifier::Softmax => (trace.probabilities.iter())
            .map(|&bits| f64::from(bits) / 65536.0)
            .enumerate()
            .map(|(class, score)| Score { class, score })
            .collect(),
        Classifier::Svm => (trace.logits.iter())
            .map(|&logit| f64::from(logit) * step)
            .enumerate()
            .map(|(class, score)| Score { class, score })
            .collect(),
    };
    scores.sort_by(|a, b| b.score.total_cmp(&a.score));
    scores
}

fn pyramids(model: &Model<'_>, trace: &SegmentTrace) -> Vec<Level> {
    let head = model.head();
    let zero = i32::from(model.feature().zero_point);
    let channels = usize::from(model.feature().shape.channels).max(1);
    let [top, left, bottom, right] = trace.window;
    let window = CellWindow {
        top,
        left,
        bottom,
        right,
    };
    let mut levels = Vec::new();
    for (region, sides, vector) in [
        (false, head.segment_levels, &trace.segment_vector),
        (true, head.region_levels, &trace.region_vector),
    ] {
        let mut bins = vector.chunks_exact(channels);
        for &side in sides.as_slice() {
            let count = usize::from(side) * usize::from(side);
            let mean = |values: &[i8]| {
                let distance = |&q: &i8| u64::from((i32::from(q) - zero).unsigned_abs());
                let sum: u64 = values.iter().map(distance).sum();
                (sum / channels as u64) as u32
            };
            let masked = !region && side == head.segment_levels.finest();
            levels.push(Level {
                region,
                side,
                means: bins.by_ref().take(count).map(mean).collect(),
                masked_out: if masked {
                    trace.bin_mask.iter().map(|&bit| bit == 0).collect()
                } else {
                    Vec::new()
                },
                cells: (0..side)
                    .flat_map(|i| (0..side).map(move |j| bin(&window, side, i, j)))
                    .map(|bin| [bin.height(), bin.width()])
                    .collect(),
            });
        }
    }
    levels
}
