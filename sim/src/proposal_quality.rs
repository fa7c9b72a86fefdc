//! How good candidate segments are, against the ground truth and their number.
//!
//! Everything is measured at the size of the ground truth, of the first n candidates of each image, for all
//! ground-truth segments, and for those of objects and of stuff alone:
//!
//! | measure | definition |
//! |---|---|
//! | ABO | mean over the ground-truth segments of the largest IoU that a candidate has with it (average best overlap) |
//! | recall at t | share of the ground-truth segments with such an IoU of at least t |
//! | oracle mIoU | mean IoU of the classes, if each ground-truth segment is represented by its best candidate |
//!
//! The IoU is that of sets of pixels. Pixels that belong to no ground-truth segment count for nothing, as in the other
//! measures of this project, or in the area of candidates ([`Void`]). For the oracle, the best candidates of an image (of equally good ones, the first) are pasted in
//! ascending order of their IoU, each with the class of its ground-truth segment; so the better one wins where two
//! overlap, and of equally good ones that of the earlier ground-truth segment. Pixels that none covers have no class.
//! The labels are then compared with the ground truth as [`metrics`](crate::metrics) describes: over all images
//! together, without the pixels that have no label.

use std::cmp::Reverse;

use cfm_core::segment::{Run, Segment, SuperpixelMap};
use cfm_proposals::{Proposal, Proposals, Ranking};
use serde::Serialize;

use crate::dataset::Kind;
use crate::import::{Segments, TooManyRuns};
use crate::label_map::nearest;
use crate::metrics::Confusion;
use crate::truth::{NONE, Truth, TruthClasses, TruthSegment};

/// The numbers of candidates that are looked at: 10, 20, 50 and so on, and as many as there are.
#[must_use]
pub fn ladder(most: usize) -> Vec<usize> {
    let steps = (1..6).flat_map(|digits| [1, 2, 5].map(|step| step * 10_usize.pow(digits)));
    steps
        .take_while(|&step| step < most)
        .chain([most])
        .collect()
}

/// What pixels that belong to no ground-truth segment count for: those without a label, mostly borders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Void {
    /// For nothing: no IoU depends on them.
    #[default]
    Ignored,
    /// In the area of candidates: those that hold many match worse.
    Counted,
}

/// Candidates that do not fit the ground truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the candidate segments do not have the size of the ground truth")]
pub struct SizeError;

/// Why segments of a file cannot be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// Their size.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// Their number of runs at the size of the ground truth.
    #[error(transparent)]
    Runs(#[from] TooManyRuns),
}

/// What is measured of the first few candidates of an image.
#[derive(Debug, Clone)]
struct Step {
    /// Largest IoU for each ground-truth segment.
    best: Vec<f64>,
    /// The oracle's labels, as [`Confusion::sparse`] has them: whole matrices of all images would take gigabytes.
    confusion: Vec<(u32, u64)>,
}

/// The measures of one image.
#[derive(Debug, Clone)]
pub struct ImageQuality {
    candidates: usize,
    truth: Vec<TruthSegment>,
    /// For each step of the ladder up to the number of candidates.
    steps: Vec<Step>,
}

/// A superpixel map against the ground truth.
struct Overlaps {
    /// Where the pairs of each superpixel start.
    starts: Vec<usize>,
    /// Ground-truth segment and common pixels.
    pairs: Vec<(u16, u32)>,
    /// Pixels of each superpixel that count.
    areas: Vec<u32>,
}

impl Overlaps {
    fn new(map: &SuperpixelMap<'_>, truth: &Truth, void: Void) -> Self {
        let count = usize::from(map.count());
        let mut areas = vec![0_u32; count];
        let mut keys = Vec::new();
        for (&id, &segment) in map.labels().iter().zip(truth.ids()) {
            areas[usize::from(id)] += u32::from(segment != NONE || void == Void::Counted);
            if segment != NONE {
                keys.push((id, segment));
            }
        }
        keys.sort_unstable();
        let mut pairs = Vec::new();
        let mut starts = vec![0; count + 1];
        for same in keys.chunk_by(|a, b| a == b) {
            let (id, segment) = same[0];
            pairs.push((segment, same.len() as u32));
            starts[usize::from(id) + 1] = pairs.len();
        }
        for id in 0..count {
            starts[id + 1] = starts[id + 1].max(starts[id]);
        }
        Self {
            starts,
            pairs,
            areas,
        }
    }

    fn of(&self, id: u16) -> &[(u16, u32)] {
        let id = usize::from(id);
        &self.pairs[self.starts[id]..self.starts[id + 1]]
    }
}

/// The pixels that a candidate has in common with each ground-truth segment; the work goes by those that it touches.
struct Common {
    pixels: Vec<u32>,
    touched: Vec<u16>,
}

impl Common {
    fn new(segments: usize) -> Self {
        Self {
            pixels: vec![0; segments],
            touched: Vec::new(),
        }
    }

    /// Adds pixels, more than none.
    fn add(&mut self, id: u16, pixels: u32) {
        let sum = &mut self.pixels[usize::from(id)];
        if *sum == 0 {
            self.touched.push(id);
        }
        *sum += pixels;
    }

    /// Gives and forgets all of them.
    fn drain(&mut self, mut give: impl FnMut(usize, u32)) {
        for id in self.touched.drain(..).map(usize::from) {
            give(id, std::mem::take(&mut self.pixels[id]));
        }
    }
}

/// Measures the candidates of an image, best first. `maps` are those that they refer to, at the size of the ground
/// truth, as are runs.
///
/// # Errors
/// [`SizeError`] when they are not, or a candidate refers to what is not there.
pub fn measure(
    truth: &Truth,
    classes: &TruthClasses,
    maps: &[SuperpixelMap<'_>],
    candidates: &[Segment<'_>],
    void: Void,
) -> Result<ImageQuality, SizeError> {
    let size = (truth.width(), truth.height());
    let fits = |segment: &Segment<'_>| match *segment {
        Segment::Runs(runs) => runs.iter().all(|run| {
            run.x0 <= run.x1 && usize::from(run.x1) <= size.0 && usize::from(run.y) < size.1
        }),
        Segment::Superpixels { map, members } => maps
            .get(map)
            .is_some_and(|map| members.iter().all(|&id| id < map.count())),
    };
    let maps_fit = maps
        .iter()
        .all(|map| (map.width().into(), map.height().into()) == size);
    if !maps_fit || !candidates.iter().all(fits) {
        return Err(SizeError);
    }
    let overlaps: Vec<Overlaps> = maps
        .iter()
        .map(|map| Overlaps::new(map, truth, void))
        .collect();
    let segments = truth.segments();
    let mut best = vec![0.0; segments.len()];
    let mut chosen = vec![None; segments.len()];
    let mut common = Common::new(segments.len());
    let mut steps = Vec::new();
    let mut seen = 0;
    for until in ladder(candidates.len()) {
        for (index, candidate) in candidates.iter().enumerate().take(until).skip(seen) {
            let mut area = 0_u32;
            match *candidate {
                Segment::Runs(runs) => {
                    for &id in runs
                        .iter()
                        .flat_map(|&run| &truth.ids()[range(run, size.0)])
                    {
                        area += u32::from(id != NONE || void == Void::Counted);
                        if id != NONE {
                            common.add(id, 1);
                        }
                    }
                }
                Segment::Superpixels { map, members } => {
                    for &member in members {
                        area += overlaps[map].areas[usize::from(member)];
                        for &(id, pixels) in overlaps[map].of(member) {
                            common.add(id, pixels);
                        }
                    }
                }
            }
            common.drain(|id, both| {
                let iou = f64::from(both) / f64::from(area + segments[id].area - both);
                if iou > best[id] {
                    best[id] = iou;
                    chosen[id] = Some(index);
                }
            });
        }
        seen = until;
        let mut confusion = Confusion::new(classes.count());
        let labels = oracle(truth, maps, candidates, &best, &chosen);
        confusion.add(
            truth
                .pixel_classes()
                .zip(labels.into_iter().map(|class| class.map(usize::from))),
        );
        steps.push(Step {
            best: best.clone(),
            confusion: confusion.sparse(),
        });
    }
    Ok(ImageQuality {
        candidates: candidates.len(),
        truth: segments.to_vec(),
        steps,
    })
}

/// [`measure`] for the proposals of this project, which may be of another size than the ground truth: their maps are
/// brought to its size, each pixel taking the superpixel of the one that holds its centre.
///
/// # Errors
/// [`SizeError`] when the ground truth is too large for a superpixel map.
pub fn measure_proposals(
    truth: &Truth,
    classes: &TruthClasses,
    proposals: &Proposals<'_>,
    ranking: Ranking,
    void: Void,
) -> Result<ImageQuality, SizeError> {
    let (width, height) = (truth.width(), truth.height());
    let side = |side: usize| u16::try_from(side).map_err(|_| SizeError);
    let (columns, rows) = (side(width)?, side(height)?);
    let resized: Vec<Vec<u16>> = proposals
        .maps()
        .iter()
        .map(|map| {
            let size = (map.width().into(), map.height().into());
            nearest(map.labels(), size, (width, height))
        })
        .collect();
    let maps = proposals
        .maps()
        .iter()
        .zip(&resized)
        .map(|(map, labels)| SuperpixelMap::new(labels, columns, rows, map.count()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| SizeError)?;
    let segments: Vec<Segment<'_>> = ranked(proposals, ranking)
        .iter()
        .map(|proposal| proposal.segment())
        .collect();
    measure(truth, classes, &maps, &segments, void)
}

/// [`measure`] for segments from files, brought to the size of the ground truth. Those without a pixel there are not
/// counted.
///
/// # Errors
/// [`MeasureError`] when the ground truth is too large for runs of pixels, or for those of all segments.
pub fn measure_segments(
    truth: &Truth,
    classes: &TruthClasses,
    segments: &Segments,
    void: Void,
) -> Result<ImageQuality, MeasureError> {
    let side = |side: usize| u16::try_from(side).map_err(|_| SizeError);
    let resized = segments.resized(side(truth.width())?, side(truth.height())?)?;
    let segments: Vec<Segment<'_>> = resized.iter().map(Segment::Runs).collect();
    Ok(measure(truth, classes, &[], &segments, void)?)
}

/// The proposals, best first: as they come when they are ranked by level, the largest first (of equal areas, the
/// earlier ones) when the largest are kept. The first n are those that a limit of n would keep, but where it leaves no room for
/// the members of large combinations.
#[must_use]
pub fn ranked<'a>(proposals: &Proposals<'a>, ranking: Ranking) -> Vec<Proposal<'a>> {
    let mut ranked: Vec<Proposal<'a>> = proposals.iter().collect();
    if ranking == Ranking::Area {
        ranked.sort_by_key(|proposal| Reverse(proposal.area));
    }
    ranked
}

/// The pixels of a run in an image of `width` columns.
fn range(run: Run, width: usize) -> std::ops::Range<usize> {
    let start = usize::from(run.y) * width;
    start + usize::from(run.x0)..start + usize::from(run.x1)
}

/// The class of every pixel when each ground-truth segment is represented by the candidate that is `chosen` for it.
fn oracle(
    truth: &Truth,
    maps: &[SuperpixelMap<'_>],
    candidates: &[Segment<'_>],
    best: &[f64],
    chosen: &[Option<usize>],
) -> Vec<Option<u8>> {
    let mut order: Vec<usize> = (0..best.len()).collect();
    order.sort_by(|&a, &b| best[a].total_cmp(&best[b]).then(b.cmp(&a)));
    // Which of the order was pasted last, plus one: on each superpixel, and on each pixel by runs.
    let mut on_maps: Vec<Vec<u32>> = maps.iter().map(|m| vec![0; m.count().into()]).collect();
    let mut on_pixels = vec![0_u32; truth.width() * truth.height()];
    // One that many chose is pasted once: what it covered before, it covers again.
    let mut last = vec![0_u32; candidates.len()];
    for (turn, &id) in (1..).zip(&order) {
        if let Some(index) = chosen[id] {
            last[index] = turn;
        }
    }
    for (turn, &id) in (1..).zip(&order) {
        match chosen[id]
            .filter(|&index| last[index] == turn)
            .map(|index| candidates[index])
        {
            None => {}
            Some(Segment::Runs(runs)) => {
                for &run in runs {
                    on_pixels[range(run, truth.width())].fill(turn);
                }
            }
            Some(Segment::Superpixels { map, members }) => {
                for &member in members {
                    on_maps[map][usize::from(member)] = turn;
                }
            }
        }
    }
    for (map, turns) in maps.iter().zip(&on_maps) {
        for (on_pixel, &id) in on_pixels.iter_mut().zip(map.labels()) {
            *on_pixel = (*on_pixel).max(turns[usize::from(id)]);
        }
    }
    // A label has eight bits, so there are no more classes.
    let class =
        |turn: u32| Some(truth.segments()[order[turn.checked_sub(1)? as usize]].class as u8);
    on_pixels.into_iter().map(class).collect()
}

/// Measures of some ground-truth segments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measures {
    /// Average best overlap.
    pub abo: f64,
    /// Recall at an IoU of 0.5.
    pub recall_50: f64,
    /// Recall at an IoU of 0.7.
    pub recall_70: f64,
    /// Oracle mIoU; none if no pixel has one of the classes.
    pub oracle_miou: Option<f64>,
}

/// Measures of the first few candidates of each image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// How many candidates of each image were looked at, at most.
    pub proposals: usize,
    /// Of all ground-truth segments.
    pub all: Measures,
    /// Of objects, if there are any.
    pub object: Option<Measures>,
    /// Of stuff, if there is any.
    pub stuff: Option<Measures>,
}

/// How many ground-truth segments there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All.
    pub all: usize,
    /// Those of objects.
    pub object: usize,
    /// Those of stuff.
    pub stuff: usize,
}

/// The measures of all images together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// Ground-truth segments that were measured.
    pub truth_segments: Counts,
    /// Against the number of candidates.
    pub curve: Vec<Point>,
}

impl Quality {
    /// The measures over `images`, without ground-truth segments of fewer than `smallest` pixels (which stay in the
    /// oracle's labels). `None` if no segment is left.
    #[must_use]
    pub fn new(images: &[ImageQuality], classes: &TruthClasses, smallest: u32) -> Option<Self> {
        let count = |kind: Option<Kind>| {
            let segments = images.iter().flat_map(|image| &image.truth);
            segments
                .filter(|s| s.area >= smallest && is(classes, s.class, kind))
                .count()
        };
        let truth_segments = Counts {
            all: count(None),
            object: count(Some(Kind::Object)),
            stuff: count(Some(Kind::Stuff)),
        };
        let most = images.iter().map(|image| image.candidates).max()?;
        let curve = ladder(most)
            .into_iter()
            .enumerate()
            .map(|(index, proposals)| {
                let steps: Vec<(&ImageQuality, &Step)> = images
                    .iter()
                    .filter_map(|image| Some((image, image.step(index)?)))
                    .collect();
                let measures = |kind| measures(&steps, classes, kind, smallest);
                Some(Point {
                    proposals,
                    all: measures(None)?,
                    object: measures(Some(Kind::Object)),
                    stuff: measures(Some(Kind::Stuff)),
                })
            })
            .collect::<Option<Vec<Point>>>()?;
        Some(Self {
            truth_segments,
            curve,
        })
    }
}

impl ImageQuality {
    /// Step `index` of the ladder, or the last one: there are no more candidates then.
    fn step(&self, index: usize) -> Option<&Step> {
        self.steps.get(index).or(self.steps.last())
    }
}

fn is(classes: &TruthClasses, class: usize, kind: Option<Kind>) -> bool {
    kind.is_none() || classes.kind(class) == kind
}

fn measures(
    steps: &[(&ImageQuality, &Step)],
    classes: &TruthClasses,
    kind: Option<Kind>,
    smallest: u32,
) -> Option<Measures> {
    let ious: Vec<f64> = steps
        .iter()
        .flat_map(|(image, step)| image.truth.iter().zip(&step.best))
        .filter(|(s, _)| s.area >= smallest && is(classes, s.class, kind))
        .map(|(_, &iou)| iou)
        .collect();
    let mut confusion = Confusion::new(classes.count());
    for (_, step) in steps {
        confusion.add_sparse(&step.confusion);
    }
    let of_kind: Vec<usize> = (0..classes.count())
        .filter(|&class| is(classes, class, kind))
        .collect();
    let count = ious.len() as f64;
    let recall = |least: f64| ious.iter().filter(|&&iou| iou >= least).count() as f64 / count;
    (!ious.is_empty()).then(|| Measures {
        abo: ious.iter().sum::<f64>() / count,
        recall_50: recall(0.5),
        recall_70: recall(0.7),
        oracle_miou: confusion.mean_iou(&of_kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label_map::LabelMap;
    use proptest::prelude::*;

    const WIDTH: usize = 6;
    const HEIGHT: usize = 5;
    const PIXELS: usize = WIDTH * HEIGHT;

    /// A candidate as a set of pixels.
    fn pixels(maps: &[Vec<u16>], segment: &Segment<'_>) -> Vec<bool> {
        (0..PIXELS)
            .map(|pixel| match segment {
                Segment::Runs(runs) => runs.iter().any(|run| {
                    usize::from(run.y) == pixel / WIDTH
                        && (usize::from(run.x0)..usize::from(run.x1)).contains(&(pixel % WIDTH))
                }),
                Segment::Superpixels { map, members } => members.contains(&maps[*map][pixel]),
            })
            .collect()
    }

    fn iou(a: &[bool], b: &[bool]) -> f64 {
        let count = |test: fn(bool, bool) -> bool| {
            a.iter().zip(b).filter(|&(&a, &b)| test(a, b)).count() as f64
        };
        count(|a, b| a && b) / count(|a, b| a || b)
    }

    proptest! {
        /// The measures from sets of pixels, by their definitions.
        #[test]
        fn measures_equal_their_definitions(
            labels in prop::collection::vec(0..4_u8, PIXELS),
            maps in prop::collection::vec(prop::collection::vec(0..9_u16, PIXELS), 1..3),
            sets in prop::collection::vec((any::<usize>(), 1..512_u16, any::<bool>()), 1..30),
            smallest in 0..4_u32,
            void in prop::sample::select(vec![Void::Ignored, Void::Counted]),
        ) {
            let classes = TruthClasses::of_values(0);
            let truth = Truth::from_labels(&LabelMap::new(WIDTH, HEIGHT, labels.clone()).unwrap(), &classes).unwrap();
            let views: Vec<SuperpixelMap<'_>> = maps
                .iter()
                .map(|map| SuperpixelMap::new(map, WIDTH as u16, HEIGHT as u16, 9).unwrap())
                .collect();
            let members: Vec<Vec<u16>> = sets
                .iter()
                .map(|&(_, bits, _)| (0..9).filter(|id| bits >> id & 1 == 1).collect())
                .collect();
            let runs: Vec<Vec<Run>> = sets
                .iter()
                .map(|&(x, bits, _)| {
                    let x0 = (x % WIDTH) as u16;
                    (0..HEIGHT as u16)
                        .filter(|y| bits >> y & 1 == 1)
                        .map(|y| Run { y, x0, x1: (x0 + 1 + bits % 3).min(WIDTH as u16) })
                        .collect()
                })
                .collect();
            let candidates: Vec<Segment<'_>> = sets
                .iter()
                .enumerate()
                .map(|(i, &(map, _, by_runs))| if by_runs {
                    Segment::Runs(&runs[i])
                } else {
                    Segment::Superpixels { map: map % maps.len(), members: &members[i] }
                })
                .collect();
            let image = measure(&truth, &classes, &views, &candidates, void).unwrap();
            let ids: Vec<Option<usize>> = truth.pixel_segments().collect();
            let truths: Vec<Vec<bool>> = (0..truth.segments().len())
                .map(|id| ids.iter().map(|&other| other == Some(id)).collect())
                .collect();
            let quality = Quality::new(&[image], &classes, smallest);
            let large: Vec<usize> = (0..truths.len())
                .filter(|&id| truth.segments()[id].area >= smallest)
                .collect();
            prop_assert_eq!(quality.is_some(), !large.is_empty());
            let Some(quality) = quality else { return Ok(()) };
            prop_assert_eq!(quality.truth_segments.all, large.len());
            prop_assert_eq!(quality.curve.last().unwrap().proposals, candidates.len());
            let counted = |set: &Vec<bool>| -> Vec<bool> {
                let pixels = set.iter().zip(&labels);
                pixels.map(|(&inside, &label)| inside && (label != 0 || void == Void::Counted)).collect()
            };
            for point in &quality.curve {
                let sets: Vec<Vec<bool>> = candidates[..point.proposals]
                    .iter()
                    .map(|candidate| pixels(&maps, candidate))
                    .collect();
                let best: Vec<(f64, usize)> = truths
                    .iter()
                    .map(|truth| {
                        let ious = sets.iter().map(|set| iou(truth, &counted(set))).map(|iou| if iou.is_nan() { 0.0 } else { iou });
                        ious.zip(0..).fold((0.0, 0), |best, (iou, i)| if iou > best.0 { (iou, i) } else { best })
                    })
                    .collect();
                let mean = |value: &dyn Fn(f64) -> f64| {
                    large.iter().map(|&id| value(best[id].0)).sum::<f64>() / large.len() as f64
                };
                prop_assert!((point.all.abo - mean(&|iou| iou)).abs() < 1e-12);
                prop_assert!((point.all.recall_50 - mean(&|iou| f64::from(iou >= 0.5))).abs() < 1e-12);
                prop_assert!((point.all.recall_70 - mean(&|iou| f64::from(iou >= 0.7))).abs() < 1e-12);
                // Each pixel takes the covering representative with the largest IoU.
                let label = |pixel: usize| {
                    let mut winner: Option<(f64, usize)> = None;
                    for (id, &(iou, set)) in best.iter().enumerate() {
                        if iou > 0.0 && sets[set][pixel] && winner.is_none_or(|(other, _)| iou > other) {
                            winner = Some((iou, id));
                        }
                    }
                    winner.map(|(_, id)| truth.segments()[id].class)
                };
                let mut confusion = Confusion::new(classes.count());
                confusion.add((0..PIXELS).map(|p| {
                    (labels[p].checked_sub(1).map(usize::from), label(p))
                }));
                let all: Vec<usize> = (0..classes.count()).collect();
                prop_assert_eq!(point.all.oracle_miou, confusion.mean_iou(&all));
                prop_assert!(point.object.is_none() && point.stuff.is_none());
            }
        }
    }

    #[test]
    fn ladders_end_with_all() {
        assert_eq!(ladder(0), [0]);
        assert_eq!(ladder(10), [10]);
        assert_eq!(ladder(930), [10, 20, 50, 100, 200, 500, 930]);
        assert_eq!(ladder(1000).last(), Some(&1000));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let classes = TruthClasses::of_values(0);
        let labels = LabelMap::new(2, 2, vec![1, 1, 2, 2]).unwrap();
        let truth = Truth::from_labels(&labels, &classes).unwrap();
        let small = SuperpixelMap::new(&[0], 1, 1, 1).unwrap();
        let map = SuperpixelMap::new(&[0, 0, 1, 1], 2, 2, 2).unwrap();
        let run = |y, x0, x1| [Run { y, x0, x1 }];
        let (low, wide, good) = (run(2, 0, 1), run(0, 0, 3), run(1, 0, 2));
        let members = |map, members| Segment::Superpixels { map, members };
        for (maps, candidate) in [
            (&[small][..], members(0, &[0][..])),
            (&[map], members(1, &[0])),
            (&[map], members(0, &[2])),
            (&[], Segment::Runs(&low)),
            (&[], Segment::Runs(&wide)),
        ] {
            assert!(measure(&truth, &classes, maps, &[candidate], Void::Ignored).is_err());
        }
        let image = measure(
            &truth,
            &classes,
            &[],
            &[Segment::Runs(&good)],
            Void::Ignored,
        )
        .unwrap();
        // An image without any candidate lowers the mean.
        let none = measure(&truth, &classes, &[], &[], Void::Ignored).unwrap();
        let quality = Quality::new(&[image, none], &classes, 1).unwrap();
        assert_eq!(quality.truth_segments.all, 4);
        assert_eq!(quality.curve.len(), 1);
        assert_eq!(quality.curve[0].all.abo, 0.25);
        assert_eq!(quality.curve[0].all.oracle_miou, Some(0.25));
        assert_eq!(Quality::new(&[], &classes, 1), None);
    }
}
