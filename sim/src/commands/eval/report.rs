//! What `cfm eval` prints: the same for one run and for parts put together.

use std::io::{self, Write};
use std::process::ExitCode;

use cfm_sim::eval_part::{Outcome, Part, Skipped};
use cfm_sim::evaluate::Evaluation;
use cfm_sim::labelling::RuleSpec;
use cfm_sim::output::print_json;
use serde::Serialize;

use crate::commands::percent;

/// The measures under one labelling rule.
#[derive(Serialize)]
struct Measures<'a> {
    labelling: RuleSpec,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    /// Mean time that labelling took, by the integer network.
    #[serde(
        rename = "labelling_milliseconds",
        skip_serializing_if = "Option::is_none"
    )]
    milliseconds: Option<f64>,
    skipped: &'a [Skipped],
}

/// Prints the measures; `times` has the mean milliseconds per labelling rule, where they were asked for. The status is 1
/// if photographs were skipped.
///
/// # Errors
/// What the stream reports.
pub fn print_outcome(
    outcome: &Outcome,
    times: Option<&[f64]>,
    json: bool,
    out: &mut dyn Write,
) -> io::Result<ExitCode> {
    let measures = outcome.evaluations.iter().enumerate();
    let mut measures: Vec<Measures<'_>> = measures
        .map(|(rule, (labelling, evaluation))| Measures {
            labelling: *labelling,
            evaluation,
            milliseconds: times.and_then(|times| times.get(rule).copied()),
            skipped: &outcome.skipped,
        })
        .collect();
    match (json, &mut measures[..]) {
        (true, [measures]) => print_json(out, measures)?,
        (true, measures) => print_json(out, &measures)?,
        (false, [measures]) => print(measures, out)?,
        (false, measures) => compare(measures, out)?,
    }
    if !json {
        print_skipped(&outcome.skipped, out)?;
    }
    Ok(status(&outcome.skipped))
}

/// A shard that is measured.
#[derive(Serialize)]
struct ShardReport<'a> {
    shard: String,
    part: &'a str,
    images: usize,
    skipped: &'a [Skipped],
}

/// Prints which shard was measured into the file `name`; the measures follow from all shards together. The status is 1 if
/// photographs were skipped.
///
/// # Errors
/// What the stream reports.
pub fn print_shard(
    part: &Part,
    name: &str,
    json: bool,
    out: &mut dyn Write,
) -> io::Result<ExitCode> {
    let skipped: Vec<Skipped> = part.skipped().collect();
    let report = ShardReport {
        shard: part.shard().to_string(),
        part: name,
        images: part.images().len() - skipped.len(),
        skipped: &skipped,
    };
    if json {
        print_json(out, &report)?;
    } else {
        writeln!(
            out,
            "shard {}, {} images: {name}",
            report.shard, report.images
        )?;
        print_skipped(&skipped, out)?;
    }
    Ok(status(&skipped))
}

fn status(skipped: &[Skipped]) -> ExitCode {
    ExitCode::from(u8::from(!skipped.is_empty()))
}

fn print_skipped(skipped: &[Skipped], out: &mut dyn Write) -> io::Result<()> {
    if skipped.is_empty() {
        return Ok(());
    }
    writeln!(out, "{} images skipped:", skipped.len())?;
    for Skipped { id, reason } in skipped {
        writeln!(out, "  {id}: {reason}")?;
    }
    Ok(())
}

/// The measures under several labelling rules, the best mIoU first.
fn compare(measures: &mut [Measures<'_>], out: &mut dyn Write) -> io::Result<()> {
    measures.sort_by(|a, b| b.evaluation.miou.total_cmp(&a.evaluation.miou));
    let specs: Vec<String> = measures.iter().map(|m| m.labelling.to_string()).collect();
    let widest = specs.iter().map(String::len).max().unwrap_or(0);
    let images = measures.first().map_or(0, |first| first.evaluation.images);
    writeln!(out, "{images} images")?;
    write!(out, "{:widest$}     mIoU    class   global", "labelling")?;
    let timed = measures.iter().any(|m| m.milliseconds.is_some());
    writeln!(out, "{}", if timed { "  ms an image" } else { "" })?;
    for (spec, measures) in specs.iter().zip(measures) {
        let Evaluation {
            miou,
            class_accuracy,
            global_accuracy,
            ..
        } = measures.evaluation;
        write!(out, "{spec:widest$}")?;
        for value in [miou, class_accuracy, global_accuracy] {
            write!(out, "  {:>5.2} %", 100.0 * value)?;
        }
        match measures.milliseconds {
            Some(time) => writeln!(out, "  {time:>11.2}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

fn print(measures: &Measures<'_>, out: &mut dyn Write) -> io::Result<()> {
    let evaluation = measures.evaluation;
    let ious = &evaluation.class_iou.0;
    let widest = ious
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0)
        .max("frequency-weighted IoU".len());
    writeln!(
        out,
        "{} images, labelled by {}; IoU:",
        evaluation.images, measures.labelling
    )?;
    for (name, iou) in ious {
        let iou = iou.map_or_else(|| "absent".to_owned(), percent);
        writeln!(out, "  {name:widest$}  {iou:>7}")?;
    }
    for (name, value) in [
        ("mIoU", evaluation.miou),
        ("class average", evaluation.class_accuracy),
        ("global accuracy", evaluation.global_accuracy),
        ("frequency-weighted IoU", evaluation.fwiou),
    ] {
        let value = percent(value);
        writeln!(out, "{name:width$}  {value:>7}", width = widest + 2)?;
    }
    if let Some(time) = measures.milliseconds {
        writeln!(out, "labelling: {time:.2} ms an image")?;
    }
    Ok(())
}
