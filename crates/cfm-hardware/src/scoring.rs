//! The scoring memory: which pixels the cells are made of, and what the pyramid pools.

use cfm_core::model::{Design, Head};
use cfm_core::receptive_field::Axis;

/// The words of an axis: start of every cell, and the pixel nearest its centre.
pub(crate) fn geometry(axis: &Axis) -> Vec<u32> {
    (0..=axis.cells())
        .map(|cell| {
            let nearest = if cell < axis.cells() {
                axis.centre_pixel(cell, cell)
            } else {
                0
            };
            u32::from(axis.start(cell)) | u32::from(nearest) << 16
        })
        .collect()
}

/// A level of the pyramid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) level: u8,
    /// Offset of the masked output, if there is one.
    pub(crate) masked: Option<u32>,
    /// Offset of the whole output, if there is one.
    pub(crate) whole: Option<u32>,
    /// Design B: the whole output is masked by bin.
    pub(crate) by_bin: bool,
}

impl Entry {
    pub(crate) fn encode(self) -> [u32; 4] {
        [
            u32::from(self.level)
                | u32::from(self.masked.is_some()) << 8
                | u32::from(self.whole.is_some()) << 9
                | u32::from(self.by_bin) << 10,
            self.masked.unwrap_or(0),
            self.whole.unwrap_or(0),
            0,
        ]
    }
}

/// The entries of a head's pyramids, whose vectors lie at the offsets `segment` and `region`, a bin taking `groups`
/// words.
pub(crate) fn pyramid(head: &Head<'_>, groups: u32, segment: u32, region: u32) -> Vec<Entry> {
    let bins = |level: u8| u32::from(level) * u32::from(level);
    let mut entries: Vec<Entry> = Vec::new();
    let mut offset = segment;
    for &level in head.segment_levels.as_slice() {
        let masked = head.design != Design::B;
        entries.push(Entry {
            level,
            masked: masked.then_some(offset),
            whole: (!masked).then_some(offset),
            by_bin: !masked && level == head.segment_levels.finest(),
        });
        offset += bins(level) * groups;
    }
    let mut offset = region;
    for &level in head.region_levels.as_slice() {
        match entries.iter_mut().find(|entry| entry.level == level) {
            Some(entry) => entry.whole = Some(offset),
            None => entries.push(Entry {
                level,
                masked: None,
                whole: Some(offset),
                by_bin: false,
            }),
        }
        offset += bins(level) * groups;
    }
    entries
}
