//! The engine as a plain program: it reads the configuration's words, the weights from outside and the streams, and
//! nothing else. What it computes is what `hls/ENGINE.md` says, no faster and in the same order.
//!
//! Unused bytes of words start as [`GARBAGE`], and lanes without a cell compute with whatever they read, as in hardware:
//! a result that depends on them shows up in a comparison.

mod array;
mod decode;
mod mask;
mod memory;
mod pool;

use crate::engine::ConfigWrite;
use array::Array;
use decode::{Header, Record};
use mask::{Masks, Projection};
use memory::{FeatureMemory, Words};

/// What the feature memory holds before anything is written.
pub const GARBAGE: u8 = 0xA5;

/// A fault of the configuration, or of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The control store does not begin as it must.
    #[error("the control store holds no engine's program")]
    Header,
    /// A memory is read or written where it has no word.
    #[error("{memory}: there is no word {address}")]
    Address {
        /// Which memory.
        memory: &'static str,
        /// The address.
        address: u32,
    },
    /// A write that no memory takes.
    #[error("the configuration bus has nothing at {0:#x}")]
    Bus(u32),
    /// A descriptor with a number that is none: of which operation.
    #[error("operation {0}: the descriptor is none")]
    Descriptor(u32),
    /// Two lanes of one pass want the same bank.
    #[error("operation {operation}: two lanes of a pass read bank {bank}")]
    Bank {
        /// The operation.
        operation: u32,
        /// The bank.
        bank: u32,
    },
    /// A stream ends too early.
    #[error("the {0} stream ends too early")]
    Stream(&'static str),
    /// A segment leaves the image, or holds no pixel.
    #[error("a segment leaves the image")]
    Segment,
}

/// A word that the array's path wrote, of all lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayWrite {
    /// Address in every bank.
    pub address: u32,
    /// `L` words of `PE` bytes, lane 0 first.
    pub data: Vec<u8>,
}

/// A word that the pooling wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PooledWrite {
    /// The bank.
    pub lane: u32,
    /// Address in it.
    pub address: u32,
    /// `PE` bytes.
    pub data: Vec<u8>,
}

/// A segment's window and the bits of its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells {
    /// Top, left, bottom, right; the last two exclusive.
    pub window: [u16; 4],
    /// Row-major.
    pub bits: Vec<bool>,
}

/// A request for weights from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightRequest {
    /// First word.
    pub address: u32,
    /// Number of words.
    pub words: u32,
}

/// Everything that an engine shows for a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What the array's path wrote, in order.
    pub writes: Vec<ArrayWrite>,
    /// What the pooling wrote, in order.
    pub pooled: Vec<PooledWrite>,
    /// The masks of the segments.
    pub cells: Vec<Cells>,
    /// The words of the logits stream.
    pub logits: Vec<u32>,
    /// The requests for weights.
    pub requests: Vec<WeightRequest>,
}

/// Configures an engine.
///
/// `side` and `feature_words` are parameters of the instance; `external` holds the weights outside, a byte a channel.
///
/// # Errors
/// A [`Fault`] when the words do not make a program.
pub fn configure<'a>(
    config: &[ConfigWrite],
    external: &'a [u8],
    side: u32,
    feature_words: u32,
) -> Result<Machine<'a>, Fault> {
    let mut memories: [Vec<u32>; 4] = Default::default();
    for &ConfigWrite { address, data } in config {
        let (memory, at) = match address >> 17 {
            region @ 0..=2 => (region, address & 0x1_FFFF),
            4..=7 => (3, address & 0x7_FFFF),
            _ => return Err(Fault::Bus(address)),
        };
        let words = &mut memories[memory as usize];
        let at = at as usize;
        if words.len() <= at {
            words.resize(at + 1, 0);
        }
        words[at] = data;
    }
    let [store, channels, scoring, weights] = memories;
    let store = Words::new("control store", store);
    let header = Header::decode(&store)?;
    Ok(Machine {
        header,
        store,
        channels: Words::new("channel memory", channels),
        scoring: Words::new("scoring memory", scoring),
        resident: weights.iter().flat_map(|word| word.to_le_bytes()).collect(),
        external,
        side,
        memory: FeatureMemory::new(header.pe, header.lanes, feature_words),
    })
}

/// A configured engine.
#[derive(Debug, Clone)]
pub struct Machine<'a> {
    header: Header,
    store: Words,
    channels: Words,
    scoring: Words,
    resident: Vec<u8>,
    external: &'a [u8],
    side: u32,
    memory: FeatureMemory,
}

impl Machine<'_> {
    /// Runs a frame: the beats of its image (a byte a channel), and its masks' words.
    ///
    /// # Errors
    /// A [`Fault`] of the configuration or of a stream.
    pub fn run(&mut self, image: &[u8], masks: &[u32]) -> Result<Outcome, Fault> {
        let mut outcome = Outcome::default();
        self.image(image, &mut outcome)?;
        self.segments(masks, &mut outcome)?;
        Ok(outcome)
    }

    fn image(&mut self, beats: &[u8], outcome: &mut Outcome) -> Result<(), Fault> {
        let header = self.header;
        let mut beats = beats.chunks_exact(header.pe as usize);
        let mut stored = 0;
        for at in 0..header.image_records {
            let record = Record::decode(&self.store, header.image_program + 3 * at)?;
            if record.kind == 1 {
                self.store_row(stored, &mut beats)?;
                stored += 1;
            } else {
                self.operate(&record, outcome)?;
            }
        }
        match beats.next() {
            None => Ok(()),
            Some(_) => Err(Fault::Stream("image")),
        }
    }

    /// The input: a row of the image into its ring.
    fn store_row<'b>(
        &mut self,
        row: u32,
        beats: &mut impl Iterator<Item = &'b [u8]>,
    ) -> Result<(), Fault> {
        let header = self.header;
        let first = header.image_ring + row % header.image_rows.max(1) * header.image_row_words;
        for x in 0..header.image_width {
            for group in 0..header.image_groups {
                let beat = beats.next().ok_or(Fault::Stream("image"))?;
                let word: Vec<u8> = beat.iter().map(|sample| sample ^ 0x80).collect();
                let address = first + x / header.lanes * header.image_groups + group;
                self.memory.write(x % header.lanes, address, &word)?;
            }
        }
        Ok(())
    }

    fn operate(&mut self, record: &Record, outcome: &mut Outcome) -> Result<(), Fault> {
        let mut array = Array::new(&self.store, record, &self.header)?;
        array.run(
            &mut self.memory,
            &self.channels,
            if array.is_external() {
                self.external
            } else {
                &self.resident
            },
            outcome,
        )
    }

    /// The masks of a frame, in batches of as many segments as there are lanes.
    fn segments(&mut self, masks: &[u32], outcome: &mut Outcome) -> Result<(), Fault> {
        let header = self.header;
        let mut masks = Masks::new(masks);
        for batch in 0_u32.. {
            let parity = batch as usize % 2;
            let mut pooled = 0;
            while pooled < header.lanes {
                let Some(mask) = masks.next_segment()? else {
                    break;
                };
                let projection = Projection::of(&header, &self.scoring, self.side, &mask)?;
                pool::pool(
                    &header,
                    &self.scoring,
                    self.side,
                    &projection,
                    &mut self.memory,
                    [pooled, header.pooled[parity]],
                    outcome,
                )?;
                outcome.cells.push(projection.cells());
                pooled += 1;
            }
            if pooled == 0 {
                break;
            }
            // The classifier's outputs, segment by segment.
            let mut logits = Outcome::default();
            for at in 0..header.scoring_records {
                let record = Record::decode(&self.store, header.scoring_programs[parity] + 3 * at)?;
                self.operate(&record, &mut logits)?;
            }
            outcome.writes.append(&mut logits.writes);
            outcome.requests.append(&mut logits.requests);
            let classes = header.classes as usize;
            for lane in 0..pooled as usize {
                let row: Vec<u32> = (0..classes)
                    .filter_map(|class| {
                        // The array hands out one class of all lanes at a time.
                        logits.logits.get(class * header.lanes as usize + lane)
                    })
                    .copied()
                    .collect();
                let best = (0..classes)
                    .rev()
                    .max_by_key(|&c| row.get(c).map(|w| w.cast_signed()));
                outcome.logits.extend(&row);
                let index = batch * header.lanes + lane as u32;
                outcome
                    .logits
                    .push(best.unwrap_or(0) as u32 & 0xFFFF | index << 16);
            }
            if pooled < header.lanes {
                break;
            }
        }
        Ok(())
    }
}
