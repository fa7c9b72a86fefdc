//! The folding that makes an engine fastest within a budget.

use cfm_core::model::Model;
use serde::Serialize;

use crate::budget::Budget;
use crate::compile::compile;
use crate::cycles::{Cycles, Overheads};
use crate::engine::Engine;
use crate::error::CompileError;
use crate::folding::{Folding, MAX_LANES};
use crate::limits::Limits;
use crate::resources::{Resources, deepest};

/// Why no folding does.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FoldError {
    /// The engine cannot run the model, however it is folded.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The budget is too small for any folding; what the smallest takes.
    #[error(
        "the budget is too small: folding {folding} takes {} multipliers, {} blocks of memory and {} look-up tables",
        .resources.multipliers, .resources.block_rams, .resources.luts
    )]
    Budget {
        /// The folding that takes the least memory.
        folding: Folding,
        /// What it takes.
        resources: Box<Resources>,
    },
}

/// An engine with what it takes and how fast it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// What it takes.
    pub resources: Resources,
    /// How fast it is.
    pub cycles: Cycles,
    /// Cycles of an image with the budget's segments.
    pub frame: u64,
    /// Images a second.
    pub images_per_second: f64,
}

impl Estimate {
    /// What an engine takes, and how fast it is at a budget's clock.
    #[must_use]
    pub fn of(engine: &Engine, budget: &Budget) -> Self {
        let cycles = Cycles::of(&engine.description, budget.external_bits, &Overheads::RTL);
        let frame = cycles.frame(budget.segments, engine.folding());
        Self {
            resources: Resources::of(&engine.description.parameters),
            frame,
            images_per_second: 1.0 / Cycles::seconds(frame.max(1), budget),
            cycles,
        }
    }
}

/// Compiles a model for a folding, with as many weights in the engine as a budget's block memory leaves room for.
///
/// The result may be larger than the budget all the same: [`Resources::fits`] tells.
///
/// # Errors
/// As [`compile`].
pub fn compile_within(
    model: &Model<'_>,
    folding: Folding,
    budget: &Budget,
) -> Result<Engine, CompileError> {
    // How much block memory is left for weights does not depend on how many find room outside.
    let without = Limits {
        external_words: Limits::FORMAT.external_words,
        ..budget.limits.without_weights()
    };
    let bare = compile(model, folding, &without)?;
    let taken = Resources::of(&bare.description.parameters).block_rams;
    let free = u64::from(budget.block_rams).saturating_sub(taken);
    // The weight memory is as many memories of 32 bits as a word has.
    let room = deepest(free / u64::from(folding.pe / 4), 32).min(budget.limits.weight_words.into());
    let limits = Limits {
        weight_words: room as u32, // at most the limit's own
        ..budget.limits
    };
    compile(model, folding, &limits)
}

/// The engine that is fastest within a budget; of equally fast ones the one with the fewest multipliers.
///
/// # Errors
/// [`FoldError`] when the engine cannot run the model, or the budget is too small.
pub fn fold(model: &Model<'_>, budget: &Budget) -> Result<(Engine, Estimate), FoldError> {
    let mut best: Option<(Engine, Estimate)> = None;
    let mut smallest: Option<(Folding, Resources)> = None;
    let mut error = None;
    for pe in [4, 8, 16] {
        for lanes in 1..=MAX_LANES {
            if pe * lanes > budget.multipliers && lanes > 1 {
                break;
            }
            let folding = Folding::new(pe, lanes)?;
            let engine = match compile_within(model, folding, budget) {
                Ok(engine) => engine,
                Err(refused) => {
                    error = Some(refused);
                    continue;
                }
            };
            let estimate = Estimate::of(&engine, budget);
            if !estimate.resources.fits(budget) {
                let less = smallest
                    .as_ref()
                    .is_none_or(|(_, other)| estimate.resources.block_rams < other.block_rams);
                if less {
                    smallest = Some((folding, estimate.resources));
                }
                continue;
            }
            let key = |estimate: &Estimate| (estimate.frame, estimate.resources.multipliers);
            if best
                .as_ref()
                .is_none_or(|(_, other)| key(&estimate) < key(other))
            {
                best = Some((engine, estimate));
            }
        }
    }
    match (best, smallest, error) {
        (Some(best), _, _) => Ok(best),
        (None, Some((folding, resources)), _) => Err(FoldError::Budget {
            folding,
            resources: Box::new(resources),
        }),
        (None, None, error) => Err(error
            .unwrap_or(CompileError::Folding { pe: 0, lanes: 0 })
            .into()),
    }
}
