//! Writes small inputs of every kind to start from into `corpus/`, made of random models and rendered scenes. What was found
//! by fuzzing stays there.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use cfm_core::model::{LabellingRule, Model};
use cfm_fuzz::targets::side_files;
use cfm_model::onnx::export::{Format, export};
use cfm_model::random::{Options, random_model};
use cfm_sim::built_in;
use cfm_sim::eval_part::{Part, Photographs, Plan, Shard};
use cfm_sim::evaluate::ClassMatch;
use cfm_sim::label_map::LabelMap;
use cfm_sim::labelling::RuleSpec;
use cfm_sim::proposal_config::Preset;
use cfm_sim::scene::{self, Scene};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SMALL: Options = Options {
    max_side: 10,
    max_channels: 6,
    max_layers: 5,
    max_classes: 5,
    max_macs: 3_000,
    rgb_only: false,
};

fn main() -> Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    models(&folder(&corpus, "model_parser")?)?;
    executor(&folder(&corpus, "executor")?)?;
    segments(&folder(&corpus, "segments")?)?;
    networks(&folder(&corpus, "onnx_import")?)?;
    images(&folder(&corpus, "image_decoding")?)?;
    engines(&folder(&corpus, "register_protocol")?)?;
    side_files(&folder(&corpus, "side_files")?)?;
    Ok(())
}

fn folder(corpus: &Path, target: &str) -> Result<PathBuf> {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Bytes without any structure, the same every time.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}

/// A byte that says whether to repair the checksum, and the model.
fn models(folder: &Path) -> Result<()> {
    const LONGEST: usize = 4096;
    for seed in 0..32 {
        let model = random_model(seed, &SMALL).to_bytes()?;
        if model.len() <= LONGEST {
            let path = folder.join(format!("random-{seed}"));
            fs::write(path, [&[1], &model[..]].concat())?;
        }
    }
    Ok(())
}

/// Seed, bounds of the model, pixels.
fn executor(folder: &Path) -> Result<()> {
    for seed in 0..16_u64 {
        let mut bytes = seed.to_le_bytes().to_vec();
        bytes.extend(noise(seed as u32 + 1, 4 + 24));
        fs::write(folder.join(format!("seed-{seed}")), bytes)?;
    }
    Ok(())
}

/// A byte that says what it is, and a file or arbitrary segments.
fn segments(folder: &Path) -> Result<()> {
    let scene = Scene::render(24, 18, 5);
    let labels: Vec<u8> = scene.photo.pixels().map(|pixel| pixel[1] / 40).collect();
    let mut png = vec![1];
    LabelMap::new(24, 18, labels)?.encode(&mut png)?;
    fs::write(folder.join("label-map"), png)?;

    let lists = br#"{"annotations": [
        {"image_id": 1, "score": 0.5, "segmentation": {"size": [4, 5], "counts": [3, 7, 10]}},
        {"image_id": 1, "score": 0.9, "segmentation": {"size": [4, 5], "counts": [0, 20]}}]}"#;
    fs::write(folder.join("coco-lists"), [b"\x02", &lists[..]].concat())?;
    let compressed = br#"[{"size": [4, 5], "counts": "37:"}]"#;
    let path = folder.join("coco-compressed");
    fs::write(path, [b"\x02", &compressed[..]].concat())?;

    let masks: Vec<u8> = noise(3, 60).iter().map(|byte| byte & 1).collect();
    for (name, kind, fortran, shape, values) in [
        ("masks", "|b1", "False", "(3, 4, 5)", &masks),
        ("masks-by-columns", "|u1", "True", "(3, 4, 5)", &masks),
        ("logits", "<i2", "False", "(6, 5)", &noise(4, 60)),
    ] {
        let mut file = vec![if name == "logits" { 4 } else { 3 }];
        file.extend(b"\x93NUMPY\x01\x00\x76\x00");
        let header =
            format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        file.extend(format!("{header:117}\n").bytes());
        file.extend(values);
        fs::write(folder.join(name), file)?;
    }

    for seed in 1..9 {
        let mut bytes = noise(seed, 200);
        bytes[0] = 0;
        fs::write(folder.join(format!("arbitrary-{seed}")), bytes)?;
    }
    Ok(())
}

/// The shortest of some random models as every kind of ONNX file. `tests/onnx` has what other programs write.
fn networks(folder: &Path) -> Result<()> {
    let models: std::result::Result<Vec<_>, _> = (0..32)
        .map(|seed| random_model(seed, &SMALL))
        .filter(|spec| spec.layers.len() >= 2)
        .map(|spec| spec.to_bytes())
        .collect();
    let bytes = models?.into_iter().min_by_key(Vec::len);
    let bytes = bytes.ok_or("no model has two layers")?;
    let model = Model::parse(&bytes)?;
    for format in Format::ALL {
        for (name, file) in export(&model, format)?.all() {
            let path = folder.join(format!("{}-{name}", format.name()));
            fs::write(path, file.to_bytes())?;
        }
    }
    Ok(())
}

/// A scene in every format that is read.
fn images(folder: &Path) -> Result<()> {
    let scene = Scene::render(16, 12, 2);
    for ending in ["png", "jpg", "bmp", "ppm"] {
        scene.photo.save(folder.join(format!("scene.{ending}")))?;
    }
    let mut stream = fs::read(folder.join("scene.ppm"))?;
    stream.extend(b"P5 # grey\n3 2\n255\nabcdef");
    fs::write(folder.join("stream.ppm"), stream)?;
    fs::write(folder.join("text.ppm"), "P3\n2 1\n7\n1 2 3 4 5 6\n")?;
    fs::write(folder.join("bits.pbm"), b"P4\n9 2\n\x55\x80\xaa\x00")?;
    let labels = (0..16 * 12).map(|i| i as u8 % 5).collect();
    LabelMap::new(16, 12, labels)?.save(&folder.join("labels.png"))?;
    Ok(())
}

/// Arbitrary faults and answers.
fn engines(folder: &Path) -> Result<()> {
    for seed in 1..25 {
        let path = folder.join(format!("arbitrary-{seed}"));
        fs::write(path, noise(seed, 40 * seed as usize))?;
    }
    Ok(())
}

/// A byte that says what it is, and the file.
fn side_files(folder: &Path) -> Result<()> {
    let (network, like) = &*side_files::NETWORK;
    let scene = scene::description();
    let classes = ClassMatch::new(&Model::parse(built_in::STREET.cfm)?, &scene)?;
    let ids = ["one", "two"].map(str::to_owned);
    let photographs = Photographs::new(&scene, "val", &ids);
    let plan = Plan::new(
        b"a model",
        vec![RuleSpec(LabellingRule::DEFAULT)],
        photographs,
        &classes,
    );
    let part = folder.join("part");
    Part::new(plan, Shard::new(1, 1)?, &ids).save(&part)?;
    let part = fs::read(part)?;
    let dataset =
        b"name = \"n\"\nignore = 255\n[[class]]\nindex = 3\nname = \"sky\"\n\x0cone\n# no\n two \n";
    // Fingerprint, folding, image, row, classes, a block, the instance, and three words; the target makes the checksum.
    let header = [7, 8 | 10 << 8, 3 | 4 << 16, 12, 5, 1];
    let instance = [4096, 256, 1024, 4096, 256, 16 | 3 << 16];
    let words = [header, instance, [0, 64, 3, 1, 2, 3]].concat();
    let engine: Vec<u8> = words
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();
    let engine = [&b"CFF2\0\0\0\0"[..], &engine].concat();
    for (name, choice, bytes) in [
        ("float-weights", 0, &network.to_safetensors(like)?[..]),
        ("dataset", 1, dataset),
        ("part", 4, &part),
        ("engine", 6, &engine),
    ] {
        fs::write(folder.join(name), [&[choice], bytes].concat())?;
    }
    for preset in Preset::ALL {
        let config = preset.config();
        let text = toml::to_string(&config)?;
        let name = preset.name();
        fs::write(
            folder.join(format!("toml-{name}")),
            [b"\x02", text.as_bytes()].concat(),
        )?;
        let mut bytes = config.params()?.to_bytes().to_vec();
        bytes.insert(0, 3);
        bytes.extend(noise(1, 60));
        fs::write(folder.join(format!("params-{name}")), bytes)?;
    }
    Ok(())
}
