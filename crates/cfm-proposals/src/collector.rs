//! The proposals while they are found: each set of pixels once, and the best when there are too many.

use cfm_core::image::ImageView;
use cfm_core::segment::SuperpixelMap;
use cfm_core::sort::sort_by;

use crate::diversity::Ranking;
use crate::error::ProposalError;
use crate::grouping::{Dendrogram, Node};
use crate::params::Params;
use crate::region::{Region, for_each_pixel};

/// Words of a proposal: its place in the orders, its length and map, its merit, the parts besides the first, its
/// region. Each such part has its distance from the first in the upper half, its length in the lower; 0 for none.
pub(crate) const ENTRY: usize = 5 + Region::WORDS;
/// Words per proposal, with its share of the hash table.
pub(crate) const RECORD: usize = ENTRY + 2;

/// Where a hierarchy belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Which map.
    pub map: usize,
    /// Where its order starts in the orders.
    pub start: usize,
    /// Number among all hierarchies.
    pub hierarchy: usize,
}

impl Place {
    /// The merit of a region by level: more for lower levels, different for all regions of all hierarchies.
    /// `sibling` tells regions of one level apart.
    fn merit(self, level: usize, sibling: usize) -> u32 {
        !((level as u32) << 19 | (self.hierarchy as u32) << 14 | sibling as u32)
    }
}

/// A proposal as it is stored.
type Words = [u32; ENTRY];

/// Superpixels of a combination; 0 for a single region.
fn combined(entry: &Words) -> u64 {
    match entry[3] {
        0 => 0,
        _ => [entry[1], entry[3], entry[4]]
            .iter()
            .map(|len| u64::from(len & 0xffff))
            .sum(),
    }
}

/// A region as it is stored, besides what is known of its pixels.
struct Entry {
    map: usize,
    start: usize,
    len: usize,
    merit: u32,
    others: [u32; 2],
}

/// Keeps each set of pixels once, and those with the most merit when there are too many.
pub(crate) struct Collector<'m, 'p> {
    params: &'p Params,
    /// [`ENTRY`] words per proposal.
    entries: &'m mut [u32],
    /// An open-addressing hash table: 0, or one more than a proposal's index. At most half full.
    table: &'m mut [u32],
    /// Proposals so far.
    len: usize,
}

impl<'m, 'p> Collector<'m, 'p> {
    pub(crate) fn new(params: &'p Params, entries: &'m mut [u32], table: &'m mut [u32]) -> Self {
        table.fill(0);
        Self {
            params,
            entries,
            table,
            len: 0,
        }
    }

    /// Adds the nodes of a hierarchy.
    pub(crate) fn add_nodes(&mut self, tree: Dendrogram<'_>, place: Place) {
        if self.params.ranking() == Ranking::Area {
            for node in tree.nodes() {
                self.add_node(tree, place, node, node.area);
            }
            return;
        }
        let last = tree.len() - 1;
        if let Some(whole) = tree.node(last) {
            self.add_node(tree, place, whole, place.merit(0, 0));
        }
        for split in (tree.leaf_count()..=last).rev() {
            let children = tree.node(split).and_then(|node| node.children);
            let Some((a, b)) = children else {
                continue;
            };
            for (sibling, child) in [a, b].into_iter().enumerate() {
                if let Some(node) = tree.node(usize::from(child)) {
                    let merit = place.merit(last - split + 1, sibling);
                    self.add_node(tree, place, node, merit);
                }
            }
        }
    }

    /// Adds a node unless it is all but equal to a child.
    fn add_node(&mut self, tree: Dendrogram<'_>, place: Place, node: Node<'_>, merit: u32) {
        let area = |index: u16| {
            let node = tree.node(usize::from(index));
            node.map_or(0, |node| u64::from(node.area))
        };
        let min_growth = u64::from(self.params.min_growth());
        let grows = node
            .children
            .is_none_or(|(a, b)| area(a).min(area(b)) << 8 >= min_growth * u64::from(node.area));
        if grows {
            self.add_parts(place, &[node], merit);
        }
    }

    /// Adds a combination unless a part is too small.
    pub(crate) fn add_combination(
        &mut self,
        place: Place,
        level: usize,
        number: usize,
        parts: &[Node<'_>],
    ) {
        let areas = || parts.iter().map(|part| u64::from(part.area));
        let (least, whole) = (areas().min().unwrap_or(0), areas().sum::<u64>());
        if least << 8 >= u64::from(self.params.min_growth()) * whole {
            let merit = match self.params.ranking() {
                Ranking::Area => whole as u32,
                Ranking::Level => place.merit(level, number),
            };
            self.add_parts(place, parts, merit);
        }
    }

    /// Adds one to three nodes without common pixels as one region.
    fn add_parts(&mut self, place: Place, parts: &[Node<'_>], merit: u32) {
        let Some((first, more)) = parts.split_first() else {
            return;
        };
        let region = parts.iter().fold(Region::EMPTY, |region, part| {
            region.union(Region {
                area: part.area,
                bbox: part.bbox,
                hash: part.hash,
            })
        });
        let mut others = [0; 2];
        for (other, part) in others.iter_mut().zip(more) {
            let distance = part.start as u32 as u16;
            let distance = distance.wrapping_sub(first.start as u16);
            *other = u32::from(distance) << 16 | part.members.len() as u32;
        }
        let entry = Entry {
            map: place.map,
            start: place.start + first.start,
            len: first.members.len(),
            merit,
            others,
        };
        self.add(entry, region);
    }

    /// Adds the superpixels of a map that is not grouped.
    pub(crate) fn add_superpixels(
        &mut self,
        image: ImageView<'_>,
        map: SuperpixelMap<'_>,
        place: Place,
        words: &mut [u32],
    ) -> Result<(), ProposalError> {
        let regions = words
            .get_mut(..usize::from(map.count()) * Region::WORDS)
            .ok_or(ProposalError::Words)?
            .as_chunks_mut()
            .0;
        regions.fill(Region::EMPTY.to_words());
        for_each_pixel(image, map.labels(), |id, pixel| {
            if let Some(words) = regions.get_mut(usize::from(id)) {
                *words = Region::from_words(*words).union(pixel).to_words();
            }
        });
        for (id, &words) in regions.iter().enumerate() {
            let region = Region::from_words(words);
            let merit = match self.params.ranking() {
                Ranking::Area => region.area,
                Ranking::Level => place.merit(id, 0),
            };
            let entry = Entry {
                map: place.map,
                start: place.start + id,
                len: 1,
                merit,
                others: [0; 2],
            };
            self.add(entry, region);
        }
        Ok(())
    }

    /// Adds a set of pixels unless it is too small, too large, or known with at least that merit.
    ///
    /// When the memory is full, the lesser part goes. What goes then is not among the best in the end either, nor is a
    /// later set with the same pixels and merit: it would come after at least as many that are better or earlier. Of single
    /// regions that must be so without combinations, which may find no room.
    fn add(&mut self, entry: Entry, region: Region) {
        let allowed = self.params.min_area()..=self.params.max_area();
        if !allowed.contains(&region.area) {
            return;
        }
        if self.len * ENTRY == self.entries.len() {
            let count = self.params.max_segments().into();
            match self.params.ranking() {
                Ranking::Level => self.keep_best(count, |_| 1),
                Ranking::Area => {
                    self.keep_best(count, |entry| u64::from(combined(entry) == 0));
                    self.keep_best(count, |entry| u64::from(combined(entry) != 0));
                }
            }
        }
        let key = region.to_words();
        let index = match find(self.table, self.entries, &key) {
            Found::Free(slot) => {
                *slot = self.len as u32 + 1;
                self.len += 1;
                self.len - 1
            }
            Found::Known(index) => {
                if self
                    .entries
                    .get(index * ENTRY + 2)
                    .is_none_or(|&known| known >= entry.merit)
                {
                    return;
                }
                index
            }
            Found::Full => return,
        };
        if let Some(words) = self.entries.as_chunks_mut::<ENTRY>().0.get_mut(index) {
            let ([a, b], [c, d, e, f, g]) = (entry.others, key);
            let len_map = (entry.map as u32) << 16 | entry.len as u32;
            *words = [
                entry.start as u32,
                len_map,
                entry.merit,
                a,
                b,
                c,
                d,
                e,
                f,
                g,
            ];
        }
    }

    /// Keeps the best, in the order of the ranking, and returns them: [`ENTRY`] words each. The members of combinations
    /// are put together in `orders` from `end` on, as long as there is room. Ranked by area, those without room are out
    /// before the best are chosen; by level they are not, which the proposals of models have to stay.
    pub(crate) fn finish(mut self, orders: &mut [u16], mut end: usize) -> &'m [u32] {
        if self.params.ranking() == Ranking::Area {
            self.keep_best(orders.len().saturating_sub(end) as u64, combined);
        }
        self.keep_best(self.params.max_segments().into(), |_| 1);
        let entries = self.entries.as_chunks_mut::<ENTRY>().0;
        let entries = entries.get_mut(..self.len).unwrap_or_default();
        if self.params.ranking() == Ranking::Level {
            // No two have the same merit.
            sort_by(entries, |a, b| a[2] > b[2]);
        }
        let mut kept = 0;
        for index in 0..entries.len() {
            let Some(&(mut entry)) = entries.get(index) else {
                continue;
            };
            if entry[3] != 0 {
                let (first, first_len) = (entry[0], entry[1] & 0xffff);
                let others = [entry[3], entry[4]];
                let len = first_len + others.iter().map(|other| other & 0xffff).sum::<u32>();
                if end + len as usize > orders.len() {
                    continue;
                }
                entry[0] = end as u32;
                entry[1] += len - first_len;
                let start_of = |other: u32| first.wrapping_add_signed((other as i32) >> 16);
                let parts = [(first, first_len)]
                    .into_iter()
                    .chain(others.map(|other| (start_of(other), other & 0xffff)));
                for (start, len) in parts {
                    let (start, len) = (start as usize, len as usize);
                    for at in start..start + len {
                        if let (Some(member), Some(slot)) =
                            (orders.get(at).copied(), orders.get_mut(end))
                        {
                            *slot = member;
                        }
                        end += 1;
                    }
                }
            }
            if let Some(slot) = entries.get_mut(kept) {
                *slot = entry;
            }
            kept += 1;
        }
        entries.get(..kept).unwrap_or_default().as_flattened()
    }

    /// Keeps of the entries that weigh something those with the most merit, of equals the earlier ones, until the next
    /// one would be over the limit; and all that weigh nothing. What is kept stays in its order.
    fn keep_best(&mut self, limit: u64, weight: fn(&Words) -> u64) {
        let entries = self.entries.as_chunks::<ENTRY>().0;
        let entries = entries.get(..self.len).unwrap_or_default();
        let weight_from = |merit: u64| -> u64 {
            let from = |entry: &&Words| u64::from(entry[2]) >= merit;
            entries.iter().filter(from).map(weight).sum()
        };
        if weight_from(0) <= limit {
            return;
        }
        // The least merit of which all are kept, and what room they leave for the merit below.
        let (mut too_much, mut fits) = (0, u64::from(u32::MAX) + 1);
        while fits - too_much > 1 {
            let middle = fits.midpoint(too_much);
            if weight_from(middle) <= limit {
                fits = middle;
            } else {
                too_much = middle;
            }
        }
        let mut room = limit.saturating_sub(weight_from(fits));
        let mut kept = 0;
        self.table.fill(0);
        for index in 0..self.len {
            let entries = self.entries.as_chunks_mut::<ENTRY>().0;
            let Some(&entry) = entries.get(index) else {
                continue;
            };
            let (merit, weight) = (u64::from(entry[2]), weight(&entry));
            if weight > 0 && merit < fits {
                let left = room.checked_sub(weight);
                match left.filter(|_| merit == too_much) {
                    Some(left) => room = left,
                    None => {
                        // Nor is there room for a later one of the same merit.
                        room = if merit == too_much { 0 } else { room };
                        continue;
                    }
                }
            }
            if let Some(slot) = entries.get_mut(kept) {
                *slot = entry;
            }
            let [_, _, _, _, _, key @ ..] = entry;
            if let Found::Free(slot) = find(self.table, self.entries, &key) {
                *slot = kept as u32 + 1;
            }
            kept += 1;
        }
        self.len = kept;
    }
}

/// Where a region is in the table.
enum Found<'t> {
    /// Not yet; its slot.
    Free(&'t mut u32),
    /// Known as the proposal of this index.
    Known(usize),
    /// Nowhere: there is no table.
    Full,
}

fn find<'t>(table: &'t mut [u32], entries: &[u32], key: &[u32; Region::WORDS]) -> Found<'t> {
    // The upper half of the hash, spread over the table.
    let spread = u64::from(key[Region::WORDS - 1]) * table.len() as u64;
    let mut at = (spread >> 32) as usize;
    while let Some(&slot) = table.get(at) {
        if slot == 0 {
            return table.get_mut(at).map_or(Found::Full, Found::Free);
        }
        let index = slot as usize - 1;
        if entries.get(index * ENTRY + 5..(index + 1) * ENTRY) == Some(&key[..]) {
            return Found::Known(index);
        }
        at += 1;
        if at == table.len() {
            at = 0;
        }
    }
    Found::Full
}
