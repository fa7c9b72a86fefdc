//! `cfm pack`: puts a model's weights into the order that some kernels read.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use cfm_core::model::Operation;
use cfm_core::model::reorder::reorder;
use cfm_core::model::{Model, WeightOrder};
use cfm_sim::model_file::ModelFile;
use cfm_sim::output::print_json;
use clap::ValueEnum;
use serde::Serialize;

use super::{display, outputs_beside};

/// Arguments of `cfm pack`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model file, or the name of a built-in model: street, scene [default: street]
    #[arg(value_name = "M.cfm")]
    model: Option<PathBuf>,
    /// The order: quads for the DSP extension's kernels, rows for all others
    #[arg(long, value_enum, default_value = "quads")]
    order: Order,
    /// Where the packed model goes
    #[arg(long, value_name = "PACKED.cfm")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    model: String,
    out: String,
    bytes: usize,
    /// Convolutions whose weights are in quads.
    quads: usize,
    /// Convolutions whose weights are in rows.
    rows: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Rows,
    Quads,
}

impl From<Order> for WeightOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Rows => Self::Rows,
            Order::Quads => Self::Quads,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the model is refused or cannot be in that order, or the file cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = ModelFile::open_in_any_order(args.model.as_deref())?;
    let model = file.parse()?;
    let mut packed = vec![0; model.bytes().len()];
    let packed = reorder(&model, args.order.into(), &mut packed).with_context(|| file.name())?;
    let convolutions = |model: &Model<'_>, order: WeightOrder| {
        model
            .layers()
            .filter(|layer| {
                matches!(layer.operation, Operation::Conv2d(conv) if conv.parameters.order == order)
            })
            .count()
    };
    let model = Model::parse(packed).context("the packed model is refused")?;
    let mut files = outputs_beside(&file, []);
    files.add(&args.out, packed.to_vec())?;
    files.commit()?;
    let report = Report {
        model: file.name(),
        out: display(&args.out),
        bytes: packed.len(),
        quads: convolutions(&model, WeightOrder::Quads),
        rows: convolutions(&model, WeightOrder::Rows),
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        let Report {
            out: path,
            bytes,
            quads,
            rows,
            ..
        } = &report;
        writeln!(
            out,
            "{path}: {bytes} bytes; {quads} convolutions in quads, {rows} in rows"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
