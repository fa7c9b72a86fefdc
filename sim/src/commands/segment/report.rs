//! What `cfm segment` prints.

use std::io::{self, Write};

use cfm_core::model::Model;
use cfm_sim::labelling::RuleSpec;
use cfm_sim::pipeline::{Segmentation, Times};
use serde::Serialize;

use crate::commands::percent;

/// What was found in a photograph.
#[derive(Serialize)]
pub struct Report {
    /// The photograph's path or frame; none for the rendered scene.
    pub path: Option<String>,
    pub model: String,
    pub image: Size,
    pub network: Size,
    pub segments: usize,
    pub labelling: RuleSpec,
    pub classes: Vec<ClassShare>,
    pub unlabelled: f64,
    pub milliseconds: Times,
    pub out: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
}

#[derive(Serialize)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

#[derive(Serialize)]
pub struct ClassShare {
    name: String,
    label: u8,
    pub share: f64,
}

/// The classes that occur, largest share first.
pub fn found(model: &Model<'_>, segmentation: &Segmentation) -> Vec<ClassShare> {
    let shares = segmentation.shares(model.class_count());
    let mut classes: Vec<ClassShare> = model
        .classes()
        .zip(shares)
        .filter(|(_, share)| *share > 0.0)
        .map(|(class, share)| ClassShare {
            name: class.name.to_owned(),
            label: class.label,
            share,
        })
        .collect();
    classes.sort_by(|a, b| b.share.total_cmp(&a.share));
    classes
}

/// One line: the photograph, and the largest classes.
pub fn print_line(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    const NAMED: usize = 4;
    let classes = report.classes.iter().take(NAMED);
    let mut classes: Vec<String> = classes
        .map(|class| format!("{} {}", class.name, percent(class.share)))
        .collect();
    if report.classes.len() > NAMED {
        classes.push("...".to_owned());
    }
    let path = report.path.as_deref().unwrap_or_default();
    writeln!(out, "{path}: {}", classes.join(", "))
}

/// All that there is to say.
pub fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{}, {}x{}, seen by {} at {}x{}",
        report.path.as_deref().unwrap_or("rendered sample scene"),
        report.image.width,
        report.image.height,
        report.model,
        report.network.width,
        report.network.height,
    )?;
    let widest = report
        .classes
        .iter()
        .map(|class| class.name.chars().count())
        .max()
        .unwrap_or(0)
        .max("unlabelled".len());
    for class in &report.classes {
        writeln!(out, "  {:widest$}  {:>7}", class.name, percent(class.share))?;
    }
    if report.unlabelled > 1e-9 {
        let share = percent(report.unlabelled);
        writeln!(out, "  {:widest$}  {share:>7}", "unlabelled")?;
    }
    let times = &report.milliseconds;
    writeln!(
        out,
        "{} segments, labelled by {}; milliseconds:",
        report.segments, report.labelling
    )?;
    for (stage, time) in [
        ("convolution", times.conv),
        ("proposals", times.proposals),
        ("masks + SPP", times.masks_spp),
        ("FC", times.fc),
        ("labelling", times.labelling),
        ("total", times.total),
    ] {
        writeln!(
            out,
            "  {stage:widest$}  {:>7.1}",
            time.as_secs_f64() * 1000.0,
            widest = widest.max("convolution".len())
        )?;
    }
    writeln!(out, "overlay: {}", report.out)?;
    if let Some(labels) = &report.labels {
        writeln!(out, "labels: {labels}")?;
    }
    Ok(())
}
