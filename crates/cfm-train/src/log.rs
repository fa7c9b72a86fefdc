//! The log of a run: a line of CSV for every epoch, and a plot of all of them.

use std::fs;
use std::io;
use std::path::Path;

use cfm_model::output;
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

/// The lines in the folder of a run.
const FILE: &str = "log.csv";

/// Adds a line to `log.csv` in the folder of a run and draws `log.svg` anew; gives the line.
///
/// A pass that is logged already is one that a killed run had logged and not saved: it and what comes behind it are
/// replaced. A last line without its end, which a full disk may have left, counts as none.
///
/// # Errors
/// When the files cannot be written, or the log that is there is none.
pub fn append(folder: &Path, entry: &Entry) -> Result<String, LogError> {
    let mut entries = read(folder)?;
    entries.truncate(
        entries
            .iter()
            .position(|old| (old.phase, old.epoch) == (entry.phase, entry.epoch))
            .unwrap_or(entries.len()),
    );
    entries.push(entry.clone());
    write(folder, &entries)
}

/// Writes into the last line what the model that comes out in the end was validated with; gives the line. `None`, and
/// nothing is changed, if that line is not of the quantized phase, which is none of zero epochs then.
///
/// # Errors
/// When the files cannot be written, or the log that is there is none.
pub fn validated(folder: &Path, miou: f64, accuracy: f64) -> Result<Option<String>, LogError> {
    let mut entries = read(folder)?;
    let last = entries.last_mut();
    let Some(last) = last.filter(|entry| entry.phase == Phase::Quantized) else {
        return Ok(None);
    };
    (last.miou, last.accuracy) = (Some(miou), Some(accuracy));
    write(folder, &entries).map(Some)
}

/// Writes log and plot; gives the last line.
fn write(folder: &Path, entries: &[Entry]) -> Result<String, LogError> {
    let mut text = csv::Writer::from_writer(Vec::new());
    for entry in entries {
        text.serialize(entry)?;
    }
    let text = text.into_inner().map_err(|error| error.into_error())?;
    output::write(&folder.join(FILE), &text)?;
    output::write(&folder.join("log.svg"), plot(entries)?.as_bytes())?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().last().unwrap_or_default().to_owned())
}

/// The whole lines of the log; none if there is none.
fn read(folder: &Path) -> Result<Vec<Entry>, LogError> {
    let text = match fs::read(folder.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        text => text?,
    };
    let whole = text.iter().rposition(|&byte| byte == b'\n');
    let lines = whole.map_or(&[][..], |end| &text[..=end]);
    let entries = csv::Reader::from_reader(lines).into_deserialize();
    Ok(entries.collect::<Result<_, _>>()?)
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

    const ENTRY: Entry = Entry {
        phase: Phase::Float,
        epoch: 1,
        rate: 0.5,
        dense_loss: 2.0,
        segment_loss: 0.0,
        miou: None,
        accuracy: None,
        seconds: 1.5,
    };

    /// A log of three passes, cut off anywhere, and the pass at which the run goes on.
    #[test]
    fn a_log_that_was_cut_off_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let entry = |epoch| Entry { epoch, ..ENTRY };
        for epoch in 1..=3 {
            append(folder.path(), &entry(epoch)).unwrap();
        }
        let whole = fs::read_to_string(&path).unwrap();
        for length in 0..=whole.len() {
            let lines = whole[..length].matches('\n').count();
            // Passes whose lines are whole; the run goes on with the next, or once more with the last.
            let passes = lines.saturating_sub(1);
            for next in passes.max(1)..=passes + 1 {
                fs::write(&path, &whole[..length]).unwrap();
                for epoch in next..=3 {
                    append(folder.path(), &entry(epoch)).unwrap();
                }
                let text = fs::read_to_string(&path).unwrap();
                assert_eq!(text, whole, "{length} {next}");
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn lines_are_added_and_plotted() {
        let folder = tempfile::tempdir().unwrap();
        let mut entry = ENTRY;
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

        // The end of the run.
        let line = validated(folder.path(), 0.75, 0.875).unwrap().unwrap();
        assert_eq!(line, "quantized,1,0.5,2.0,0.0,0.75,0.875,1.5");
        let ended = fs::read_to_string(folder.path().join("log.csv")).unwrap();
        let replaced = text.replace("0.25,0.5,", "0.75,0.875,");
        assert_eq!(ended, replaced);
        fs::write(
            folder.path().join("log.csv"),
            text.replace("quantized", "float"),
        )
        .unwrap();
        assert_eq!(validated(folder.path(), 0.5, 0.5).unwrap(), None);

        fs::write(folder.path().join("log.csv"), "something else\n1\n").unwrap();
        assert!(matches!(
            append(folder.path(), &entry),
            Err(LogError::Csv(_))
        ));
    }
}
