//! `cfm segment`: labels every pixel of a photograph, or of many.

mod many;
mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use cfm_sim::import::{Logits, Segments};
use cfm_sim::labelling::RuleSpec;
use cfm_sim::model_file::ModelFile;
use cfm_sim::output::{OutputError, print_json};
use cfm_sim::photo_list::is_photo_list;
use cfm_sim::pipeline::{Pipeline, Segmentation};
use cfm_sim::scene::{SAMPLE_SEED, SAMPLE_SIZE, Scene};
use cfm_sim::{photo, picture};
use image::RgbImage;

use super::{LABELLING_HELP, ModelArg, SegmentsArg, display, outputs_beside, pipeline};
use report::{Report, Size};

/// Arguments of `cfm segment`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Photograph (PNG, JPEG, BMP or PNM), or several, or folders of them, or DATASET:SPLIT, or - for a stream of binary
    /// PPM images on standard input; a rendered sample scene without it
    #[arg(value_name = "IMAGE")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    segments: SegmentsArg,
    /// The classifier's outputs for the proposals, computed elsewhere: int16 (segments, classes) in a .npy file
    #[arg(long, value_name = "FILE", conflicts_with = "segments")]
    logits: Option<PathBuf>,
    /// Where the photograph with the classes' colours over it goes [default: overlay.png]; of several photographs a
    /// folder, with a PNG file for each [default: overlays]
    #[arg(long, value_name = "PNG|DIR")]
    out: Option<PathBuf>,
    /// Where the label values go, one byte a pixel, 255 for none: a PNG file, or a PGM file if its name ends in .pgm; of
    /// several photographs a folder, with a PNG file for each
    #[arg(long, value_name = "PNG|PGM|DIR")]
    labels: Option<PathBuf>,
    #[arg(long, value_name = "SPEC", help = LABELLING_HELP)]
    labelling: Option<RuleSpec>,
    /// Of several photographs, skip those that cannot be used instead of stopping with status 2; name them in the end,
    /// with status 1
    #[arg(long)]
    keep_going: bool,
    /// Seed of the rendered scene
    #[arg(long, value_name = "S", conflicts_with = "images")]
    seed: Option<u64>,
    /// Print JSON; of several photographs an object on a line for each
    #[arg(long)]
    json: bool,
}

/// Runs the command; the status is 1 when photographs were skipped.
///
/// # Errors
/// When an input is broken or an output cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let mut pipeline = pipeline(&file, &model)?;
    if let Some(rule) = args.labelling {
        pipeline = pipeline.with_labelling(rule.0)?;
    }
    let labeller = Labeller {
        pipeline,
        file: &file,
    };
    let is_one = |path: &Path| path.as_os_str() != "-" && !is_photo_list(path);
    let path = match &args.images[..] {
        [] => None,
        [path] if is_one(path) => Some(path),
        images => return many::run(args, images, &labeller, out),
    };
    if args.keep_going {
        bail!("--keep-going is for several photographs");
    }
    let photo = match path {
        Some(path) => photo::open(path)?,
        None => {
            let (width, height) = SAMPLE_SIZE;
            Scene::render(width, height, args.seed.unwrap_or(SAMPLE_SEED)).photo
        }
    };
    let segmentation = match (&args.segments.segments, &args.logits) {
        (None, None) => labeller.segment(&photo)?,
        (None, Some(path)) => {
            let segmentation = labeller
                .pipeline
                .segment_by_logits(&photo, &Logits::open(path)?);
            segmentation.with_context(|| display(path))?
        }
        (Some(path), _) => {
            let segments = Segments::open(path, &args.segments.options())?;
            let segmentation = labeller.pipeline.segment_by(&photo, &segments);
            segmentation.with_context(|| display(path))?
        }
    };
    let overlay = args.out.as_deref().unwrap_or(Path::new("overlay.png"));
    let given = [path, args.segments.segments.as_ref(), args.logits.as_ref()];
    let inputs: Vec<&PathBuf> = given.into_iter().flatten().collect();
    let labels = args.labels.as_deref();
    let report = labeller.write(
        path.map(|path| display(path)),
        &photo,
        &segmentation,
        overlay,
        labels,
        &inputs,
    )?;
    if args.json {
        print_json(out, &report)?;
    } else {
        report::print(&report, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A model ready to label photographs, and where it comes from.
struct Labeller<'m> {
    pipeline: Pipeline<'m>,
    file: &'m ModelFile,
}

impl Labeller<'_> {
    fn segment(&self, photo: &RgbImage) -> anyhow::Result<Segmentation> {
        let segmentation = self.pipeline.segment(photo);
        segmentation.with_context(|| self.file.name())
    }

    /// Writes the overlay and, if asked for, the label values, both or none, but over none of the inputs and not over the
    /// model, and says what was found.
    fn write(
        &self,
        path: Option<String>,
        photo: &RgbImage,
        segmentation: &Segmentation,
        overlay: &Path,
        labels: Option<&Path>,
        inputs: &[&PathBuf],
    ) -> Result<Report, OutputError> {
        let model = self.pipeline.model();
        let mut files = outputs_beside(self.file, inputs.iter().copied());
        files.add_picture(
            overlay,
            &picture::overlay(photo, &segmentation.labels, model),
        )?;
        let (width, height) = photo.dimensions();
        if let Some(path) = labels {
            let values = self.pipeline.label_values();
            let labels = segmentation
                .labels
                .mapped(&values)
                .resized(width as usize, height as usize);
            files.add_labels(path, &labels)?;
        }
        files.commit()?;
        let classes = report::found(model, segmentation);
        Ok(Report {
            path,
            model: self.file.name(),
            image: Size { width, height },
            network: Size {
                width: model.input().width.into(),
                height: model.input().height.into(),
            },
            segments: segmentation.segments,
            labelling: RuleSpec(self.pipeline.labelling()),
            unlabelled: (1.0 - classes.iter().map(|class| class.share).sum::<f64>()).max(0.0),
            classes,
            milliseconds: segmentation.times,
            out: display(overlay),
            labels: labels.map(display),
        })
    }
}
