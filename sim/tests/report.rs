//! The page of `cfm report`: whole, self-contained, safe, and true.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cfm_core::model::Model;
use cfm_model::random::{Options, random_model};
use cfm_model::spec::ModelSpec;
use cfm_sim::float_network::FloatNetwork;
use cfm_sim::inspect::inspect;
use cfm_sim::model_file::ModelFile;
use cfm_sim::parity::{Difference, Naming, check};
use cfm_sim::photo;
use cfm_sim::pipeline::Pipeline;
use cfm_sim::report::{Subject, html, measure};
use cfm_sim::scene::Scene;
use cfm_sim::trace::Inputs;
use common::{cfm, json, output, refusal, write_model, write_photo};

/// Elements of HTML and SVG that have no end tag.
const VOID: [&str; 5] = ["meta", "img", "input", "br", "link"];

/// The names of a page's elements in their order, after checking that they are nested properly and that every attribute
/// is quoted or has no value.
#[track_caller]
fn elements(page: &str) -> Vec<String> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    let (mut names, mut open) = (Vec::new(), Vec::<String>::new());
    while let Some((text, after)) = rest.split_once('<') {
        let raw = matches!(open.last().map(String::as_str), Some("style" | "script"));
        assert!(raw || !text.contains('>'), "a stray > in {text:?}");
        let (tag, after) = after.split_once('>').expect("a closed tag");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "near {}", names.len());
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split(' ').next().unwrap_or_default().to_owned();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{tag}");
        if !VOID.contains(&&name[..]) {
            open.push(name.clone());
        }
        names.push(name);
    }
    assert_eq!((open.len(), rest), (0, ""));
    names
}

/// The values of an attribute, unescaped as far as identifiers need it.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let start = format!(" {name}=\"");
    page.split(&start[..])
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0))
        .collect()
}

/// The text of a page without its tags.
fn text(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<').skip(1) {
        text += part.split_once('>').map_or("", |(_, text)| text);
    }
    text.replace('\u{a0}', " ")
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("a page")
}

#[test]
fn pages_are_whole_and_self_contained() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    write_photo(root, 100, 75);
    output(root, &["report", "photo100x75.png", "--model", "tiny.cfm"]);
    let page = read(root, "report.html");
    let names = elements(&page);
    for (name, least) in [
        ("h1", 1),
        ("main", 1),
        ("nav", 1),
        ("section", 6),
        ("table", 6),
        ("svg", 20),
    ] {
        let count = names.iter().filter(|found| *found == name).count();
        assert!(count >= least, "{count} of {name}");
    }

    // Nothing is loaded: every source is in the page, every link leads into it.
    let lower = page.to_ascii_lowercase();
    for outside in [
        "http:", "https:", "//", "url(", "@import", "srcset", "<link", "<iframe", " on",
    ] {
        let found = lower
            .match_indices(outside)
            .filter(|(at, _)| !in_data_uri(&page, *at))
            .filter(|(at, _)| outside != " on" || is_handler(&lower[*at..]))
            .count();
        assert_eq!(found, 0, "{outside}");
    }
    for source in attributes(&page, "src") {
        assert!(source.starts_with("data:image/"), "{source}");
    }
    let ids = attributes(&page, "id");
    for link in attributes(&page, "href") {
        let inside = link.strip_prefix('#').map(|id| ids.contains(&id));
        assert!(inside.unwrap_or(link.starts_with("data:image/")), "{link}");
    }
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
    for reference in ["for", "aria-labelledby"]
        .iter()
        .flat_map(|name| attributes(&page, name))
    {
        assert!(ids.contains(&reference), "{reference}");
    }
    for section in [
        "result",
        "segments",
        "parity",
        "quantization",
        "cost",
        "model",
    ] {
        assert!(ids.contains(&section), "{section}");
    }
    assert!(!ids.contains(&"accuracy"));
}

fn in_data_uri(page: &str, at: usize) -> bool {
    page[..at]
        .rsplit_once('"')
        .is_some_and(|(_, value)| value.starts_with("data:image/"))
}

/// Whether ` onclick="` and the like begin here.
fn is_handler(page: &str) -> bool {
    let name: String = page[1..]
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    page[1 + name.len()..].starts_with('=')
}

#[test]
fn numbers_are_those_of_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let photo_path = write_photo(root, 100, 75);
    let arguments = ["report", "photo100x75.png", "--model", "tiny.cfm", "--json"];
    let report = json(root, &arguments);
    let page = read(root, "report.html");
    assert_eq!(report["bytes"], page.len());
    let text = text(&page);

    let file = ModelFile::open(Some(&root.join("tiny.cfm"))).unwrap();
    let model = file.parse().unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let photo = photo::open(&photo_path).unwrap();
    let segmentation = pipeline.segment(&photo).unwrap();
    for (class, share) in segmentation
        .shares(model.class_count())
        .into_iter()
        .enumerate()
    {
        assert_eq!(report["classes"][class]["share"], share);
        if share > 0.0 {
            assert!(text.contains(&format!("{:.1} %", 100.0 * share)), "{share}");
        }
    }
    let parity = Inputs::of_photo(&pipeline, &photo, |inputs| {
        check(&model, inputs, Naming::Layers)
    });
    let parity = parity.unwrap().unwrap();
    assert_eq!(report["parity"], serde_json::to_value(&parity).unwrap());
    let grouped = |n: u64| {
        let digits = n.to_string();
        let groups: Vec<&str> = digits
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|g| std::str::from_utf8(g).unwrap())
            .collect();
        groups.join(",")
    };
    let verdict = format!(
        "{} numbers in {} tensors compared: 0 differ.",
        grouped(parity.elements()),
        parity.tensors.len()
    );
    assert!(text.contains(&verdict), "{verdict}");

    let inspection = inspect(&model);
    assert_eq!(
        report["inspection"],
        serde_json::to_value(&inspection).unwrap()
    );
    assert!(text.contains(&format!("{:08x}", model.fingerprint())));
    assert!(text.contains(&grouped(model.arena_bytes() as u64)));
    assert_eq!(report["arena"]["bytes"], model.arena_bytes());
    let noise = report["noise"]["measured"]["layers"].as_array().unwrap();
    // All layers, and the logits.
    let fully_connected = inspection.head.layers.len();
    assert_eq!(noise.len(), inspection.layers.len() + fully_connected);
    assert_eq!(report["values"].as_array().unwrap().len(), noise.len() - 1);
    for layer in noise {
        let sqnr = layer["sqnr_db"].as_f64().unwrap();
        assert!(
            sqnr > 0.0 && text.contains(&format!("{sqnr:.1} dB")),
            "{layer}"
        );
    }
    let network = FloatNetwork::new(&model, file.float().unwrap()).unwrap();
    let float = pipeline.segment_float(&network, &photo).unwrap();
    let pairs = float.labels().iter().zip(segmentation.labels.labels());
    let same = pairs.clone().filter(|(a, b)| a == b).count() as f64 / pairs.count() as f64;
    assert_eq!(report["noise"]["measured"]["same_labels"], same);
    assert!(text.contains(&format!("gives {:.2} % of the pixels", 100.0 * same)));
    // As many values as the tensors that were compared have elements.
    for (values, tensor) in report["values"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&parity.tensors[1..])
    {
        if tensor.name.starts_with("layer") {
            assert_eq!(values["total"], tensor.elements, "{}", tensor.name);
        }
    }
}

#[test]
fn shown_segments_are_what_the_core_computes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let photo_path = write_photo(root, 100, 75);
    let report = json(
        root,
        &["report", "photo100x75.png", "--model", "tiny.cfm", "--json"],
    );
    let shown = report["shown"].as_array().unwrap();
    assert!(!shown.is_empty() && shown.len() <= 12);
    let bytes = fs::read(root.join("tiny.cfm")).unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let photo = photo::open(&photo_path).unwrap();
    Inputs::of_photo(&pipeline, &photo, |inputs| {
        let trace = cfm_sim::core_trace::trace(&model, inputs).unwrap();
        for segment in shown {
            let traced = &trace.segments[segment["index"].as_u64().unwrap() as usize];
            assert_eq!(segment["area"], traced.area);
            let best = &segment["scores"][0];
            let largest = traced.probabilities.iter().max().unwrap();
            assert_eq!(
                best["score"].as_f64().unwrap(),
                f64::from(*largest) / 65536.0
            );
            let class = best["class"].as_u64().unwrap() as usize;
            assert_eq!(traced.probabilities[class], *largest);
        }
    })
    .unwrap();
}

#[test]
fn every_kind_of_model_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("random.cfm");
    let mut kinds = BTreeSet::new();
    for seed in 0..40 {
        let options = Options {
            rgb_only: true,
            ..Options::default()
        };
        let spec = random_model(seed, &options);
        fs::write(&path, spec.to_bytes().unwrap()).unwrap();
        let file = ModelFile::open(Some(&path)).unwrap();
        let model = file.parse().unwrap();
        // Random models have labelling rules for maps that their proposals do not make.
        let Ok(pipeline) = Pipeline::new(&model) else {
            continue;
        };
        let photo = Scene::render(40, 30, seed).photo;
        let subject = Subject {
            name: "scene".to_owned(),
            photo: &photo,
            file: &file,
            command: Vec::new(),
            times: false,
            evaluation: None,
        };
        let mut report = measure(subject, &pipeline, |_| ()).unwrap();
        assert!(report.is_exact(), "seed {seed}");
        elements(&html(&report));
        let shares: f64 = report
            .classes
            .iter()
            .filter(|class| class.kind != "background")
            .map(|class| class.share)
            .sum();
        assert!((shares + report.unlabelled - 1.0).abs() < 1e-9);
        let head = &report.inspection.head;
        kinds.insert((head.design, head.classifier));

        // A page does not hide a difference.
        assert!(!text(&html(&report)).contains("differ:"));
        report.parity.tensors[1].mismatches = 3;
        report.parity.tensors[1].first = Some(Difference {
            segment: None,
            position: vec![1, 2, 3],
            core: Some(-4),
            reference: Some(5),
        });
        let page = html(&report);
        elements(&page);
        let text = text(&page);
        for words in [
            "✗ differs",
            "do not trust this result",
            "✗ 3 of ",
            "first at [1, 2, 3]: core -4, reference 5",
        ] {
            assert!(text.contains(words), "{words}");
        }
        assert!(!text.contains("✓ exact") && !text.contains("computes exactly"));
    }
    assert_eq!(kinds.len(), 6, "{kinds:?}");
}

#[test]
fn without_times_the_same_page_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let arguments = ["report", "--model", "tiny.cfm", "--no-times"];
    output(root, &arguments);
    let first = read(root, "report.html");
    output(root, &arguments);
    assert!(first == read(root, "report.html"));
    assert!(first.contains("Times were left out") && !text(&first).contains(" ms"));
}

#[test]
fn hostile_names_are_only_text() {
    const HOSTILE: &str = "<script>alert('&\"')</script>";
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let model = write_model(root);
    let mut spec = ModelSpec::from_bytes(&fs::read(&model).unwrap()).unwrap();
    for class in &mut spec.classes {
        class.name += HOSTILE;
    }
    spec.provenance.push(("key".to_owned(), HOSTILE.to_owned()));
    let name = "<img src=x onerror=alert(1)>&'.png";
    fs::write(root.join("a.cfm"), spec.to_bytes().unwrap()).unwrap();
    fs::rename(write_photo(root, 60, 45), root.join(name)).unwrap();
    output(root, &["report", name, "--model", "a.cfm"]);
    let page = read(root, "report.html");
    let names = elements(&page);
    assert_eq!(names.iter().filter(|name| *name == "script").count(), 1);
    assert!(
        !page.contains("<img src=x") && !page.contains("<script>alert"),
        "not escaped"
    );
    assert!(page.contains("&lt;script&gt;alert('&amp;&quot;')&lt;/script&gt;"));
    // There are no float weights beside this model, which the page says.
    assert!(text(&page).contains("Not compared with the float network"));
}

#[test]
fn accuracy_is_that_of_eval() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let data = root.join("data");
    cfm_sim::scene::write_dataset(&data, &[("val", 3)], (64, 48), 5).unwrap();
    let eval = json(
        root,
        &[
            "eval", "data", "--images", "2", "--model", "tiny.cfm", "--json",
        ],
    );
    let report = json(
        root,
        &[
            "report",
            "--dataset",
            "data:val",
            "--images",
            "2",
            "--model",
            "tiny.cfm",
            "--json",
        ],
    );
    for key in [
        "images",
        "miou",
        "class_accuracy",
        "global_accuracy",
        "fwiou",
        "class_iou",
    ] {
        assert_eq!(report["evaluation"][key], eval[key], "{key}");
    }
    let page = read(root, "report.html");
    elements(&page);
    let miou = format!("{:.1} %", 100.0 * eval["miou"].as_f64().unwrap());
    assert!(text(&page).contains(&miou) && attributes(&page, "id").contains(&"accuracy"));
}

#[test]
fn bad_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    fs::write(root.join("broken.png"), b"not a picture").unwrap();
    for (arguments, says) in [
        (&["report", "none.png"][..], "none.png"),
        (&["report", "broken.png"], "broken.png"),
        (&["report", "--dataset", "nowhere"], "nowhere"),
        (
            &[
                "report",
                "--model",
                "tiny.cfm",
                "--out",
                "no/such/folder.html",
            ],
            "no/such/folder.html",
        ),
    ] {
        let message = refusal(root, arguments);
        assert!(message.contains(says), "{message}");
    }
    cfm(root, &["report", "--images", "3"]).assert().code(2);
    assert!(!root.join("report.html").exists());
}
