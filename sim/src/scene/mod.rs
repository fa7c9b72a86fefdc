//! Street scenes that the project renders itself, with a label for every pixel.
//!
//! They stand in for photographs where none may be shipped: as the sample of `cfm segment`, in tests, and for smoke
//! runs of training. A seed decides everything; only additions, multiplications, divisions and roots are used, so
//! that a scene is the same on every machine. The classes and their order are those of CamVid's eleven.

mod canvas;
mod noise;
mod street;
mod things;

use std::fs;
use std::io;
use std::path::Path;

use image::RgbImage;

use crate::dataset::{Class, Description, Kind};
use crate::label_map::LabelMap;
use crate::output;

/// The seed of the sample scene.
pub const SAMPLE_SEED: u64 = 11;

/// Size of the sample scene.
pub const SAMPLE_SIZE: (u32, u32) = (480, 360);

/// Label of pixels that belong to no class.
pub const IGNORE: u8 = 11;

/// Classes of the rendered scenes; the discriminant is the label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SceneClass {
    /// Sky.
    Sky,
    /// House fronts and walls.
    Building,
    /// Poles of lamps and signs.
    Pole,
    /// Carriageway with its markings.
    Road,
    /// Pavement beside the road.
    Pavement,
    /// Trees and hedges.
    Tree,
    /// Traffic signs.
    Sign,
    /// Fences.
    Fence,
    /// Cars.
    Car,
    /// People on foot.
    Pedestrian,
    /// People on bicycles, with their bicycles.
    Bicyclist,
}

impl SceneClass {
    /// All classes, in the order of their label values.
    pub const ALL: [Self; 11] = [
        Self::Sky,
        Self::Building,
        Self::Pole,
        Self::Road,
        Self::Pavement,
        Self::Tree,
        Self::Sign,
        Self::Fence,
        Self::Car,
        Self::Pedestrian,
        Self::Bicyclist,
    ];

    /// Value in label maps.
    #[must_use]
    pub const fn label(self) -> u8 {
        self as u8
    }

    /// The class as a data set describes it.
    #[must_use]
    pub fn describe(self) -> Class {
        let (name, kind, color) = match self {
            Self::Sky => ("sky", Kind::Stuff, [128, 128, 128]),
            Self::Building => ("building", Kind::Stuff, [128, 0, 0]),
            Self::Pole => ("pole", Kind::Object, [192, 192, 128]),
            Self::Road => ("road", Kind::Stuff, [128, 64, 128]),
            Self::Pavement => ("pavement", Kind::Stuff, [60, 40, 222]),
            Self::Tree => ("tree", Kind::Stuff, [128, 128, 0]),
            Self::Sign => ("sign", Kind::Object, [192, 128, 128]),
            Self::Fence => ("fence", Kind::Stuff, [64, 64, 128]),
            Self::Car => ("car", Kind::Object, [64, 0, 128]),
            Self::Pedestrian => ("pedestrian", Kind::Object, [64, 64, 0]),
            Self::Bicyclist => ("bicyclist", Kind::Object, [0, 128, 192]),
        };
        Class {
            index: self.label(),
            name: name.to_owned(),
            kind,
            color,
        }
    }
}

/// A rendered street with its ground truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// The picture.
    pub photo: RgbImage,
    /// Label values of [`SceneClass`].
    pub labels: LabelMap,
}

impl Scene {
    /// Renders a random street.
    ///
    /// # Panics
    /// When `width` or `height` is 0.
    #[must_use]
    pub fn render(width: u32, height: u32, seed: u64) -> Self {
        assert!(width > 0 && height > 0, "a scene has pixels");
        street::paint(width, height, seed).develop(seed)
    }

    /// The sample scene.
    #[must_use]
    pub fn sample() -> Self {
        Self::render(SAMPLE_SIZE.0, SAMPLE_SIZE.1, SAMPLE_SEED)
    }
}

/// The description of a data set of rendered scenes.
#[must_use]
pub fn description() -> Description {
    Description {
        name: "scenes".to_owned(),
        source: "rendered by cfm-sim".to_owned(),
        license: "MIT OR Apache-2.0".to_owned(),
        ignore: Some(IGNORE),
        classes: SceneClass::ALL.map(SceneClass::describe).to_vec(),
    }
}

/// Writes a data set of rendered scenes: for each `(name, count)` a split with that many images of `size` (width,
/// height), numbered seeds from `seed` on.
///
/// # Errors
/// When a file cannot be written.
pub fn write_dataset(
    root: &Path,
    splits: &[(&str, u64)],
    size: (u32, u32),
    seed: u64,
) -> io::Result<()> {
    let (images, labels) = (root.join("images"), root.join("labels"));
    fs::create_dir_all(&images)?;
    fs::create_dir_all(&labels)?;
    let mut next = seed;
    for (name, count) in splits {
        let mut ids = String::new();
        for _ in 0..*count {
            let id = format!("scene{next:05}");
            let scene = Scene::render(size.0, size.1, next);
            output::write_picture(&images.join(format!("{id}.png")), &scene.photo)
                .map_err(io::Error::other)?;
            scene
                .labels
                .save(&labels.join(format!("{id}.png")))
                .map_err(io::Error::other)?;
            ids.push_str(&id);
            ids.push('\n');
            next += 1;
        }
        output::write(&root.join(format!("{name}.txt")), ids.as_bytes())?;
    }
    // A folder without it is no data set.
    let text = toml::to_string(&description()).map_err(io::Error::other)?;
    output::write(&root.join("dataset.toml"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;

    #[test]
    fn label_values_are_the_positions() {
        for (position, class) in SceneClass::ALL.iter().enumerate() {
            assert_eq!(usize::from(class.label()), position);
        }
    }

    #[test]
    fn a_seed_decides_everything() {
        let scene = Scene::render(60, 45, 3);
        assert_eq!(scene, Scene::render(60, 45, 3));
        assert_ne!(scene, Scene::render(60, 45, 4));
    }

    #[test]
    fn scenes_hold_what_streets_hold() {
        let mut seen = [0_usize; 12];
        for seed in 0..20 {
            let scene = Scene::render(120, 90, seed);
            let mut shares = [0_usize; 12];
            for &label in scene.labels.labels() {
                shares[usize::from(label)] += 1;
            }
            for class in [
                SceneClass::Sky,
                SceneClass::Road,
                SceneClass::Building,
                SceneClass::Pavement,
            ] {
                let share = shares[usize::from(class.label())];
                assert!(share > 120 * 90 / 100, "seed {seed}: {class:?} {share}");
            }
            for (total, share) in seen.iter_mut().zip(shares) {
                *total += share;
            }
        }
        for class in SceneClass::ALL {
            assert!(seen[usize::from(class.label())] > 0, "{class:?}");
        }
    }

    #[test]
    fn the_sample_holds_most_classes() {
        let scene = Scene::sample();
        let present = SceneClass::ALL
            .iter()
            .filter(|class| scene.labels.labels().contains(&class.label()))
            .count();
        assert!(present >= 9, "{present}");
    }

    #[test]
    fn absurd_sizes_render() {
        for (width, height) in [(1, 1), (1, 40), (40, 1), (3, 2)] {
            let scene = Scene::render(width, height, 5);
            assert_eq!(scene.photo.dimensions(), (width, height));
            assert_eq!(scene.labels.labels().len() as u32, width * height);
        }
    }

    #[test]
    fn written_data_sets_read_back() {
        let folder = tempfile::tempdir().unwrap();
        write_dataset(folder.path(), &[("train", 2), ("val", 1)], (48, 36), 7).unwrap();
        let dataset = Dataset::open(folder.path()).unwrap();
        assert_eq!(dataset.description(), &description());
        assert_eq!(
            dataset.split("train").unwrap(),
            ["scene00007", "scene00008"]
        );
        assert_eq!(dataset.split("val").unwrap(), ["scene00009"]);
        let sample = dataset.sample("scene00009").unwrap();
        let scene = Scene::render(48, 36, 9);
        assert_eq!((sample.photo, sample.labels), (scene.photo, scene.labels));
    }
}
