//! The table of `cfm-train train --table`: a row of measures for every run, in CSV.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use cfm_sim::evaluate::Evaluation;
use cfm_train::measure::Measured;

type Measure = fn(&Evaluation) -> f64;

/// What is told of a model, each between 0 and 1.
pub const MEASURES: [(&str, Measure); 3] = [
    ("mIoU", |e| e.miou),
    ("class average", |e| e.class_accuracy),
    ("global accuracy", |e| e.global_accuracy),
];

const COLUMNS: [&str; 8] = [
    "row",
    "seed",
    "int8_miou",
    "int8_class_average",
    "int8_accuracy",
    "float_miou",
    "float_class_average",
    "float_accuracy",
];

/// Makes sure that rows can be added: that the file can be written, and is such a table. Begins it if it is not there.
pub fn check(path: &Path) -> Result<()> {
    open(path).map(|_| ())
}

/// Adds a row. Runs side by side take turns.
pub fn append(path: &Path, row: &str, seed: u64, measured: &Measured) -> Result<()> {
    let (mut table, end) = open(path)?;
    let mut record = vec![row.to_owned(), seed.to_string()];
    for evaluation in [&measured.int8, &measured.float] {
        record.extend(MEASURES.map(|(_, of)| format!("{:.2}", 100.0 * of(evaluation))));
    }
    write(&mut table, end, &record).with_context(|| format!("cannot write {}", path.display()))
}

/// The table, with its heading and whole rows only, locked; and how long it is.
fn open(path: &Path) -> Result<(File, u64)> {
    let name = || path.display();
    let mut table = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write {}", name()))?;
    if !table.metadata()?.is_file() {
        bail!("{} is no file that rows can be added to", name());
    }
    let mut text = Vec::new();
    table
        .lock()
        .and_then(|()| table.read_to_end(&mut text))
        .with_context(|| format!("cannot read {}", name()))?;
    let heading = COLUMNS.join(",");
    let whole = text.iter().rposition(|&byte| byte == b'\n');
    let (rows, rest) = text.split_at(whole.map_or(0, |end| end + 1));
    let first = rows.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let first = first.strip_suffix(b"\r").unwrap_or(first);
    if first != heading.as_bytes() && !(rows.is_empty() && heading.as_bytes().starts_with(rest)) {
        bail!("{} is no table of this program; give another", name());
    }
    let mut repair = || {
        if is_row(rest) {
            table.write_all(b"\n")?;
        } else {
            // A full disk has left it.
            table.set_len(rows.len() as u64)?;
        }
        if rows.is_empty() {
            table.write_all(format!("{heading}\n").as_bytes())?;
        }
        table.metadata().map(|metadata| metadata.len())
    };
    let end = repair().with_context(|| format!("cannot write {}", name()))?;
    Ok((table, end))
}

/// Whether a line without its end is a whole row, such as an editor leaves: the last number has both its decimals.
fn is_row(line: &[u8]) -> bool {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(line);
    let Some(Ok(row)) = reader.records().next() else {
        return false;
    };
    let decimals = |field: &str| field.split_once('.').map(|(_, decimals)| decimals.len());
    row.len() == COLUMNS.len() && row.iter().next_back().and_then(decimals) == Some(2)
}

fn write(table: &mut File, end: u64, record: &[String]) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.write_record(record)?;
    let rows = rows.into_inner().map_err(|error| error.into_error())?;
    table
        .write_all(&rows)
        .and_then(|()| table.sync_all())
        .inspect_err(|_| {
            // The first error is the one worth telling; half a row is dropped by the next run, too.
            let _ = table.set_len(end);
        })
}
