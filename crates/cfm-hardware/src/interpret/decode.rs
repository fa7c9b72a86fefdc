//! The words of the control store.

use super::Fault;
use super::memory::Words;

/// The header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) pe: u32,
    pub(super) lanes: u32,
    pub(super) image_program: u32,
    pub(super) image_records: u32,
    pub(super) scoring_programs: [u32; 2],
    pub(super) scoring_records: u32,
    pub(super) image_ring: u32,
    pub(super) image_row_words: u32,
    pub(super) image_rows: u32,
    pub(super) image_width: u32,
    pub(super) image_groups: u32,
    pub(super) pixels: [u32; 2],
    pub(super) map: u32,
    pub(super) map_row_words: u32,
    pub(super) map_groups: u32,
    pub(super) map_zero: i8,
    pub(super) map_height: u32,
    pub(super) map_width: u32,
    pub(super) rule: u32,
    pub(super) threshold: u32,
    pub(super) entries: u32,
    pub(super) pooled: [u32; 2],
    pub(super) classes: u32,
}

impl Header {
    pub(super) fn decode(store: &Words) -> Result<Self, Fault> {
        let word = |at| store.get(at);
        let (pe, lanes) = (word(2)? & 0xFF, word(2)? >> 8);
        if word(0)? != 0x314D_4643 || !matches!(pe, 4 | 8 | 16) || !(1..=16).contains(&lanes) {
            return Err(Fault::Header);
        }
        // Rows and words are counted in 16 bits, and so are the words of the control store.
        if [8, 9, 10, 12, 13, 16, 17, 18, 20, 21, 24, 25, 26, 27]
            .into_iter()
            .chain(3..8)
            .any(|at| word(at).is_ok_and(|word| word > 0xFFFF))
        {
            return Err(Fault::Header);
        }
        Ok(Self {
            pe,
            lanes,
            image_program: word(3)?,
            image_records: word(4)?,
            scoring_programs: [word(5)?, word(6)?],
            scoring_records: word(7)?,
            image_ring: word(8)?,
            image_row_words: word(9)?,
            image_rows: word(10)?,
            image_width: word(12)?,
            image_groups: word(13)?,
            pixels: [word(14)?, word(15)?],
            map: word(16)?,
            map_row_words: word(17)?,
            map_groups: word(18)?,
            map_zero: signed_byte(word(19)?, 0),
            map_height: word(20)?,
            map_width: word(21)?,
            rule: word(22)?,
            threshold: word(23)?,
            entries: word(24)?,
            pooled: [word(25)?, word(26)?],
            classes: word(27)?,
        })
    }
}

/// Byte `at` of a word, with its sign.
pub(super) const fn signed_byte(word: u32, at: usize) -> i8 {
    word.to_le_bytes()[at % 4].cast_signed()
}

/// A step of a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) kind: u32,
    pub(super) rows: u32,
    pub(super) first_row: u32,
    pub(super) operation: u32,
    pub(super) write: u32,
    pub(super) read: u32,
    pub(super) second: u32,
}

impl Record {
    pub(super) fn decode(store: &Words, at: u32) -> Result<Self, Fault> {
        let words = [store.get(at)?, store.get(at + 1)?, store.get(at + 2)?];
        Ok(Self {
            kind: words[0] >> 24,
            rows: words[0] >> 16 & 0xFF,
            first_row: words[0] >> 8 & 0xFF,
            operation: words[0] & 0xFF,
            write: words[1] >> 16,
            read: words[1] & 0xFFFF,
            second: words[2] & 0xFFFF,
        })
    }
}

/// An operation's descriptor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptor {
    pub(super) kind: u32,
    pub(super) inputs: u32,
    pub(super) in_groups: u32,
    pub(super) out_groups: u32,
    pub(super) blocks: u32,
    pub(super) kernel: [u32; 2],
    pub(super) stride: u32,
    pub(super) width: u32,
    pub(super) start: Position,
    pub(super) tap: Position,
    pub(super) pass: Position,
    pub(super) row_step: u32,
    pub(super) ring_first: u32,
    pub(super) ring_words: u32,
    pub(super) weights: u32,
    pub(super) external: bool,
    pub(super) logits: bool,
    pub(super) channels: u32,
    pub(super) z_in: i8,
    pub(super) z_out: i8,
    pub(super) low: i8,
    pub(super) high: i8,
    pub(super) add_weights: [i32; 2],
    pub(super) out_channels: u32,
}

impl Descriptor {
    pub(super) fn decode(store: &Words, operation: u32) -> Result<Self, Fault> {
        let base = 32 + 32 * operation;
        let word = |at: u32| store.get(base + at);
        let position = |at: u32| -> Result<Position, Fault> {
            Ok(Position {
                q: word(at)?.cast_signed(),
                r: word(at + 1)?,
            })
        };
        Ok(Self {
            kind: word(0)?,
            inputs: word(1)?,
            in_groups: word(2)?,
            out_groups: word(3)?,
            blocks: word(4)?,
            kernel: [word(5)?, word(6)?],
            stride: word(7)?,
            width: word(8)?,
            start: position(9)?,
            tap: position(11)?,
            pass: position(13)?,
            row_step: word(15)?,
            ring_first: word(16)?,
            ring_words: word(17)?,
            weights: word(18)?,
            external: word(19)? & 1 != 0,
            logits: word(19)? & 2 != 0,
            channels: word(20)?,
            z_in: signed_byte(word(21)?, 0),
            z_out: signed_byte(word(21)?, 1),
            low: signed_byte(word(21)?, 2),
            high: signed_byte(word(21)?, 3),
            add_weights: [
                (word(22)? & 0xFFFF).cast_signed(),
                (word(22)? >> 16).cast_signed(),
            ],
            out_channels: word(23)?,
        })
    }
}

impl Descriptor {
    /// Whether every number is one that hardware has bits for.
    pub(super) fn is_sound(&self, lanes: u32) -> bool {
        let positions = [self.start, self.tap, self.pass];
        let halves = [
            self.inputs,
            self.in_groups,
            self.out_groups,
            self.blocks,
            self.width,
            self.row_step,
            self.ring_first,
            self.ring_words,
            self.out_channels,
        ];
        (1..=15).contains(&self.stride)
            && self.kernel.iter().all(|size| (1..=255).contains(size))
            && halves.iter().all(|&half| half <= 0xFFFF)
            && positions
                .iter()
                .all(|at| at.r < lanes && at.q.unsigned_abs() <= 0xFFFF)
            && self.weights <= 1 << 26
            && self.channels <= 0xFFFF
    }
}

/// A position along a row: `q * L + r`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) q: i32,
    pub(super) r: u32,
}

impl Position {
    /// The sum, with one conditional subtraction, which is all that hardware needs.
    pub(super) const fn plus(self, other: Self, lanes: u32) -> Self {
        let r = self.r + other.r;
        let carry = r >= lanes;
        Self {
            q: self.q.wrapping_add(other.q) + carry as i32,
            r: if carry { r - lanes } else { r },
        }
    }
}
