//! The exported integers compute what the fake quantizer computed, and the float weights survive the file.
#![allow(missing_docs)]

mod common;

use burn::tensor::{Device, Tensor};
use cfm_core::executor::Executor;
use cfm_core::image::ImageView;
use cfm_core::model::Model;
use cfm_model::float_model::FloatModel;
use cfm_sim::dataset::Dataset;
use cfm_train::data;
use cfm_train::export::{float_model, to_cfm, write};
use cfm_train::network::image_tensor;
use cfm_train::train_loop::Outcome;

#[test]
fn integers_equal_the_fake_quantizer() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    common::render(&data);
    let mut config = common::config();
    config.validate_every = 1;
    let outcome = common::run(&data, &config, &folder.path().join("run"), &|_| false);
    let Outcome::Trained(trained) = outcome else {
        panic!("stopped")
    };
    assert!(trained.validation.is_some());
    let dataset = Dataset::open(&data).unwrap();
    let provenance = vec![("seed".to_owned(), "1".to_owned())];
    let exported = float_model(
        &trained.network,
        &trained.exponents,
        &config,
        dataset.description(),
        provenance,
    )
    .unwrap();

    let path = folder.path().join("model.cfm");
    let weights = write(&exported, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes, to_cfm(&exported).unwrap());
    let read = FloatModel::read_safetensors(&bytes, &weights).unwrap();
    assert_eq!(read, exported);

    let model = Model::parse(&bytes).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    for photo in data::read(
        &dataset,
        dataset.split("train").unwrap(),
        config.input,
        true,
    )
    .unwrap()
    {
        let image = ImageView::rgb(&photo.pixels, 48, 36).unwrap();
        let mut executor = Executor::new(&model, &mut arena).unwrap();
        executor.push_image(&image).unwrap();
        let (features, _) = executor.finish().unwrap();
        let images = image_tensor(&[&photo.pixels], 48, 36, &Device::flex());
        let fake: Tensor<4> = trained.network.features(images, Some(&trained.exponents));
        let fake: Vec<f32> = fake.permute([0, 2, 3, 1]).try_into_vec_as().unwrap();
        let step = 2f32.powi(*trained.exponents.activations.last().unwrap());
        assert_eq!(fake.len(), features.data().len());
        for (&q, &value) in features.data().iter().zip(&fake) {
            assert_eq!((f32::from(q) + 128.0) * step, value);
        }
    }
}
