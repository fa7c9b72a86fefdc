//! A data set that is rendered on the spot: coloured boxes on a two-coloured background.
#![allow(dead_code, missing_docs)]

use std::fmt::Write as _;
use std::path::Path;

use cfm_sim::dataset::Dataset;
use cfm_train::checkpoint::Position;
use cfm_train::config::Config;
use cfm_train::data::{self, Photo};
use cfm_train::device::Backend;
use cfm_train::train_loop::{Outcome, Run, TrainError, train};
use image::{GrayImage, Luma, Rgb, RgbImage};
use indicatif::{MultiProgress, ProgressDrawTarget};

pub const WIDTH: u32 = 48;
pub const HEIGHT: u32 = 36;
pub const IMAGES: u32 = 6;

/// Writes the data set: sky above, ground below, one box that moves.
pub fn render(root: &Path) {
    let colors = [[90, 140, 220], [110, 100, 80], [200, 40, 50]];
    let mut text =
        String::from("name = \"boxes\"\nsource = \"rendered\"\nlicense = \"none\"\nignore = 9\n");
    for (index, (name, kind)) in [("sky", "stuff"), ("ground", "stuff"), ("box", "object")]
        .iter()
        .enumerate()
    {
        writeln!(
            text,
            "[[class]]\nindex = {index}\nname = \"{name}\"\nkind = \"{kind}\"\ncolor = {:?}",
            colors[index]
        )
        .unwrap();
    }
    std::fs::write(root.join("dataset.toml"), text).unwrap();
    for folder in ["images", "labels"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let mut ids = String::new();
    for i in 0..IMAGES {
        let label = |x: u32, y: u32| {
            if (4 + 5 * i..20 + 5 * i).contains(&x) && (12..26).contains(&y) {
                2
            } else if y == 17 {
                9
            } else {
                u8::from(y > 17)
            }
        };
        let labels = GrayImage::from_fn(WIDTH, HEIGHT, |x, y| Luma([label(x, y)]));
        let photo = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
            let noise = (x * 7 + y * 13 + i * 5) % 16;
            Rgb(colors[usize::from(label(x, y) % 9)].map(|c| c + noise as u8))
        });
        photo.save(root.join(format!("images/{i}.png"))).unwrap();
        labels.save(root.join(format!("labels/{i}.png"))).unwrap();
        writeln!(ids, "{i}").unwrap();
    }
    std::fs::write(root.join("train.txt"), &ids).unwrap();
    std::fs::write(root.join("val.txt"), &ids).unwrap();
}

/// A network small enough for a test, with everything in it: stride, an inverted residual block, residual, dilation, both phases.
pub fn config() -> Config {
    let config: Config = toml::from_str(
        r#"
        input = { width = 48, height = 36 }
        validate_every = 0
        backbone = [
            { channels = 8, stride = 2 },
            { channels = 8, stride = 2 },
            { channels = 16, kernel = 1, activation = "relu6" },
            { channels = 16, groups = 16, activation = "relu6" },
            { channels = 8, kernel = 1, activation = "none", residual = 3 },
            { channels = 8, kernel = 1 },
            { channels = 8, residual = 1, dilation = 2 },
        ]
        [head]
        levels = [2, 1]
        hidden = 8
        [augment]
        zoom = 1.2
        [sampling]
        pure = 6
        mixed = 2
        [float]
        epochs = 3
        dense_epochs = 1
        batch = 2
        lr = 0.05
        [quantized]
        epochs = 2
        lr = 0.005
        "#,
    )
    .unwrap();
    config.check().unwrap();
    config
}

/// Trains in `folder` until the end or until `stop` says so.
pub fn run(
    data: &Path,
    config: &Config,
    folder: &Path,
    stop: &(dyn Fn(&Position) -> bool + Sync),
) -> Outcome {
    try_run(data, config, folder, stop).unwrap()
}

/// As [`run`], which ends well.
pub fn try_run(
    data: &Path,
    config: &Config,
    folder: &Path,
    stop: &(dyn Fn(&Position) -> bool + Sync),
) -> Result<Outcome, TrainError> {
    std::fs::create_dir_all(folder).unwrap();
    train(&Run {
        dataset: &Dataset::open(data).unwrap(),
        config,
        folder,
        init: None,
        provenance: &[],
        backend: Backend::Flex,
        resume: true,
        stop,
        progress: &MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
    })
}

/// The photographs of the data set.
pub fn photos(data: &Path, config: &Config) -> Vec<Photo> {
    let dataset = Dataset::open(data).unwrap();
    data::read(
        &dataset,
        dataset.split("train").unwrap(),
        config.input,
        true,
    )
    .unwrap()
}
