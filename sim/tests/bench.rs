//! `cfm bench` times what it says.

mod common;

use common::{json, output, refusal, write_model, write_photo};

#[test]
fn every_contestant_is_timed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    write_photo(root, 100, 75);
    let arguments = [
        "bench",
        "photo100x75.png",
        "--model",
        "tiny.cfm",
        "--segments",
        "3",
        "--rounds",
        "2",
    ];
    let report = json(root, &[&arguments[..], &["--json"]].concat());
    assert_eq!(report["segments"], 3);
    let races = report["races"].as_array().unwrap();
    assert_eq!(races.len(), 3);
    for race in races {
        let timings = race["timings"].as_array().unwrap();
        assert!(timings.len() >= 2);
        assert_eq!(timings[0]["ratio"], 1.0);
        for timing in timings {
            let time = |key: &str| timing[key].as_f64().unwrap();
            assert_eq!(timing["runs"], 2);
            assert!(time("best_milliseconds") > 0.0);
            assert!(time("best_milliseconds") <= time("median_milliseconds"));
        }
    }
    let text = output(root, &arguments);
    assert!(text.contains("image masked: 3 convolutions"), "{text}");
}

#[test]
fn python_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let message = refusal(
        root,
        &[
            "bench",
            "--model",
            "tiny.cfm",
            "--rounds",
            "1",
            "--peers",
            "no-such-python",
        ],
    );
    assert!(message.contains("no-such-python"), "{message}");
}
