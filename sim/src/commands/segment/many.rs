//! Many photographs, several at a time, in order: files, folders, or a stream on standard input.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use cfm_sim::photo;
use cfm_sim::photo_list::{is_photo_list, photo_list, source_files};
use cfm_sim::photo_stream::PhotoStream;
use image::RgbImage;
use rayon::prelude::*;
use serde::Serialize;

use super::report::{Report, print_line};
use super::{Args, Labeller};
use crate::commands::{display, progress};

/// Most bytes of decoded photographs that wait to be segmented, beyond one.
const MAX_WAITING: usize = 256 << 20;

/// A photograph to segment.
struct Job {
    /// What it is called in reports.
    path: String,
    /// What its output files are called, without the ending.
    stem: String,
    photo: Photo,
}

enum Photo {
    File(PathBuf),
    Decoded(RgbImage),
}

impl Job {
    fn of_file(path: PathBuf) -> Self {
        Self {
            path: display(&path),
            stem: stem(&path),
            photo: Photo::File(path),
        }
    }

    fn of_frame(number: usize, photo: RgbImage) -> Self {
        let stem = format!("frame{number:06}");
        Self {
            path: stem.clone(),
            stem,
            photo: Photo::Decoded(photo),
        }
    }

    fn bytes(&self) -> usize {
        match &self.photo {
            Photo::File(_) => 0,
            Photo::Decoded(photo) => photo.as_raw().len(),
        }
    }
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// A photograph that was left out.
#[derive(Serialize)]
struct Bad {
    path: String,
    error: String,
}

/// The folders that are written to.
struct Outputs {
    overlays: PathBuf,
    labels: Option<PathBuf>,
}

impl Outputs {
    fn create(args: &Args) -> anyhow::Result<Self> {
        let outputs = Self {
            overlays: args.out.clone().unwrap_or_else(|| "overlays".into()),
            labels: args.labels.clone(),
        };
        let mut folders = Vec::new();
        for folder in outputs.folders() {
            fs::create_dir_all(folder).with_context(|| display(folder))?;
            folders.push(fs::canonicalize(folder).with_context(|| display(folder))?);
        }
        if let [overlays, labels] = &folders[..]
            && overlays == labels
        {
            bail!(
                "overlays and labels need a folder each, not both {}",
                display(labels)
            );
        }
        Ok(outputs)
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.overlays].into_iter().chain(&self.labels)
    }

    /// Refuses photographs that would get the same output file, or whose output file is a photograph or any other of the
    /// files that are read.
    fn check(&self, photos: &[PathBuf], inputs: &[PathBuf]) -> anyhow::Result<()> {
        let mut names: HashMap<String, &PathBuf> = HashMap::new();
        for path in photos {
            if let Some(other) = names.insert(stem(path), path) {
                let file = file(&self.overlays, &stem(path));
                let (a, b, file) = (display(other), display(path), display(&file));
                bail!("{a} and {b} would both be written to {file}");
            }
        }
        let real = |paths: &[PathBuf]| -> HashSet<PathBuf> {
            let real = paths.iter().filter_map(|path| fs::canonicalize(path).ok());
            real.collect()
        };
        let (real_photos, real_inputs) = (real(photos), real(inputs));
        for (folder, path) in self
            .folders()
            .flat_map(|f| photos.iter().map(move |p| (f, p)))
        {
            let file = file(folder, &stem(path));
            let Ok(found) = fs::canonicalize(&file) else {
                continue;
            };
            if real_photos.contains(&found) {
                let file = display(&file);
                bail!("{file} is one of the photographs; name another folder");
            }
            if real_inputs.contains(&found) {
                let file = display(&file);
                bail!("{file} is one of the files that are read; name another folder");
            }
        }
        Ok(())
    }
}

fn file(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}.png"))
}

/// Segments all photographs that `images` means and prints a line for each; the status is 1 when some were skipped.
///
/// # Errors
/// When a photograph cannot be used (unless such are skipped), or an output cannot be written.
pub fn run(
    args: &Args,
    images: &[PathBuf],
    labeller: &Labeller<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    if args.segments.segments.is_some() || args.logits.is_some() {
        bail!("--segments and --logits go with one photograph");
    }
    let mut count = None;
    let outputs;
    let jobs: Box<dyn Iterator<Item = anyhow::Result<Job>>> = if images == [Path::new("-")] {
        outputs = Outputs::create(args)?;
        let frames = PhotoStream::new(io::stdin().lock()).zip(1..);
        Box::new(frames.map(|(photo, number)| Ok(Job::of_frame(number, photo?))))
    } else {
        let (mut photos, mut inputs) = (Vec::new(), labeller.file.files());
        for path in images {
            if path.as_os_str() == "-" {
                bail!("- (standard input) goes with no other photographs");
            } else if is_photo_list(path) {
                photos.extend(photo_list(path, usize::MAX)?);
                inputs.extend(source_files(path)?);
            } else {
                photos.push(path.clone());
            }
        }
        outputs = Outputs::create(args)?;
        outputs.check(&photos, &inputs)?;
        count = Some(photos.len() as u64);
        Box::new(photos.into_iter().map(|path| Ok(Job::of_file(path))))
    };
    let mut jobs = jobs.fuse();

    let bar = progress(count, "photographs", args.json);
    let (mut done, mut skipped) = (0, Vec::new());
    // A frame of a stream should not wait for many others.
    let most = rayon::current_num_threads() * if count.is_some() { 4 } else { 1 };
    loop {
        let (batch, problem) = next_batch(&mut jobs, most);
        if batch.is_empty() && problem.is_none() {
            break;
        }
        let results: Vec<_> = batch
            .into_par_iter()
            .map(|job| {
                let result = segment(job, labeller, &outputs);
                bar.inc(1);
                result
            })
            .collect();
        bar.suspend(|| -> anyhow::Result<()> {
            for result in results {
                match result? {
                    Ok(report) => {
                        done += 1;
                        if args.json {
                            print_json_line(&report, out)?;
                        } else {
                            print_line(&report, out)?;
                        }
                    }
                    Err(bad) if !args.keep_going => bail!("{}", bad.error),
                    Err(bad) => {
                        // Nothing is left to be done when even this cannot be written.
                        let _ = writeln!(io::stderr(), "cfm: skipped: {}", bad.error);
                        if args.json {
                            print_json_line(&bad, out)?;
                        }
                        skipped.push(bad);
                    }
                }
            }
            Ok(out.flush()?)
        })?;
        if let Some(problem) = problem {
            return Err(problem);
        }
    }
    bar.finish_and_clear();
    if done + skipped.len() == 0 {
        bail!("standard input: there is no image in the stream");
    }
    if !args.json {
        print_end(done, &skipped, &outputs, out)?;
    }
    Ok(ExitCode::from(u8::from(!skipped.is_empty())))
}

/// The next photographs, at most `most` and not too many bytes; and what ends them, if that is an error.
fn next_batch(
    jobs: &mut impl Iterator<Item = anyhow::Result<Job>>,
    most: usize,
) -> (Vec<Job>, Option<anyhow::Error>) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < most && bytes < MAX_WAITING {
        match jobs.next() {
            None => break,
            Some(Err(problem)) => return (batch, Some(problem)),
            Some(Ok(job)) => {
                bytes += job.bytes();
                batch.push(job);
            }
        }
    }
    (batch, None)
}

/// Segments a photograph and writes its files.
///
/// # Errors
/// When a file cannot be written; a photograph that cannot be used is a [`Bad`] one.
fn segment(
    job: Job,
    labeller: &Labeller<'_>,
    outputs: &Outputs,
) -> anyhow::Result<Result<Report, Bad>> {
    let Job { path, stem, photo } = job;
    let photo = match photo {
        Photo::File(path) => photo::open(&path).map_err(anyhow::Error::from),
        Photo::Decoded(photo) => Ok(photo),
    };
    let segmented = photo.and_then(|photo| Ok((labeller.segment(&photo)?, photo)));
    let (segmentation, photo) = match segmented {
        Ok(segmented) => segmented,
        Err(error) => {
            let error = format!("{error:#}");
            return Ok(Err(Bad { path, error }));
        }
    };
    let overlay = file(&outputs.overlays, &stem);
    let labels = outputs.labels.as_ref().map(|folder| file(folder, &stem));
    let report = labeller.write(
        Some(path),
        &photo,
        &segmentation,
        &overlay,
        labels.as_deref(),
        // All photographs have been looked at before the first was read.
        &[],
    )?;
    Ok(Ok(report))
}

fn print_json_line(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    writeln!(out, "{text}")
}

fn print_end(
    done: usize,
    skipped: &[Bad],
    outputs: &Outputs,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(
        out,
        "{done} images; overlays: {}",
        display(&outputs.overlays)
    )?;
    match &outputs.labels {
        Some(labels) => writeln!(out, ", labels: {}", display(labels))?,
        None => writeln!(out)?,
    }
    if !skipped.is_empty() {
        writeln!(out, "{} images skipped:", skipped.len())?;
        for bad in skipped {
            writeln!(out, "  {}", bad.error)?;
        }
    }
    Ok(())
}
