//! Writes what a board's whole-image demo takes and must give: `scene.rgb`, the sample scene as the default model takes
//! it, and `labels.expected`, the class index of every pixel. The argument is the folder.

use std::path::PathBuf;

use anyhow::Context;
use cfm_sim::model_file::ModelFile;
use cfm_sim::output::Batch;
use cfm_sim::pipeline::Pipeline;
use cfm_sim::scene::{SAMPLE_SEED, Scene};

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1);
    let folder = PathBuf::from(folder.context("usage: board_scene FOLDER")?);
    let file = ModelFile::open(None)?;
    let model = file.parse()?;
    let input = model.input();
    // At the network's own size: what the camera sees is what the network sees.
    let photo = Scene::render(input.width.into(), input.height.into(), SAMPLE_SEED).photo;
    let segmentation = Pipeline::new(&model)?.segment(&photo)?;
    let mut files = Batch::new();
    files.add(&folder.join("scene.rgb"), photo.as_raw())?;
    let labels = segmentation.labels.labels();
    files.add(&folder.join("labels.expected"), labels)?;
    files.commit()?;
    println!("{} segments", segmentation.segments);
    Ok(())
}
