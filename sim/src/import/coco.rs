//! Run lengths as the COCO data set has them, down the columns.
//!
//! The JSON is read field by field into numbers of four bytes, and a segment goes from runs down the columns to runs
//! along the rows without its pixels being painted: memory is a few times the file, and time goes by the file's length and
//! by the number of runs, not by the pixels that they cover.

mod json;

use cfm_core::segment::Run;

use super::{ImportProblem, MAX_RUNS, Segments};
use json::{Annotation, Annotations, Counts, Lengths};

/// Most run lengths of all annotations of an image: each run has one before it, and each segment one behind it.
const MAX_COUNTS: usize = 2 * MAX_RUNS;

/// Reads the annotations of one image.
pub(super) fn parse(bytes: &[u8], image: Option<&str>) -> Result<Segments, ImportProblem> {
    let mut chosen = Annotations::read(bytes, image)?.chosen()?;
    let score = |annotation: &Annotation| annotation.score;
    if chosen.iter().all(|(_, a)| score(a).is_some()) {
        chosen.sort_by(|(_, a), (_, b)| {
            let [a, b] = [a, b].map(|annotation| score(annotation).unwrap_or(0.0));
            b.total_cmp(&a)
        });
    }
    let mut segments: Option<Segments> = None;
    for (index, annotation) in chosen {
        let refuse = |reason: String| ImportProblem::Annotation { index, reason };
        let ([height, width], counts) = run_lengths(annotation).map_err(refuse)?;
        let segments = match &mut segments {
            Some(segments) => segments,
            none => none.insert(Segments::new(width, height)?),
        };
        let before = [segments.height, segments.width].map(u64::from);
        if before != [height, width] {
            let [before_height, before_width] = before;
            return Err(refuse(format!(
                "{width}x{height} pixels, but those before have {before_width}x{before_height}"
            )));
        }
        let pixels = height * width;
        if counts.iter().map(|&count| u64::from(count)).sum::<u64>() != pixels {
            return Err(refuse(format!(
                "the counts do not add up to the {pixels} pixels of the image"
            )));
        }
        push_rows(&counts, segments)?;
        segments.end()?;
    }
    segments.ok_or(ImportProblem::Empty)
}

/// Height and width, and the lengths of runs down the columns, outside first.
fn run_lengths(annotation: Annotation) -> Result<([u64; 2], Vec<u32>), String> {
    let Lengths {
        is_list,
        size,
        counts,
    } = annotation.lengths();
    if is_list {
        return Err("a polygon; only run lengths are read".to_owned());
    }
    let (Some(size), Some(counts)) = (size, counts) else {
        return Err("no run lengths: it has no size or no counts".to_owned());
    };
    let size = size.ok_or("the size is not [height, width]")?;
    match counts {
        Counts::Lengths(counts) => Ok((size, counts)),
        Counts::Broken(reason) => Err(reason.to_owned()),
    }
}

/// Rows `top .. bottom` of the columns `left .. right`; of several columns, all rows.
struct Piece {
    left: u16,
    right: u16,
    top: u16,
    bottom: u16,
}

/// The pixels inside the run lengths, in pieces from left to right and top to bottom, with a gap between any two of a
/// column.
fn pieces(counts: &[u32], height: u16) -> impl Iterator<Item = Piece> {
    let height = u64::from(height);
    let mut position = 0;
    let mut pairs = counts.chunks(2);
    // Runs inside, those without a gap between them together.
    let mut pending: Option<(u64, u64)> = None;
    let mut next_run = move || loop {
        let Some(pair) = pairs.next() else {
            return pending.take();
        };
        let start = position + u64::from(pair[0]);
        position = start + pair.get(1).map_or(0, |&inside| u64::from(inside));
        if start == position {
            continue;
        }
        match &mut pending {
            Some((_, end)) if *end == start => *end = position,
            _ => {
                if let Some(run) = pending.replace((start, position)) {
                    return Some(run);
                }
            }
        }
    };
    let mut rest = None;
    std::iter::from_fn(move || {
        let (start, end) = rest.take().or_else(&mut next_run)?;
        let (left, top) = (start / height, start % height);
        // Columns are at most 65535, and so are rows.
        let piece = |right: u64, bottom: u64| Piece {
            left: left as u16,
            right: right as u16,
            top: top as u16,
            bottom: bottom as u16,
        };
        let (piece, stop) = if top == 0 && end - start >= height {
            let right = end / height;
            (piece(right, height), right * height)
        } else {
            let stop = end.min((left + 1) * height);
            (piece(left + 1, stop - left * height), stop)
        };
        if stop < end {
            rest = Some((stop, end));
        }
        Some(piece)
    })
}

/// Adds the runs along the rows to the segment that is not ended yet.
fn push_rows(counts: &[u32], segments: &mut Segments) -> Result<(), ImportProblem> {
    let first = segments.runs.len();
    let height = segments.height;
    // Where the run of each row that is open began.
    let mut open = vec![0_u16; usize::from(height)];
    // The rows of the column before, and which column comes next.
    let mut rows: Vec<(u16, u16)> = Vec::new();
    let mut next = 0;
    let mut pieces = pieces(counts, height).peekable();
    while let Some(piece) = pieces.next() {
        let Piece { left, right, .. } = piece;
        let mut column = vec![(piece.top, piece.bottom)];
        while let Some(piece) = pieces.next_if(|piece| piece.left == left) {
            column.push((piece.top, piece.bottom));
        }
        if left > next {
            close(&rows, &[], &open, next, segments)?;
            rows.clear();
        }
        close(&rows, &column, &open, left, segments)?;
        for_difference(&column, &rows, |y| {
            if let Some(start) = open.get_mut(usize::from(y)) {
                *start = left;
            }
            Ok(())
        })?;
        (rows, next) = (column, right);
    }
    close(&rows, &[], &open, next, segments)?;
    segments.runs[first..].sort_unstable_by_key(|run| (run.y, run.x0));
    Ok(())
}

/// Ends the runs of the rows in `before` that are not in `now`, at column `x`.
fn close(
    before: &[(u16, u16)],
    now: &[(u16, u16)],
    open: &[u16],
    x: u16,
    segments: &mut Segments,
) -> Result<(), ImportProblem> {
    for_difference(before, now, |y| {
        let x0 = open.get(usize::from(y)).copied().unwrap_or(x);
        segments.push_run(Run { y, x0, x1: x })
    })
}

/// Every row that is in `a` and not in `b`, which are ranges in order.
fn for_difference(
    a: &[(u16, u16)],
    b: &[(u16, u16)],
    mut with: impl FnMut(u16) -> Result<(), ImportProblem>,
) -> Result<(), ImportProblem> {
    let mut b = b.iter().copied().peekable();
    for &(top, bottom) in a {
        let mut y = top;
        while y < bottom {
            // Ranges that end before this row are done with.
            while b.next_if(|&(_, end)| end <= y).is_some() {}
            match b.peek() {
                Some(&(start, end)) if start <= y => y = end.min(bottom),
                range => {
                    let stop = range.map_or(bottom, |&(start, _)| start.min(bottom));
                    (y..stop).try_for_each(&mut with)?;
                    y = stop;
                }
            }
        }
    }
    Ok(())
}
