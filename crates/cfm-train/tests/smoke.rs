//! The documented way to train `street`, cut down to seconds: on streets that the simulator renders, smaller and for
//! fewer epochs, from pixels to the exported model, which the integer core then runs on streets it has not seen.
#![allow(missing_docs)]

mod common;

use std::path::Path;

use cfm_sim::dataset::Dataset;
use cfm_sim::scene;
use cfm_train::config::Config;
use cfm_train::export;
use cfm_train::measure::measure;
use cfm_train::train_loop::Outcome;

const SIZE: (u32, u32) = (120, 90);

#[test]
fn street_learns_rendered_streets() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    scene::write_dataset(&data, &[("train", 32), ("val", 12)], SIZE, 100).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/street.toml");
    let settings = [
        "input.width=120",
        "input.height=90",
        "float.epochs=7",
        "float.dense_epochs=3",
        "quantized.epochs=1",
        "quantized.calibration_images=8",
        "validate_every=0",
    ]
    .map(str::to_owned);
    let config = Config::read(Some(&path), &settings).unwrap();
    let outcome = common::run(&data, &config, &folder.path().join("run"), &|_| false);
    let Outcome::Trained(trained) = outcome else {
        panic!("the run was stopped");
    };
    let dataset = Dataset::open(&data).unwrap();
    let model = export::float_model(
        &trained.network,
        &trained.exponents,
        &config,
        dataset.description(),
        Vec::new(),
    )
    .unwrap();
    let unseen = dataset.split("val").unwrap();
    let measured = measure(&model, &dataset, &unseen, || ()).unwrap();
    let (int8, float) = (&measured.int8, &measured.float);
    assert!(int8.global_accuracy > 0.8, "{}", int8.global_accuracy);
    assert!(int8.miou > 0.4, "{}", int8.miou);
    assert!((int8.miou - float.miou).abs() < 0.05, "{}", float.miou);
}
