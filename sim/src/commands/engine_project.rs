//! A project for the engine: a model, an image and segments, and what the engine has to show for them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cfm_core::segment::{Run, Segment};
use cfm_hardware::Engine;
use cfm_hardware::fold::Estimate;
use cfm_hardware::project::{self, Language, Project as Contents, Summary};
use cfm_hardware::stream;
use cfm_sim::core_trace::CoreError;
use cfm_sim::memory_bound::check_project;
use cfm_sim::model_file::ModelFile;
use cfm_sim::output::Batch;
use cfm_sim::photo;
use cfm_sim::pipeline::NetworkInput;
use cfm_sim::scene::{SAMPLE_SEED, Scene};
use cfm_sim::trace::{Inputs, spread};

use super::hardware::EngineArg;
use super::{ModelArg, pipeline, twin};

/// What a project is made of.
#[derive(Debug, clap::Args)]
pub struct ProjectInput {
    /// Photograph (PNG, JPEG, BMP or PNM); a rendered scene of the network's size without it
    pub image: Option<PathBuf>,
    #[command(flatten)]
    pub model: ModelArg,
    #[command(flatten)]
    pub engine: EngineArg,
    /// Most segments, evenly spread over the proposals
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub max_segments: usize,
    /// Seed of the rendered scene
    #[arg(long, value_name = "S", conflicts_with = "image")]
    pub seed: Option<u64>,
}

/// What was written.
pub struct Project {
    /// The model's name.
    pub model: String,
    /// What it became.
    pub engine: Engine,
    /// What that takes, and how fast it is.
    pub estimate: Estimate,
    /// How much of everything there is.
    pub summary: Summary,
}

impl ProjectInput {
    /// Writes the project with the twin's sources.
    ///
    /// # Errors
    /// When an input is broken, the engine cannot run the model, or a file cannot be written.
    pub fn write(&self, language: Language, folder: &Path) -> anyhow::Result<Project> {
        let file = self.model.open()?;
        let model = file.parse()?;
        // A device that runs the model packed asks the engine for the packed file's fingerprint.
        let as_it_is = ModelFile::open_in_any_order(self.model.model.as_deref())?;
        let (engine, estimate) = self
            .engine
            .compile(&as_it_is.parse()?)
            .with_context(|| file.name())?;
        let pipeline = pipeline(&file, &model)?;
        let input = model.input();
        let photo = match &self.image {
            Some(path) => photo::open(path)?,
            None => {
                let seed = self.seed.unwrap_or(SAMPLE_SEED);
                Scene::render(input.width.into(), input.height.into(), seed).photo
            }
        };
        let input = NetworkInput::new(&photo, input).with_context(|| file.name())?;
        let segments = Inputs::of_input(&pipeline, &input, |inputs| {
            let all = inputs.segments;
            let used = spread(all.len(), self.max_segments);
            let segments: Vec<Segment<'_>> = used.map(|i| all[i]).collect();
            let used = Inputs {
                segments: &segments,
                ..*inputs
            };
            check_project(&model, &engine, &used)?;
            let runs = segments.iter().map(|s| stream::runs(s, inputs.maps));
            Ok::<_, CoreError>(runs.collect::<Vec<Vec<Run>>>())
        })
        .with_context(|| file.name())?
        .with_context(|| file.name())?;
        let view = input.view()?;
        let Contents { summary, files } =
            project::project(&model, &engine, &view, &segments, language)?;
        let read = file.files();
        let read = read.iter().chain(&self.image).chain(&self.engine.budget);
        let mut batch = Batch::new();
        batch.keep(read);
        for (name, bytes) in &files {
            batch.add(&folder.join(name), bytes)?;
        }
        // Its last file is what runs the project.
        twin::add(language, folder, &mut batch)?;
        batch.commit()?;
        Ok(Project {
            model: file.name(),
            engine,
            estimate,
            summary,
        })
    }
}
