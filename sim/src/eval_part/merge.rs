//! Parts put together.

use serde::Serialize;

use super::{Difference, Part, Skipped, State};
use crate::evaluate::{EvaluateError, Evaluation};
use crate::labelling::RuleSpec;
use crate::metrics::Confusion;

/// Why parts cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// There is no part.
    #[error("there is no part")]
    Empty,
    /// A part is one of another evaluation than the first.
    #[error("{part} is not of the same evaluation as {first}: it is {difference}")]
    Plan {
        /// The first part.
        first: String,
        /// The other.
        part: String,
        /// What is different.
        difference: Difference,
    },
    /// The photographs were cut into more or fewer shards than for the first part.
    #[error("{part} is one of {count} shards, {first} one of {first_count}")]
    ShardCount {
        /// The first part.
        first: String,
        /// How many shards it belongs to.
        first_count: u32,
        /// The other.
        part: String,
        /// How many shards that belongs to.
        count: u32,
    },
    /// Two parts are the same shard.
    #[error("{0} and {1} are both shard {2}")]
    Twice(String, String, String),
    /// Shards are missing.
    #[error("no part is shard {0}")]
    Missing(String),
    /// A part is not finished.
    #[error(
        "{part}, shard {shard}: {pending} of {images} images are not measured yet; run it again"
    )]
    Unfinished {
        /// The part.
        part: String,
        /// The shard.
        shard: String,
        /// Photographs that are pending.
        pending: usize,
        /// Photographs of the shard.
        images: usize,
    },
    /// The photographs are not those of the plan.
    #[error("the parts' images are not those of the split")]
    Images,
    /// Nothing can be measured.
    #[error(transparent)]
    Measure(#[from] EvaluateError),
}

/// What all parts together have shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// One evaluation per labelling rule, in the order of the plan.
    pub evaluations: Vec<(RuleSpec, Evaluation)>,
    /// The photographs that were left out, in the order of the split.
    pub skipped: Vec<Skipped>,
}

/// Puts all parts of an evaluation together; each comes with the name that errors give it.
///
/// # Errors
/// [`MergeError`] unless there is every shard of one evaluation, once, and finished.
pub fn merge(parts: Vec<(String, Part)>) -> Result<Outcome, MergeError> {
    let mut parts = parts;
    let (first, one) = parts.first().ok_or(MergeError::Empty)?;
    let count = one.shard.count();
    for (name, part) in &parts {
        one.plan
            .same_as(&part.plan)
            .map_err(|difference| MergeError::Plan {
                first: first.clone(),
                part: name.clone(),
                difference,
            })?;
        if part.shard.count() != count {
            return Err(MergeError::ShardCount {
                first: first.clone(),
                first_count: count,
                part: name.clone(),
                count: part.shard.count(),
            });
        }
    }
    // Stable: of two that are the same shard, the one named first comes first.
    parts.sort_by_key(|(_, part)| part.shard.index());
    for pair in parts.windows(2) {
        if let [(a, part), (b, other)] = pair
            && part.shard == other.shard
        {
            return Err(MergeError::Twice(
                a.clone(),
                b.clone(),
                part.shard.to_string(),
            ));
        }
    }
    if let Some(missing) = missing(&parts, count) {
        return Err(MergeError::Missing(missing));
    }
    for (name, part) in &parts {
        if part.pending() > 0 {
            return Err(MergeError::Unfinished {
                part: name.clone(),
                shard: part.shard.to_string(),
                pending: part.pending(),
                images: part.images.len(),
            });
        }
    }
    let images = parts.iter().flat_map(|(_, part)| &part.images);
    let plan = &parts[0].1.plan;
    if !plan.photographs.are(images.clone().map(|image| &image.id)) {
        return Err(MergeError::Images);
    }
    let compared = images
        .filter(|image| image.state == State::Compared)
        .count();
    let evaluations = plan.labelling.iter().enumerate().map(|(rule, &spec)| {
        let mut sum = Confusion::new(plan.classes.count());
        for (_, part) in &parts {
            sum.add_counts(&part.confusions[rule]);
        }
        Ok((spec, plan.classes.measure(&sum, compared)?))
    });
    Ok(Outcome {
        evaluations: evaluations.collect::<Result<_, MergeError>>()?,
        skipped: parts.iter().flat_map(|(_, part)| part.skipped()).collect(),
    })
}

/// The shards that are not there, of parts in the order of their shards, for people: the first few of them.
fn missing(parts: &[(String, Part)], count: u32) -> Option<String> {
    const NAMED: usize = 8;
    let mut there = parts.iter().map(|(_, part)| part.shard.index()).peekable();
    let absent = (1..=count).filter(|index| there.next_if_eq(index).is_none());
    let names: Vec<String> = absent
        .take(NAMED + 1)
        .map(|index| format!("{index}/{count}"))
        .collect();
    match names.get(..NAMED) {
        _ if names.is_empty() => None,
        Some(named) if names.len() > NAMED => Some(format!("{} ...", named.join(", "))),
        _ => Some(names.join(", ")),
    }
}
