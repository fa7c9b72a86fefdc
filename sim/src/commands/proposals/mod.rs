//! `cfm proposals`: makes candidate segments, shows them, and measures them against the ground truth.

mod report;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cfm_core::model::Shape;
use cfm_core::segment::{Segment, SuperpixelMap};
use cfm_proposals::{MAX_PIXELS, Params};
use cfm_sim::dataset::{Dataset, check_shape};
use cfm_sim::import::{self, Options, Segments};
use cfm_sim::label_map::LabelMap;
use cfm_sim::output::{OutputFiles, print_json, write_picture};
use cfm_sim::pipeline::{NetworkInput, ProposalMemory};
use cfm_sim::proposal_config;
use cfm_sim::proposal_quality::{
    ImageQuality, Quality, Void, measure_proposals, measure_segments, ranked,
};
use cfm_sim::truth::{Truth, TruthClasses};
use cfm_sim::{photo, picture};
use image::RgbImage;
use rayon::prelude::*;

use super::{ModelArg, SegmentsArg, display, pipeline, progress};
use report::{ImageReport, Milliseconds, Number, Report, SetReport};

/// Proposals that a picture shows.
const SHOWN: usize = 24;
/// The split that is looked at where none is named.
const SPLIT: &str = "val";
/// The label value that counts for nothing where none is named.
const IGNORED: u8 = 255;

/// Arguments of `cfm proposals`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Photograph (PNG, JPEG, BMP or PNM), or folder of a labelled data set
    path: PathBuf,
    /// How proposals are made: graph, slic, selective-search, combinatorial, scene, street, board, or a TOML file;
    /// as the model says without it
    #[arg(long, value_name = "NAME|FILE.toml", conflicts_with = "segments")]
    params: Option<String>,
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    segments: SegmentsArg,
    /// Size at which photographs are looked at; without it that of the model, or their own with --params or --segments
    /// and no --model
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<(u16, u16)>,
    /// Most proposals of an image: the best
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max: Option<u16>,
    /// Which photographs of a data set: those that NAME.txt lists [default: val]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Only the first photographs of the split
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Ground truth of a photograph: an 8-bit label image
    #[arg(long, value_name = "PNG")]
    labels: Option<PathBuf>,
    /// Label value in --labels of pixels that count for nothing [default: 255]
    #[arg(long, value_name = "VALUE", requires = "labels")]
    ignore: Option<u8>,
    /// Count pixels without a ground-truth segment in the area of proposals, instead of for nothing
    #[arg(long)]
    count_void: bool,
    /// Leave out ground-truth segments of fewer pixels
    #[arg(long, value_name = "PIXELS")]
    smallest: Option<u32>,
    /// Where the picture goes: the superpixels of every scale and the first proposals [default: proposals.png]. For a data
    /// set, a folder, and no pictures without it
    #[arg(long, value_name = "PNG|DIR")]
    out: Option<PathBuf>,
    /// Where the measures against the number of proposals go, as a table
    #[arg(long, value_name = "CSV")]
    csv: Option<PathBuf>,
    /// Where the measures against the number of proposals go, as a plot
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,
    /// Images at a time; times per image are only right with 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let (width, height) = text.split_once('x').ok_or("not WIDTHxHEIGHT")?;
    let side = |text: &str| match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is no size in pixels")),
        Ok(side) => Ok(side),
    };
    Ok((side(width)?, side(height)?))
}

/// Where proposals come from.
enum Source {
    /// They are made.
    Params(Box<Params>),
    /// They are read: from a file for a photograph, from a folder with a file for each image of a data set.
    Files {
        path: PathBuf,
        options: Options,
        max: Option<u16>,
    },
}

/// How photographs are looked at.
struct Setup {
    source: Source,
    /// Columns and rows; those of the photograph without.
    size: Option<(u16, u16)>,
    /// Samples per pixel.
    channels: u16,
    void: Void,
    /// The files that all this comes from.
    read: Vec<PathBuf>,
}

impl Setup {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let mut params = match &args.params {
            Some(name) => Some(proposal_config::named(name)?.params()?),
            None => None,
        };
        let (mut size, mut channels) = (None, 3);
        // Of a preset's name there is no file.
        let mut read: Vec<PathBuf> = args.params.iter().map(PathBuf::from).collect();
        if args.model.model.is_some() || (params.is_none() && args.segments.segments.is_none()) {
            let file = args.model.open()?;
            let model = file.parse()?;
            let pipeline = pipeline(&file, &model)?;
            let input = model.input();
            size = Some((input.width, input.height));
            channels = input.channels;
            params = params.or(Some(*pipeline.params()));
            read.extend(file.files());
        }
        let source = match (&args.segments.segments, params) {
            (None, Some(params)) => Source::Params(Box::new(match args.max {
                Some(max) => params.with_max_segments(max)?,
                None => params,
            })),
            (Some(path), _) => Source::Files {
                path: path.clone(),
                options: args.segments.options(),
                max: args.max,
            },
            (None, None) => bail!("there are no parameters"),
        };
        Ok(Self {
            source,
            size: args.size.or(size),
            channels,
            void: if args.count_void {
                Void::Counted
            } else {
                Void::Ignored
            },
            read,
        })
    }

    /// The size at which a photograph is looked at.
    fn size(&self, photo: &RgbImage) -> anyhow::Result<(u16, u16)> {
        let most = match self.source {
            Source::Params(_) => MAX_PIXELS.into(),
            Source::Files { .. } => photo::MAX_PIXELS,
        };
        let (width, height) = match self.size {
            Some((width, height)) => (width.into(), height.into()),
            None => photo.dimensions(),
        };
        match (u16::try_from(width), u16::try_from(height)) {
            (Ok(columns), Ok(rows)) if u64::from(width) * u64::from(height) <= most => {
                Ok((columns, rows))
            }
            _ => bail!(
                "{width}x{height} pixels are too many: {most} at most, 65535 on each side; --size makes it smaller"
            ),
        }
    }

    /// Makes or reads the proposals of a photograph, and draws a picture if asked to. `id` is set for an image of a
    /// data set.
    fn propose(
        &self,
        memory: &mut ProposalMemory,
        photo: &RgbImage,
        id: Option<&str>,
        truth: Option<(&Truth, &TruthClasses)>,
        drawn: bool,
    ) -> anyhow::Result<Made> {
        match &self.source {
            Source::Params(params) => self.make(memory, params, photo, truth, drawn),
            Source::Files { path, options, max } => {
                let path = match id {
                    None => path.clone(),
                    Some(id) => segments_path(path, id)?,
                };
                let clock = Instant::now();
                let mut segments = Segments::open(&path, options)?;
                segments.truncate(max.map_or(usize::MAX, usize::from));
                let time = clock.elapsed();
                let made = self.show(&segments, photo, truth, drawn, time);
                made.with_context(|| display(&path))
            }
        }
    }

    fn make(
        &self,
        memory: &mut ProposalMemory,
        params: &Params,
        photo: &RgbImage,
        truth: Option<(&Truth, &TruthClasses)>,
        drawn: bool,
    ) -> anyhow::Result<Made> {
        let (width, height) = self.size(photo)?;
        let shape = Shape {
            width,
            height,
            channels: self.channels,
        };
        let input = NetworkInput::new(photo, shape)?;
        let view = input.view()?;
        let clock = Instant::now();
        let proposals = memory.propose(view, params)?;
        let time = clock.elapsed();
        let ranking = params.ranking();
        let quality = truth
            .map(|(truth, classes)| {
                measure_proposals(truth, classes, &proposals, ranking, self.void)
            })
            .transpose()?;
        let picture = drawn.then(|| {
            let first: Vec<Segment<'_>> = ranked(&proposals, ranking)
                .iter()
                .take(SHOWN)
                .map(|proposal| proposal.segment())
                .collect();
            draw(photo, (width, height), proposals.maps(), &first)
        });
        Ok(Made {
            size: (width, height),
            superpixels: proposals.maps().iter().map(|map| map.count()).collect(),
            proposals: proposals.len(),
            time,
            quality,
            picture,
        })
    }

    /// Measures and draws what was read.
    fn show(
        &self,
        segments: &Segments,
        photo: &RgbImage,
        truth: Option<(&Truth, &TruthClasses)>,
        drawn: bool,
        time: Duration,
    ) -> anyhow::Result<Made> {
        let (width, height) = self.size(photo)?;
        let resized = segments.fitted(photo.dimensions(), width, height)?;
        let quality = truth
            .map(|(truth, classes)| measure_segments(truth, classes, segments, self.void))
            .transpose()?;
        let picture = drawn.then(|| {
            let first: Vec<Segment<'_>> = resized.iter().take(SHOWN).map(Segment::Runs).collect();
            draw(photo, (width, height), &[], &first)
        });
        Ok(Made {
            size: (width, height),
            superpixels: Vec::new(),
            proposals: resized.len(),
            time,
            quality,
            picture,
        })
    }
}

/// The file with the segments of an image of a data set.
fn segments_path(folder: &Path, id: &str) -> anyhow::Result<PathBuf> {
    import::ENDINGS
        .iter()
        .map(|ending| folder.join(format!("{id}.{ending}")))
        .find(|path| path.is_file())
        .with_context(|| {
            let path = folder.join(id);
            format!("{}: no such segments (.png, .json, .npy)", path.display())
        })
}

/// The photograph at a size, its maps, and the first segments.
fn draw(
    photo: &RgbImage,
    (width, height): (u16, u16),
    maps: &[SuperpixelMap<'_>],
    first: &[Segment<'_>],
) -> RgbImage {
    let small = photo::resized(photo, width.into(), height.into());
    picture::proposals(&small, maps, first)
}

/// The proposals of a photograph, measured.
struct Made {
    size: (u16, u16),
    superpixels: Vec<u16>,
    proposals: usize,
    time: Duration,
    quality: Option<ImageQuality>,
    picture: Option<RgbImage>,
}

/// Refuses options that have no effect on what is asked for.
fn check_options(args: &Args) -> anyhow::Result<()> {
    if args.path.is_dir() {
        return Ok(());
    }
    if args.split.is_some() || args.limit.is_some() || args.jobs.is_some() {
        bail!("--split, --limit and --jobs are for a data set, not for a photograph");
    }
    let measured = args.csv.is_some() || args.plot.is_some();
    if args.labels.is_none() && (measured || args.count_void || args.smallest.is_some()) {
        bail!(
            "--csv, --plot, --count-void and --smallest need ground truth: a data set, or --labels"
        );
    }
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// When an input is broken or an output cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    check_options(args)?;
    let setup = Setup::new(args)?;
    let mut files = OutputFiles::new();
    files.keep(&setup.read);
    let report = if args.path.is_dir() {
        if args.labels.is_some() {
            bail!("--labels is for a photograph; a data set has labels of its own");
        }
        Report::Set(data_set(args, &setup, &mut files)?)
    } else {
        files.keep([&args.path]);
        files.keep(
            [&args.labels, &args.segments.segments]
                .into_iter()
                .flatten(),
        );
        Report::Image(image(args, &setup, &mut files)?)
    };
    if let Some(quality) = report.quality() {
        if let Some(path) = &args.csv {
            files.add(path, report::csv(quality).into_bytes())?;
        }
        if let Some(path) = &args.plot {
            let svg = report::plot(quality).with_context(|| display(path))?;
            files.add(path, svg.into_bytes())?;
        }
    }
    files.commit()?;
    if args.json {
        print_json(out, &report)?;
    } else {
        report::print(&report, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Proposals of a photograph; their picture is added to `files`.
fn image(args: &Args, setup: &Setup, files: &mut OutputFiles) -> anyhow::Result<ImageReport> {
    let photo = photo::open(&args.path)?;
    let classes = TruthClasses::of_values(args.ignore.unwrap_or(IGNORED));
    let truth = match &args.labels {
        Some(path) => {
            let labels = LabelMap::open(path)?;
            check_shape(&display(path), &photo, &labels)?;
            let truth = Truth::from_labels(&labels, &classes);
            Some(truth.with_context(|| display(path))?)
        }
        None => None,
    };
    let truth = truth.as_ref().map(|truth| (truth, &classes));
    let out = args.out.clone().unwrap_or_else(|| "proposals.png".into());
    for path in [Some(&out), args.csv.as_ref(), args.plot.as_ref()] {
        path.map_or(Ok(()), |path| files.expect(path))?;
    }
    let made = setup
        .propose(&mut ProposalMemory::default(), &photo, None, truth, true)
        .with_context(|| display(&args.path))?;
    if let Some(picture) = &made.picture {
        files.add_picture(&out, picture)?;
    }
    let quality = match (made.quality, &args.labels) {
        (Some(quality), Some(path)) => {
            Some(quality_of(&[quality], &classes, args).with_context(|| display(path))?)
        }
        _ => None,
    };
    Ok(ImageReport {
        path: display(&args.path),
        width: made.size.0,
        height: made.size.1,
        superpixels: made.superpixels,
        segments: made.proposals,
        milliseconds: made.time.as_secs_f64() * 1000.0,
        out: display(&out),
        quality,
    })
}

/// Proposals of a data set. `files` learns what is read and what is to come; pictures are written as they are made.
fn data_set(args: &Args, setup: &Setup, files: &mut OutputFiles) -> anyhow::Result<SetReport> {
    let dataset = Dataset::open(&args.path)?;
    let split = args.split.as_deref().unwrap_or(SPLIT);
    let mut ids = dataset.split(split)?;
    ids.truncate(args.limit.unwrap_or(ids.len()));
    if ids.is_empty() {
        bail!("--limit 0 leaves no image");
    }
    let classes = TruthClasses::of(dataset.description());
    let segments = args.segments.segments.as_deref();
    let segments = ids
        .iter()
        .filter_map(|id| segments_path(segments?, id).ok());
    files.keep(dataset.files(&ids).into_iter().chain(segments));
    for path in [&args.csv, &args.plot].into_iter().flatten() {
        files.expect(path)?;
    }
    if let Some(folder) = &args.out {
        let mut names = HashMap::new();
        for id in &ids {
            let path = picture_path(folder, id);
            if let Some(other) = names.insert(path.clone(), id) {
                bail!("{other} and {id} would both be drawn in {}", display(&path));
            }
        }
        std::fs::create_dir_all(folder).with_context(|| display(folder))?;
        for id in &ids {
            files.expect(&picture_path(folder, id))?;
        }
    }
    let bar = progress(ids.len() as u64, "images", args.json);
    let one = |memory: &mut ProposalMemory, id: &String| -> anyhow::Result<Made> {
        let sample = dataset.sample(id)?;
        let truth = Truth::open(&dataset, &classes, &sample)?;
        let drawn = args.out.is_some();
        let mut made = setup
            .propose(
                memory,
                &sample.photo,
                Some(id),
                Some((&truth, &classes)),
                drawn,
            )
            .with_context(|| id.clone())?;
        if let (Some(folder), Some(picture)) = (&args.out, made.picture.take()) {
            write_picture(&picture_path(folder, id), &picture)?;
        }
        bar.inc(1);
        Ok(made)
    };
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(jobs) = args.jobs {
        pool = pool.num_threads(jobs.into());
    }
    let all = pool.build()?.install(|| {
        ids.par_iter()
            .map_init(ProposalMemory::default, one)
            .collect::<anyhow::Result<Vec<Made>>>()
    })?;
    bar.finish_and_clear();
    let proposals = Number::of(all.iter().map(|made| made.proposals as f64));
    let times = Number::of(all.iter().map(|made| made.time.as_secs_f64() * 1000.0));
    let qualities: Vec<ImageQuality> = all.into_iter().filter_map(|made| made.quality).collect();
    let quality = quality_of(&qualities, &classes, args).with_context(|| display(&args.path))?;
    Ok(SetReport {
        path: display(&args.path),
        split: split.to_owned(),
        images: ids.len(),
        proposals,
        milliseconds: Milliseconds {
            mean: times.mean,
            worst: times.most,
        },
        quality,
    })
}

/// Where the picture of an image of a data set goes; IDs may hold folders.
fn picture_path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{}.png", id.replace(['/', '\\'], "_")))
}

fn quality_of(
    images: &[ImageQuality],
    classes: &TruthClasses,
    args: &Args,
) -> anyhow::Result<Quality> {
    Quality::new(images, classes, args.smallest.unwrap_or(1))
        .context("the ground truth has no segment to compare with")
}
