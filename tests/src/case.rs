//! A golden case: inputs and every expected tensor, in one file.
//!
//! The file is `CFMC`, a u32 version (1), then chunks to the end: u8 kind, u8 sub-index, u16 index, u32 length,
//! and that many bytes. All numbers are little-endian; tensors are as in memory, channel last.

use cfm_core::segment::Run;

/// First bytes of a case file: magic and version.
pub const MAGIC: [u8; 8] = *b"CFMC\x01\0\0\0";

/// What a chunk holds. Kinds below 16 are inputs, the others are expected outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A `.cfm` file.
    Model,
    /// The image, `[row][column][sample]`.
    Image,
    /// Superpixel map `index`: u16 number of superpixels, then a u16 id per pixel.
    Map(u16),
    /// Segment `index` as runs: u16 y, x0, x1 each.
    Runs(u16),
    /// Segment `index` as superpixels: u16 map, then u16 ids.
    Members(u16),
    /// The labelling rule, 8 bytes as in the `LABL` section of a model.
    Rule,
    /// Tensor `index`, i8: 0 is the image, i + 1 the output of layer i.
    Tensor(u16),
    /// Area (u32) and window (u16 top, left, bottom, right, ends exclusive) of segment `index`.
    Extent(u16),
    /// Low-resolution mask of segment `index` over its window, 0 or 1.
    Mask(u16),
    /// Design B: mask of segment `index` over the bins of the finest level, 0 or 1.
    BinMask(u16),
    /// Pyramid vector of the segment path of segment `index`, i8.
    SegmentVector(u16),
    /// Pyramid vector of the region path of segment `index`, i8.
    RegionVector(u16),
    /// Output of fully connected layer `sub` (in file order, without the classifier) for segment `index`, i8.
    Hidden(u16, u8),
    /// Logits of segment `index`, i16.
    Logits(u16),
    /// Softmax probabilities of segment `index`, U0F16 as u16 (softmax classifiers only).
    Probabilities(u16),
    /// The class of every pixel, u8; 255 where there is none.
    Labels,
}

impl Content {
    /// Kind, sub-index and index as the file has them.
    #[must_use]
    pub const fn key(self) -> (u8, u8, u16) {
        match self {
            Self::Model => (0, 0, 0),
            Self::Image => (1, 0, 0),
            Self::Map(i) => (2, 0, i),
            Self::Runs(i) => (3, 0, i),
            Self::Members(i) => (4, 0, i),
            Self::Rule => (5, 0, 0),
            Self::Tensor(i) => (16, 0, i),
            Self::Extent(i) => (17, 0, i),
            Self::Mask(i) => (18, 0, i),
            Self::BinMask(i) => (19, 0, i),
            Self::SegmentVector(i) => (20, 0, i),
            Self::RegionVector(i) => (21, 0, i),
            Self::Hidden(i, sub) => (22, sub, i),
            Self::Logits(i) => (23, 0, i),
            Self::Probabilities(i) => (24, 0, i),
            Self::Labels => (25, 0, 0),
        }
    }

    fn from_key(key: (u8, u8, u16)) -> Option<Self> {
        let (kind, sub, i) = key;
        Some(match kind {
            0 => Self::Model,
            1 => Self::Image,
            2 => Self::Map(i),
            3 => Self::Runs(i),
            4 => Self::Members(i),
            5 => Self::Rule,
            16 => Self::Tensor(i),
            17 => Self::Extent(i),
            18 => Self::Mask(i),
            19 => Self::BinMask(i),
            20 => Self::SegmentVector(i),
            21 => Self::RegionVector(i),
            22 => Self::Hidden(i, sub),
            23 => Self::Logits(i),
            24 => Self::Probabilities(i),
            25 => Self::Labels,
            _ => return None,
        })
    }

    /// Whether a backend has to produce it.
    #[must_use]
    pub const fn is_expected(self) -> bool {
        self.key().0 >= 16
    }
}

/// A case file that does not hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenCase;

/// A view of a case file whose chunks have been checked to lie inside it.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    chunks: &'a [u8],
}

impl<'a> Case<'a> {
    /// Reads a case file.
    ///
    /// # Errors
    /// [`BrokenCase`] for a wrong magic, an unknown kind, a chunk that leaves the file, or one that is there twice.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BrokenCase> {
        let chunks = bytes.strip_prefix(&MAGIC).ok_or(BrokenCase)?;
        let mut rest = chunks;
        while !rest.is_empty() {
            rest = next_chunk(rest).ok_or(BrokenCase)?.1;
        }
        let case = Self { chunks };
        for (content, _) in case.contents() {
            if case.contents().filter(|(c, _)| *c == content).count() > 1 {
                return Err(BrokenCase);
            }
        }
        Ok(case)
    }

    /// All chunks in file order.
    pub fn contents(&self) -> impl Iterator<Item = (Content, &'a [u8])> + use<'a> {
        let mut rest = self.chunks;
        core::iter::from_fn(move || {
            let (chunk, later) = next_chunk(rest)?;
            rest = later;
            Some(chunk)
        })
    }

    /// The bytes of one expected tensor, and how many expected bytes come before it in the file.
    #[must_use]
    pub fn expected(&self, content: Content) -> Option<(usize, &'a [u8])> {
        let mut before = 0;
        for (found, bytes) in self.contents().filter(|(c, _)| c.is_expected()) {
            if found == content {
                return Some((before, bytes));
            }
            before += bytes.len();
        }
        None
    }

    /// The bytes of one chunk.
    #[must_use]
    pub fn get(&self, content: Content) -> Option<&'a [u8]> {
        self.contents()
            .find(|(found, _)| *found == content)
            .map(|(_, bytes)| bytes)
    }

    /// Number of segments.
    #[must_use]
    pub fn segment_count(&self) -> u16 {
        let segments = (0..u16::MAX).take_while(|&i| {
            self.get(Content::Runs(i)).is_some() || self.get(Content::Members(i)).is_some()
        });
        segments.fold(0, |count, _| count + 1)
    }
}

/// The u16 numbers in `bytes`.
pub fn u16s(bytes: &[u8]) -> impl Iterator<Item = u16> + Clone + '_ {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| u16::from_le_bytes(*pair))
}

/// The runs in `bytes`.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> + Clone + '_ {
    let (records, _) = bytes.as_chunks::<6>();
    records.iter().map(|&[a, b, c, d, e, f]| Run {
        y: u16::from_le_bytes([a, b]),
        x0: u16::from_le_bytes([c, d]),
        x1: u16::from_le_bytes([e, f]),
    })
}

type Chunk<'a> = (Content, &'a [u8]);

fn next_chunk(bytes: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let (&[kind, sub, i0, i1, l0, l1, l2, l3], rest) = bytes.split_first_chunk::<8>()?;
    let content = Content::from_key((kind, sub, u16::from_le_bytes([i0, i1])))?;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (data, rest) = rest.split_at_checked(length)?;
    Some(((content, data), rest))
}
