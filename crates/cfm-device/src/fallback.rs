//! A whole frame, on the engine if it answers, otherwise in software, with the same bits.

use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::kernels::Kernels;
use cfm_core::model::Model;
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::Segment;
use cfm_core::superpixel_index::SuperpixelIndex;
use embedded_hal::delay::DelayNs;

use crate::device::{Device, DeviceError};
use crate::segment_words::{segment_bounds, segment_words};
use crate::transport::Transport;

/// Rows that can be read again: a frame in memory, or a scene that does not change.
pub trait FrameSource {
    /// Why a row cannot be had.
    type Error;

    /// Copies row `y`: `width * channels` samples.
    ///
    /// # Errors
    /// The source's own.
    fn row(&mut self, y: u16, row: &mut [u8]) -> Result<(), Self::Error>;
}

/// What computed a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Backend<E> {
    /// The engine.
    Engine,
    /// The kernels of `cfm-core`, because of this.
    Software(DeviceError<E>),
}

/// Why a frame was not computed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameError<S> {
    /// The source of the rows failed.
    Source(S),
    /// The row buffer or the slice for the logits does not have the model's size.
    Buffer,
    /// The arena is too small, or the kernels do not fit the model.
    Execute(ExecuteError),
    /// A segment is refused.
    Score(ScoreError),
}

impl<S: core::fmt::Debug> core::fmt::Display for FrameError<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Source(error) => write!(f, "a row of the image cannot be had: {error:?}"),
            Self::Buffer => {
                f.write_str("the row buffer or the logits do not have the model's size")
            }
            Self::Execute(error) => error.fmt(f),
            Self::Score(error) => error.fmt(f),
        }
    }
}

impl<S: core::fmt::Debug> core::error::Error for FrameError<S> {}

/// The memory that a frame takes.
#[derive(Debug)]
pub struct FrameMemory<'a> {
    /// One row: `width * channels` samples.
    pub row: &'a mut [u8],
    /// One element per class.
    pub logits: &'a mut [i16],
    /// [`Model::arena_bytes`], for the software.
    pub arena: &'a mut [i8],
}

/// Computes the logits of all segments: `scored(index, logits)`.
///
/// When the engine fails in the middle, the software computes the frame from its first row, and `scored` is called again for all
/// segments, with the same values; the engine is reset for the next frame, also when the source of the rows fails.
///
/// # Errors
/// What the software could not do either.
#[expect(
    clippy::too_many_arguments,
    reason = "the two back ends, the frame, and where results go"
)]
pub fn score_frame<T: Transport, D: DelayNs, K: Kernels + Copy, S: FrameSource>(
    device: &mut Device<T, D>,
    model: &Model<'_>,
    kernels: K,
    source: &mut S,
    segments: &[Segment<'_>],
    maps: &[SuperpixelIndex<'_>],
    memory: FrameMemory<'_>,
    mut scored: impl FnMut(usize, &[i16]),
) -> Result<Backend<T::Error>, FrameError<S::Error>> {
    let FrameMemory { row, logits, arena } = memory;
    if row.len() != model.input().row_len() || logits.len() != model.class_count() {
        return Err(FrameError::Buffer);
    }
    let failure = match on_engine(
        device,
        model,
        source,
        segments,
        maps,
        row,
        logits,
        &mut scored,
    ) {
        Ok(()) => return Ok(Backend::Engine),
        Err(failure) => failure,
    };
    // For the next frame; if that fails too, so will the next frame's first transfer.
    let _ = device.reset();
    let failure = match failure {
        Failure::Source(error) => return Err(FrameError::Source(error)),
        Failure::Device(error) => error,
    };

    let mut executor =
        Executor::with_kernels(model, arena, kernels).map_err(FrameError::Execute)?;
    for y in 0..model.input().height {
        source.row(y, row).map_err(FrameError::Source)?;
        executor.push_row(row).map_err(FrameError::Execute)?;
    }
    let (features, scratch) = executor.finish().map_err(FrameError::Execute)?;
    let mut scorer =
        Scorer::with_kernels(model, features, scratch, kernels).map_err(FrameError::Score)?;
    for (index, segment) in segments.iter().enumerate() {
        scorer
            .score(segment, maps, logits)
            .map_err(FrameError::Score)?;
        scored(index, logits);
    }
    Ok(Backend::Software(failure))
}

enum Failure<E, S> {
    Device(DeviceError<E>),
    Source(S),
}

impl<E, S> From<DeviceError<E>> for Failure<E, S> {
    fn from(error: DeviceError<E>) -> Self {
        Self::Device(error)
    }
}

#[expect(clippy::too_many_arguments, reason = "as its caller")]
fn on_engine<T: Transport, D: DelayNs, S: FrameSource>(
    device: &mut Device<T, D>,
    model: &Model<'_>,
    source: &mut S,
    segments: &[Segment<'_>],
    maps: &[SuperpixelIndex<'_>],
    row: &mut [u8],
    logits: &mut [i16],
    scored: &mut impl FnMut(usize, &[i16]),
) -> Result<(), Failure<T::Error, S::Error>> {
    if device.identify()?.fingerprint != Some(model.fingerprint()) {
        return Err(DeviceError::NotConfigured.into());
    }
    device.begin_frame()?;
    for y in 0..model.input().height {
        source.row(y, row).map_err(Failure::Source)?;
        device.push_row(row)?;
    }
    let mut scoring = device.scoring(logits);
    for segment in segments {
        // What the engine would not understand, the software names.
        let bounds = segment_bounds(segment, maps, model.input().width, model.input().height)
            .ok_or(DeviceError::Argument)?;
        scoring.push(segment_words(segment, maps, bounds), |i, values, _| {
            scored(i, values)
        })?;
    }
    scoring.finish(|i, values, _| scored(i, values))?;
    Ok(())
}
