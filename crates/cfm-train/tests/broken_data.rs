//! A broken data set is named in the error, with the file and what is wrong with it.
#![allow(missing_docs)]

mod common;

use std::path::Path;

use cfm_sim::dataset::Dataset;
use cfm_train::data::{self, DataError, IGNORE, Photo};
use image::{GrayImage, Luma};

/// Renders a data set, breaks it, and reads it.
fn read_broken(break_it: impl FnOnce(&Path)) -> Result<Vec<Photo>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    common::render(folder.path());
    break_it(folder.path());
    let dataset = Dataset::open(folder.path())?;
    data::read(
        &dataset,
        dataset.split("train")?,
        common::config().input,
        true,
    )
}

#[track_caller]
fn assert_error(result: Result<Vec<Photo>, DataError>, parts: &[&str]) {
    let text = result.unwrap_err().to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} does not name {part:?}");
    }
}

#[test]
fn whole_data_is_read() {
    let photos = read_broken(|_| ()).unwrap();
    assert_eq!(photos.len(), common::IMAGES as usize);
    for photo in photos {
        let labels = photo.labels.unwrap();
        for (&class, &label) in photo.classes.labels().iter().zip(labels.labels()) {
            assert_eq!(class, if label == 9 { IGNORE } else { label });
        }
    }
}

#[test]
fn palette_labels_are_read_as_indices() {
    let photos = read_broken(|root| {
        let path = root.join("labels/2.png");
        let labels = image::open(&path).unwrap().into_luma8();
        let file = std::fs::File::create(&path).unwrap();
        let mut encoder = png::Encoder::new(file, common::WIDTH, common::HEIGHT);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(vec![77; 3 * 256]);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(labels.as_raw()).unwrap();
        writer.finish().unwrap();
    });
    assert_eq!(photos.unwrap(), read_broken(|_| ()).unwrap());
}

#[test]
fn too_many_classes_are_refused() {
    let class = |index| format!("[[class]]\nindex = {index}\nname = \"class {index}\"\n");
    let classes: String = (0..201).map(class).collect();
    let text = format!("name = \"x\"\nignore = 255\n{classes}");
    let result = read_broken(|root| std::fs::write(root.join("dataset.toml"), text).unwrap());
    assert_error(result, &["201 classes", "at most 200"]);
}

/// What no model can hold is refused at once, and not when photographs have been read and segments proposed.
#[test]
fn classes_and_levels_that_no_model_has_are_refused_before_photographs_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    common::render(root);
    std::fs::remove_dir_all(root.join("images")).unwrap();
    let error = |config| {
        let result = common::try_run(root, config, &root.join("run"), &|_| false);
        result.unwrap_err().to_string()
    };
    let config = common::config();
    let missing = error(&config);
    assert!(missing.contains("no such photograph"), "{missing}");

    let mut levels = config.clone();
    levels.head.levels = vec![2, 2];
    let twice = error(&levels);
    assert!(twice.contains("level twice"), "{twice}");
    // Too large for the core, which the configuration cannot tell.
    let mut large = config.clone();
    (large.input.width, large.input.height) = (65535, 65535);
    let size = error(&large);
    assert!(size.contains("the model is not valid"), "{size}");

    let description = root.join("dataset.toml");
    let text = std::fs::read_to_string(&description).unwrap();
    std::fs::write(&description, text.replace("index = 2", "index = 255")).unwrap();
    let class = error(&config);
    assert!(class.contains("class box has the index 255"), "{class}");
}

#[test]
fn missing_files_are_named() {
    for file in ["dataset.toml", "train.txt", "images/3.png", "labels/5.png"] {
        let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
        let result = read_broken(|root| std::fs::remove_file(root.join(file)).unwrap());
        assert_error(result, &[name]);
    }
}

#[test]
fn empty_split_is_refused() {
    let result = read_broken(|root| std::fs::write(root.join("train.txt"), "\n").unwrap());
    assert_error(result, &["train.txt", "no image"]);
}

#[test]
fn description_without_classes_is_refused() {
    let text = "name = \"x\"\nignore = 255\nclass = []\n";
    let result = read_broken(|root| std::fs::write(root.join("dataset.toml"), text).unwrap());
    assert_error(result, &["dataset.toml", "classes"]);
}

#[test]
fn unknown_labels_are_refused() {
    let labels = GrayImage::from_pixel(common::WIDTH, common::HEIGHT, Luma([77]));
    let result = read_broken(|root| labels.save(root.join("labels/2.png")).unwrap());
    assert_error(result, &["2.png", "does not list"]);
}

#[test]
fn labels_of_another_scale_are_read() {
    let whole = read_broken(|_| ()).unwrap();
    let photos = read_broken(|root| {
        let path = root.join("labels/2.png");
        let labels = image::open(&path).unwrap().into_luma8();
        let twice = GrayImage::from_fn(2 * common::WIDTH, 2 * common::HEIGHT, |x, y| {
            *labels.get_pixel(x / 2, y / 2)
        });
        twice.save(path).unwrap();
    })
    .unwrap();
    for (photo, whole) in photos.iter().zip(&whole) {
        assert_eq!(photo.classes, whole.classes);
    }
}

#[test]
fn labels_of_another_size_are_refused() {
    let labels = GrayImage::new(common::WIDTH, common::HEIGHT + 1);
    let result = read_broken(|root| labels.save(root.join("labels/2.png")).unwrap());
    assert_error(result, &["2.png", "another shape"]);
}

#[test]
fn broken_pictures_are_refused() {
    let result = read_broken(|root| std::fs::write(root.join("images/0.png"), "no").unwrap());
    assert_error(result, &["0.png"]);
}
