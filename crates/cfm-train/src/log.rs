//! The log of a run: a line of CSV for every epoch, and a plot of all of them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use cfm_sim::plot::{Panel, PlotError, Series, svg};
use serde::{Deserialize, Serialize};

use crate::checkpoint::Phase;

/// What is written of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Part of the run.
    pub phase: Phase,
    /// Which pass over the images, in this phase and from 1.
    pub epoch: usize,
    /// The last learning rate.
    pub rate: f64,
    /// Mean dense loss.
    pub dense_loss: f64,
    /// Mean loss of the segments; zero while there are none.
    pub segment_loss: f64,
    /// Mean IoU, if validated.
    pub miou: Option<f64>,
    /// Share of the pixels with the right class, if validated.
    pub accuracy: Option<f64>,
    /// How long it took.
    pub seconds: f64,
}

/// Why a log cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be written or read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The log holds something else.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The plot cannot be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// Appends a line to `log.csv` in the folder of a run and draws `log.svg` anew; gives the line.
///
/// # Errors
/// When the files cannot be written, or the log that is there is none.
pub fn append(folder: &Path, entry: &Entry) -> Result<String, LogError> {
    let path = folder.join("log.csv");
    let fresh = fs::metadata(&path).map_or(0, |m| m.len()) == 0;
    let mut line = Vec::new();
    csv::WriterBuilder::new()
        .has_headers(fresh)
        .from_writer(&mut line)
        .serialize(entry)?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)?
        .write_all(&line)?;
    let entries = csv::Reader::from_path(&path)?
        .into_deserialize()
        .collect::<Result<Vec<Entry>, _>>()?;
    fs::write(folder.join("log.svg"), plot(&entries)?)?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Losses, and what validation found, over the epochs of both phases.
fn plot(entries: &[Entry]) -> Result<String, PlotError> {
    let series = |name: &str, value: &dyn Fn(&Entry) -> Option<f64>| Series {
        name: name.to_owned(),
        points: (1..)
            .zip(entries)
            .filter_map(|(epoch, entry)| Some((f64::from(epoch), value(entry)?)))
            .collect(),
    };
    let panel = |title: &str, y: &str, series: Vec<Series>| Panel {
        title: title.to_owned(),
        x: "epoch".to_owned(),
        y: y.to_owned(),
        logarithmic: false,
        y_range: None,
        series,
    };
    let mut panels = vec![panel(
        "training",
        "loss",
        vec![
            series("dense", &|entry| Some(entry.dense_loss)),
            series("segments", &|entry| {
                (entry.segment_loss > 0.0).then_some(entry.segment_loss)
            }),
        ],
    )];
    if entries.iter().any(|entry| entry.miou.is_some()) {
        let measures = vec![
            series("mIoU", &|entry| entry.miou),
            series("accuracy", &|entry| entry.accuracy),
        ];
        panels.push(panel("validation", "share", measures));
    }
    svg(&panels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_plotted() {
        let folder = tempfile::tempdir().unwrap();
        let mut entry = Entry {
            phase: Phase::Float,
            epoch: 1,
            rate: 0.5,
            dense_loss: 2.0,
            segment_loss: 0.0,
            miou: None,
            accuracy: None,
            seconds: 1.5,
        };
        append(folder.path(), &entry).unwrap();
        let plain = fs::read_to_string(folder.path().join("log.svg")).unwrap();
        assert!(!plain.contains("mIoU"));
        entry.phase = Phase::Quantized;
        entry.miou = Some(0.25);
        entry.accuracy = Some(0.5);
        let line = append(folder.path(), &entry).unwrap();
        assert_eq!(line, "quantized,1,0.5,2.0,0.0,0.25,0.5,1.5");
        let text = fs::read_to_string(folder.path().join("log.csv")).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("phase,epoch,rate,"));
        let drawn = fs::read_to_string(folder.path().join("log.svg")).unwrap();
        assert!(drawn.contains("mIoU") && drawn.contains("</svg>"));

        fs::write(folder.path().join("log.csv"), "something else\n1\n").unwrap();
        assert!(matches!(
            append(folder.path(), &entry),
            Err(LogError::Csv(_))
        ));
    }
}
