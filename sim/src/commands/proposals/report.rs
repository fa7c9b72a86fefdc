//! What `cfm proposals` reports: as text, JSON, a table in CSV, and a plot.

use std::fmt::Write as _;
use std::io::{self, Write};

use cfm_sim::plot::{self, Panel, PlotError, Series};
use cfm_sim::proposal_quality::{Counts, Measures, Point, Quality};
use serde::Serialize;

/// A photograph or a data set.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Report {
    /// A photograph.
    Image(ImageReport),
    /// A data set.
    Set(SetReport),
}

impl Report {
    /// The measures, where there is ground truth.
    pub fn quality(&self) -> Option<&Quality> {
        match self {
            Self::Image(report) => report.quality.as_ref(),
            Self::Set(report) => Some(&report.quality),
        }
    }
}

/// The proposals of a photograph.
#[derive(Serialize)]
pub struct ImageReport {
    /// The photograph.
    pub path: String,
    /// Columns that were looked at.
    pub width: u16,
    /// Rows that were looked at.
    pub height: u16,
    /// Of each map.
    pub superpixels: Vec<u16>,
    /// Number of proposals.
    pub segments: usize,
    /// How long they took.
    pub milliseconds: f64,
    /// The picture.
    pub out: String,
    /// With ground truth.
    #[serde(flatten)]
    pub quality: Option<Quality>,
}

/// The proposals of a data set.
#[derive(Serialize)]
pub struct SetReport {
    /// The folder.
    pub path: String,
    /// Which photographs.
    pub split: String,
    /// How many.
    pub images: usize,
    /// Proposals of an image.
    pub proposals: Number,
    /// How long they took, image by image.
    pub milliseconds: Milliseconds,
    /// How good they are.
    #[serde(flatten)]
    pub quality: Quality,
}

/// A number that differs from image to image.
#[derive(Serialize)]
pub struct Number {
    /// Its mean.
    pub mean: f64,
    /// The largest.
    pub most: f64,
}

impl Number {
    /// Of these; zero without any.
    pub fn of(values: impl ExactSizeIterator<Item = f64>) -> Self {
        let count = values.len().max(1) as f64;
        let (sum, most) = values.fold((0.0, 0.0_f64), |(sum, most), value| {
            (sum + value, most.max(value))
        });
        Self {
            mean: sum / count,
            most,
        }
    }
}

/// How long an image took.
#[derive(Serialize)]
pub struct Milliseconds {
    /// On the average.
    pub mean: f64,
    /// At worst.
    pub worst: f64,
}

/// The measures of a point by kind, those that there are.
fn kinds(point: &Point) -> impl Iterator<Item = (&'static str, Measures)> {
    [
        ("all", Some(point.all)),
        ("object", point.object),
        ("stuff", point.stuff),
    ]
    .into_iter()
    .filter_map(|(kind, measures)| Some((kind, measures?)))
}

/// The measures as CSV: a line for each number of proposals and kind.
pub fn csv(quality: &Quality) -> String {
    let mut text = "proposals,kind,truth_segments,abo,recall_50,recall_70,oracle_miou\n".to_owned();
    let Counts { all, object, stuff } = quality.truth_segments;
    for point in &quality.curve {
        for (kind, measures) in kinds(point) {
            let count = match kind {
                "object" => object,
                "stuff" => stuff,
                _ => all,
            };
            let miou = measures.oracle_miou.map(|miou| format!("{miou:.6}"));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{},{kind},{count},{:.6},{:.6},{:.6},{}",
                point.proposals,
                measures.abo,
                measures.recall_50,
                measures.recall_70,
                miou.unwrap_or_default()
            );
        }
    }
    text
}

/// A measure and its name.
type Measure = (&'static str, fn(Measures) -> Option<f64>);

/// The measures as a plot against the number of proposals: a panel for each kind.
///
/// # Errors
/// When there is nothing to plot.
pub fn plot(quality: &Quality) -> Result<String, PlotError> {
    const MEASURES: [Measure; 4] = [
        ("ABO", |m| Some(m.abo)),
        ("recall at IoU 0.5", |m| Some(m.recall_50)),
        ("recall at IoU 0.7", |m| Some(m.recall_70)),
        ("oracle mIoU", |m| m.oracle_miou),
    ];
    let panel = |wanted: &'static str, title: &str| {
        let line =
            |(name, measure): Measure| Series {
                name: name.to_owned(),
                points: quality
                    .curve
                    .iter()
                    .flat_map(|point| {
                        kinds(point).filter(|(kind, _)| *kind == wanted).filter_map(
                            |(_, measures)| Some((point.proposals as f64, measure(measures)?)),
                        )
                    })
                    .collect(),
            };
        Panel {
            title: title.to_owned(),
            x: "proposals of an image".to_owned(),
            y: "share".to_owned(),
            logarithmic: true,
            y_range: Some((0.0, 1.0)),
            series: MEASURES.map(line).to_vec(),
        }
    };
    let panels: Vec<Panel> = [
        ("all", "all segments"),
        ("object", "objects"),
        ("stuff", "stuff"),
    ]
    .into_iter()
    .map(|(kind, title)| panel(kind, title))
    .filter(|panel| panel.series.iter().any(|series| !series.points.is_empty()))
    .collect();
    plot::svg(&panels)
}

/// Prints a report for people.
///
/// # Errors
/// What the stream reports.
pub fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    match report {
        Report::Image(report) => {
            let ImageReport {
                path,
                width,
                height,
                segments,
                ..
            } = report;
            writeln!(out, "{path}, seen at {width}x{height}")?;
            for (map, count) in report.superpixels.iter().enumerate() {
                writeln!(out, "  map {map}: {count:>5} superpixels")?;
            }
            writeln!(out, "{segments} segments in {:.1} ms", report.milliseconds)?;
        }
        Report::Set(report) => {
            writeln!(
                out,
                "{}, {} images of {}",
                report.path, report.images, report.split
            )?;
            writeln!(
                out,
                "{:.0} proposals an image, at most {:.0}; {:.1} ms an image, at worst {:.1}",
                report.proposals.mean,
                report.proposals.most,
                report.milliseconds.mean,
                report.milliseconds.worst
            )?;
        }
    }
    if let Some(quality) = report.quality() {
        print_quality(quality, out)?;
    }
    if let Report::Image(report) = report {
        writeln!(out, "picture: {}", report.out)?;
    }
    Ok(())
}

fn print_quality(quality: &Quality, out: &mut dyn Write) -> io::Result<()> {
    let Counts { all, object, stuff } = quality.truth_segments;
    write!(out, "{all} ground-truth segments")?;
    if object + stuff > 0 {
        write!(out, ", {object} objects, {stuff} stuff")?;
    }
    writeln!(out)?;
    write!(out, "{:>9}", "proposals")?;
    for (kind, _) in quality.curve.first().into_iter().flat_map(kinds) {
        write!(out, "  {:>27}", format!("{kind}: ABO  R.5  R.7 mIoU"))?;
    }
    writeln!(out)?;
    for point in &quality.curve {
        write!(out, "{:>9}", point.proposals)?;
        for (_, measures) in kinds(point) {
            write!(out, "  {:>7}", "")?;
            for value in [
                Some(measures.abo),
                Some(measures.recall_50),
                Some(measures.recall_70),
                measures.oracle_miou,
            ] {
                match value {
                    Some(value) => write!(out, " {:>4.1}", 100.0 * value)?,
                    None => write!(out, "    -")?,
                }
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
