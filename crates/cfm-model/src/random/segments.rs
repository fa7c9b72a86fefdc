//! Random segments: runs of pixels, and sets of superpixels of random maps.

use cfm_core::model::LabellingRule;
use cfm_core::segment::{MAX_SUPERPIXELS, Run, Segment, SegmentError, SuperpixelMap};

use super::source::{Source, Stream};

/// Segments that own their runs, and the superpixel maps that some of them refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RandomSegments {
    /// The superpixel maps, possibly none.
    pub maps: Vec<RandomMap>,
    /// The segments.
    pub segments: Vec<RandomSegment>,
}

/// A superpixel map that owns its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RandomMap {
    /// One superpixel id per pixel, row-major.
    pub labels: Vec<u16>,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Number of ids; some may have no pixels.
    pub count: u16,
}

/// A segment that owns its runs or members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RandomSegment {
    /// Runs of pixels.
    Runs(Vec<Run>),
    /// A union of superpixels.
    Superpixels {
        /// Index of the map.
        map: usize,
        /// Superpixel ids, in any order.
        members: Vec<u16>,
    },
}

impl RandomMap {
    /// The map as the core reads it.
    ///
    /// # Errors
    /// A [`SegmentError`] when the fields, which are public, contradict one another.
    pub fn view(&self) -> Result<SuperpixelMap<'_>, SegmentError> {
        SuperpixelMap::new(&self.labels, self.width, self.height, self.count)
    }
}

impl RandomSegment {
    /// The segment as the core reads it.
    #[must_use]
    pub fn view(&self) -> Segment<'_> {
        match self {
            Self::Runs(runs) => Segment::Runs(runs),
            Self::Superpixels { map, members } => Segment::Superpixels { map: *map, members },
        }
    }
}

impl RandomSegments {
    /// The maps as the core reads them.
    ///
    /// # Errors
    /// As [`RandomMap::view`].
    pub fn map_views(&self) -> Result<Vec<SuperpixelMap<'_>>, SegmentError> {
        self.maps.iter().map(RandomMap::view).collect()
    }

    /// `rule`, with a map to refine by that there is; without refinement if there are no maps.
    #[must_use]
    pub fn applicable(&self, rule: LabellingRule) -> LabellingRule {
        let count = self.maps.len() as u8;
        LabellingRule {
            refinement: rule.refinement.and_then(|map| map.checked_rem(count)),
            ..rule
        }
    }

    /// The segments as the core reads them.
    #[must_use]
    pub fn views(&self) -> Vec<Segment<'_>> {
        self.segments.iter().map(RandomSegment::view).collect()
    }
}

/// `count` random segments of an image of `width x height` pixels (neither may be 0), none of them empty.
///
/// The first is the whole image. About half of the others are runs: rectangles, ellipses, single pixels, lines, frames,
/// chequers and scattered pixels, sometimes cut into touching runs. The rest are superpixels of up to three maps.
#[must_use]
pub fn random_segments(seed: u64, width: u16, height: u16, count: usize) -> RandomSegments {
    let mut source = Source::new(seed, Stream::Segments);
    let source = &mut source;
    let maps: Vec<RandomMap> = (0..source.range(0..=3_usize))
        .map(|_| random_map(source, width, height))
        .collect();
    let segments = (0..count)
        .map(|i| {
            if i == 0 {
                RandomSegment::Runs(runs(source, width, height, |_, _| true))
            } else if maps.is_empty() || source.chance(1, 2) {
                RandomSegment::Runs(random_runs(source, width, height))
            } else {
                random_members(source, &maps)
            }
        })
        .collect();
    RandomSegments { maps, segments }
}

/// The runs of the pixels for which `inside` holds; in places cut into runs that touch.
fn runs(
    source: &mut Source,
    width: u16,
    height: u16,
    mut inside: impl FnMut(u16, u16) -> bool,
) -> Vec<Run> {
    let cut = source.chance(1, 6);
    let mut runs: Vec<Run> = Vec::new();
    for y in 0..height {
        for x in 0..width {
            if !inside(x, y) {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.y == y && run.x1 == x && !(cut && source.chance(1, 4)) => {
                    run.x1 += 1;
                }
                _ => runs.push(Run {
                    y,
                    x0: x,
                    x1: x + 1,
                }),
            }
        }
    }
    runs
}

/// What a segment looks like.
#[derive(Debug, Clone, Copy)]
enum Form {
    Rectangle,
    Ellipse,
    Pixel,
    Corner,
    Row,
    Column,
    Frame,
    Chequers,
    Scattered,
}

fn random_runs(source: &mut Source, width: u16, height: u16) -> Vec<Run> {
    let form = source.weighted(&[
        (5, Form::Rectangle),
        (5, Form::Ellipse),
        (2, Form::Pixel),
        (1, Form::Corner),
        (1, Form::Row),
        (1, Form::Column),
        (2, Form::Frame),
        (1, Form::Chequers),
        (3, Form::Scattered),
    ]);
    let [a, b] = [0; 2].map(|_| source.range(0..=width - 1));
    let [c, d] = [0; 2].map(|_| source.range(0..=height - 1));
    let (left, right, top, bottom) = (a.min(b), a.max(b), c.min(d), c.max(d));
    let in_box = |x, y| left <= x && x <= right && top <= y && y <= bottom;
    let odds = source.range(1..=60_u32);
    let mut scatter = source.clone();
    let drawn = match form {
        Form::Rectangle => runs(source, width, height, in_box),
        Form::Ellipse => runs(source, width, height, |x, y| {
            // In half pixels, relative to the centre of the box.
            let dx = i64::from(2 * x) - i64::from(left + right);
            let dy = i64::from(2 * y) - i64::from(top + bottom);
            let (w, h) = (i64::from(right - left) + 1, i64::from(bottom - top) + 1);
            dx * dx * h * h + dy * dy * w * w <= w * w * h * h
        }),
        Form::Pixel => runs(source, width, height, |x, y| (x, y) == (a, c)),
        Form::Corner => {
            let (x, y) = (source.pick(&[0, width - 1]), source.pick(&[0, height - 1]));
            runs(source, width, height, |px, py| (px, py) == (x, y))
        }
        Form::Row => runs(source, width, height, |_, y| y == c),
        Form::Column => runs(source, width, height, |x, _| x == a),
        Form::Frame => runs(source, width, height, |x, y| {
            in_box(x, y) && (x == left || x == right || y == top || y == bottom)
        }),
        Form::Chequers => runs(source, width, height, |x, y| (x + y) % 2 == c % 2),
        Form::Scattered => runs(source, width, height, |x, y| {
            in_box(x, y) && scatter.chance(1, odds.into())
        }),
    };
    if drawn.is_empty() {
        // Chance or the form left nothing.
        return runs(source, width, height, |x, y| (x, y) == (a, c));
    }
    drawn
}

fn random_map(source: &mut Source, width: u16, height: u16) -> RandomMap {
    let pixels = usize::from(width) * usize::from(height);
    let largest = u16::try_from(pixels)
        .unwrap_or(u16::MAX)
        .min(MAX_SUPERPIXELS);
    let spare = source.pick(&[0, 0, 1, 7]).min(MAX_SUPERPIXELS - largest);
    let (mut labels, used) = match source.range(0..=3) {
        // The nearest of some points.
        0 | 1 => {
            let count = source.range(1..=largest.min(40));
            let points: Vec<(u16, i32, i32)> = (0..count)
                .map(|i| {
                    let x = source.range(0..=width - 1);
                    (i, x.into(), source.range(0..=height - 1).into())
                })
                .collect();
            let nearest = |x: u16, y: u16| {
                let distance = |&&(_, px, py): &&(u16, i32, i32)| {
                    (px - i32::from(x)).pow(2) + (py - i32::from(y)).pow(2)
                };
                points.iter().min_by_key(distance).map_or(0, |&(i, ..)| i)
            };
            (label(width, height, nearest), count)
        }
        // Blocks.
        2 => {
            let (w, h) = (
                source.range(1..=9).min(width),
                source.range(1..=9).min(height),
            );
            let across = width.div_ceil(w);
            let count = u32::from(across) * u32::from(height.div_ceil(h));
            match u16::try_from(count) {
                Ok(count) if count <= largest => {
                    (label(width, height, |x, y| y / h * across + x / w), count)
                }
                _ => (label(width, height, |_, _| 0), 1),
            }
        }
        // Every pixel for itself.
        _ => {
            let count = source.range(1..=largest);
            let any = |_, _| source.range(0..=count - 1);
            (label(width, height, any), count)
        }
    };
    let count = used + spare;
    // The ids without pixels are anywhere among the others.
    let mut names: Vec<u16> = (0..count).collect();
    source.shuffle(&mut names);
    for label in &mut labels {
        *label = names[usize::from(*label)];
    }
    RandomMap {
        labels,
        width,
        height,
        count,
    }
}

fn label(width: u16, height: u16, mut of: impl FnMut(u16, u16) -> u16) -> Vec<u16> {
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .map(|(x, y)| of(x, y))
        .collect()
}

fn random_members(source: &mut Source, maps: &[RandomMap]) -> RandomSegment {
    let map = source.range(0..=maps.len() - 1);
    let RandomMap { labels, count, .. } = &maps[map];
    // One with pixels, so that the segment is not empty, and any others.
    let first = source.pick(labels);
    let mut others: Vec<u16> = (0..*count).filter(|&id| id != first).collect();
    source.shuffle(&mut others);
    let more = match source.range(0..=3) {
        0 => 0,
        1 => others.len(),
        _ => source.range(0..=others.len()),
    };
    others.truncate(more);
    others.push(first);
    source.shuffle(&mut others);
    RandomSegment::Superpixels {
        map,
        members: others,
    }
}
