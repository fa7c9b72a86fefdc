//! The engine that a command is about: a folding, or the fastest one that a budget allows.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use cfm_core::model::Model;
use cfm_hardware::budget::{Budget, Target};
use cfm_hardware::cycles::Cycles;
use cfm_hardware::description::Description;
use cfm_hardware::fold::{Estimate, compile_within, fold};
use cfm_hardware::{Engine, Folding};

use cfm_model::bounded_file;

use super::{display, percent};

/// The engine to use.
#[derive(Debug, Clone, clap::Args)]
pub struct EngineArg {
    /// Channels that the engine computes at a time: 4, 8 or 16 [default: what is fastest within the budget]
    #[arg(long, value_name = "N", requires = "lanes")]
    pe: Option<u32>,
    /// Cells, or segments, that the engine computes at a time
    #[arg(long, value_name = "N", requires = "pe")]
    lanes: Option<u32>,
    /// What the engine may take: a part (ecp5-85f, zynq-7020), or a JSON file with one and less of it [default: ecp5-85f]
    #[arg(long, value_name = "PART|FILE")]
    pub budget: Option<PathBuf>,
}

impl EngineArg {
    /// Whether anything is said about the engine.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.pe.is_some() || self.budget.is_some()
    }

    /// The budget.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn budget(&self) -> anyhow::Result<Budget> {
        let Some(path) = &self.budget else {
            return Ok(Target::Ecp5_85F.budget());
        };
        if let Some(target) = path.to_str().and_then(Target::named) {
            return Ok(target.budget());
        }
        read_budget(path).with_context(|| display(path))
    }

    /// Compiles a model.
    ///
    /// # Errors
    /// When the engine cannot run it, or the budget is too small.
    pub fn compile(&self, model: &Model<'_>) -> anyhow::Result<(Engine, Estimate)> {
        let budget = self.budget()?;
        let (Some(pe), Some(lanes)) = (self.pe, self.lanes) else {
            return Ok(fold(model, &budget)?);
        };
        let engine = compile_within(model, Folding::new(pe, lanes)?, &budget)?;
        let estimate = Estimate::of(&engine, &budget);
        Ok((engine, estimate))
    }
}

/// Most bytes of a budget's file.
const MAX_BUDGET: u64 = 1 << 20;

fn read_budget(path: &Path) -> anyhow::Result<Budget> {
    let budget: Budget = serde_json::from_str(&bounded_file::read_text(path, MAX_BUDGET)?)?;
    ensure!(budget.clock_hz > 0, "the clock stands still");
    Ok(budget)
}

/// Prints what an engine takes and how fast it is.
///
/// # Errors
/// What the stream reports.
pub fn print(
    description: &Description,
    estimate: &Estimate,
    budget: &Budget,
    out: &mut dyn Write,
) -> io::Result<()> {
    let parameters = description.parameters;
    let (resources, cycles) = (&estimate.resources, &estimate.cycles);
    writeln!(
        out,
        "\nengine: folding {} on {}{}",
        parameters.folding,
        budget.target.name(),
        if resources.fits(budget) {
            ""
        } else {
            ", larger than the budget"
        }
    )?;
    writeln!(
        out,
        "{} of {} multipliers, {} of {} blocks of memory, about {} of {} look-up tables",
        resources.multipliers,
        budget.multipliers,
        resources.block_rams,
        budget.block_rams,
        resources.luts,
        budget.luts
    )?;
    for memory in &resources.memories {
        writeln!(
            out,
            "{:>10}  {}{}: {} words of {} bits",
            memory.blocks,
            memory.name,
            if memory.copies > 1 {
                format!(", {} banks", memory.copies)
            } else {
                String::new()
            },
            memory.depth,
            memory.width
        )?;
    }
    writeln!(
        out,
        "weights outside: {} words of {} bits",
        description.external_words,
        8 * parameters.folding.pe
    )?;
    writeln!(
        out,
        "\nstage                          runs   cycles each      cycles  busy    bound by"
    )?;
    for (stage, cycles) in description.stages.iter().zip(&cycles.stages) {
        let kind = format!("{:?}", stage.operation.kind).to_lowercase();
        writeln!(
            out,
            "{:<24} {:<9} {:>4} {:>11} {:>12}  {:>6}  {}{}",
            stage.part.to_string(),
            kind,
            stage.runs,
            cycles.operation,
            cycles.all,
            percent(cycles.utilization),
            format!("{:?}", cycles.bound).to_lowercase(),
            if stage.operation.external {
                " (from outside)"
            } else {
                ""
            }
        )?;
    }
    let milliseconds = |cycles: u64| 1000.0 * Cycles::seconds(cycles, budget);
    writeln!(
        out,
        "{} cycles an image ({:.1} ms, {} busy), {} a batch of {} segments, {} in all with {} segments: {:.2} images a second at {} MHz",
        cycles.image,
        milliseconds(cycles.image),
        percent(cycles.image_utilization),
        cycles.batch,
        parameters.folding.lanes,
        estimate.frame,
        budget.segments,
        estimate.images_per_second,
        budget.clock_hz as f64 / 1e6
    )
}
