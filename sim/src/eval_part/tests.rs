//! Cutting and putting together; the command's tests run whole evaluations.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::built_in::STREET;
use crate::evaluate::{ClassMatch, EvaluateError};
use crate::labelling::RuleSpec;
use crate::scene;
use cfm_core::model::{LabellingRule, Model};

const RULES: [RuleSpec; 2] = [
    RuleSpec(LabellingRule::DEFAULT),
    RuleSpec(LabellingRule::PASTE),
];

static CLASSES: LazyLock<ClassMatch> = LazyLock::new(|| {
    let model = Model::parse(STREET.cfm).unwrap();
    ClassMatch::new(&model, &scene::description()).unwrap()
});

fn plan(ids: &[String]) -> Plan {
    let photographs = Photographs::new(&scene::description(), "val", ids);
    Plan::new(b"a model", RULES.to_vec(), photographs, &CLASSES)
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("image{i}")).collect()
}

/// What measuring an image of this seed might show: the same pixels under both rules.
fn shown(seed: u64) -> Vec<Confusion> {
    let rule = |rule: u64| {
        let mut confusion = Confusion::new(scene::SceneClass::ALL.len());
        confusion.add((0..50_u64).map(|pixel| {
            let truth = (pixel * 7 + seed) % 11;
            let given = (pixel * (3 + rule) + seed * seed) % 12;
            (Some(truth as usize), (given < 11).then_some(given as usize))
        }));
        confusion
    };
    vec![rule(0), rule(1)]
}

/// A finished shard.
fn part(ids: &[String], shard: Shard, bad: impl Fn(usize) -> bool) -> (String, Part) {
    let mut part = Part::new(plan(ids), shard, ids);
    let range = shard.range(ids.len());
    // In no particular order.
    for position in (0..range.len()).rev() {
        let at = range.start + position;
        let result = if bad(at) {
            Err(format!("{at} is broken"))
        } else {
            Ok(shown(at as u64))
        };
        part.record(position, result);
    }
    (format!("part{}", shard.index()), part)
}

fn parts(count: usize, shards: u32, bad: impl Fn(usize) -> bool) -> Vec<(String, Part)> {
    let ids = ids(count);
    (1..=shards)
        .map(|index| part(&ids, Shard::new(index, shards).unwrap(), &bad))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_cut_gives_the_same(
        count in 1..40_usize, shards in 1..50_u32, bad in 2..9_usize, rotation in 0..50_usize,
    ) {
        let bad = |at: usize| at % bad == 1;
        let whole = merge(parts(count, 1, bad)).unwrap();
        let mut cut = parts(count, shards, bad);
        cut.rotate_left(rotation % shards as usize);
        let cut = merge(cut).unwrap();
        prop_assert_eq!(&cut, &whole);
        prop_assert_eq!(cut.evaluations[0].1.images + cut.skipped.len(), count);
        prop_assert!(cut.skipped.iter().all(|skipped| skipped.reason.ends_with("is broken")));
    }

    #[test]
    fn shards_are_a_partition(length in 0..1000_usize, count in 1..2000_u32) {
        let mut next = 0;
        for index in 1..=count {
            let range = Shard::new(index, count).unwrap().range(length);
            prop_assert_eq!(range.start, next);
            let least = length / count as usize;
            prop_assert!(range.len() == least || range.len() == least + 1);
            next = range.end;
        }
        prop_assert_eq!(next, length);
    }
}

fn refusal(parts: Vec<(String, Part)>) -> String {
    merge(parts).unwrap_err().to_string()
}

#[test]
fn what_does_not_fit_is_named() {
    let good = |shards| parts(10, shards, |_| false);
    let mut missing = good(4);
    missing.remove(2);
    assert_eq!(refusal(missing), "no part is shard 3/4");
    let few = good(20).split_off(18);
    let text = "no part is shard 1/20, 2/20, 3/20, 4/20, 5/20, 6/20, 7/20, 8/20 ...";
    assert_eq!(refusal(few), text);
    let mut twice = good(3);
    twice[0] = ("again".to_owned(), twice[1].1.clone());
    assert_eq!(refusal(twice), "again and part2 are both shard 2/3");
    let mut other = good(3);
    other[2] = good(4).remove(3);
    assert_eq!(refusal(other), "part4 is one of 4 shards, part1 one of 3");
    let mut unfinished = good(3);
    unfinished[1].1.images[0].state = State::Pending;
    let text = "part2, shard 2/3: 1 of 3 images are not measured yet; run it again";
    assert_eq!(refusal(unfinished), text);
    let mut renamed = good(3);
    renamed[1].1.images[0].id.push('x');
    assert_eq!(
        refusal(renamed),
        "the parts' images are not those of the split"
    );
    assert_eq!(refusal(Vec::new()), "there is no part");
    assert!(matches!(
        merge(parts(3, 1, |_| true)),
        Err(MergeError::Measure(EvaluateError::NoTruth))
    ));
}

#[test]
fn other_plans_are_refused_and_the_difference_named() {
    type Change = fn(&mut Plan);
    let changes: [(Change, &str); 9] = [
        (
            |p| p.program = "cfm 0".to_owned(),
            "by another version of the program: cfm 0 instead of",
        ),
        (
            |p| p.model = Fingerprint::of(b"123456789"),
            "of another model: 9 bytes, CRC-32 cbf43926",
        ),
        (
            |p| p.float = Some(Fingerprint::of(b"")),
            "of another network: float weights of",
        ),
        (
            |p| p.labelling.swap(0, 1),
            "with other labelling rules: paste and vote",
        ),
        (
            |p| p.photographs.dataset = "z".to_owned(),
            "on another data set: z instead of scenes",
        ),
        (
            |p| p.photographs.description = Fingerprint::of(b""),
            "scenes with another dataset.toml",
        ),
        (
            |p| p.photographs.split = "test".to_owned(),
            "on another split: test instead of val",
        ),
        (
            |p| p.photographs.count = 7,
            "on other photographs: 7 instead of 6",
        ),
        (
            |p| p.photographs.ids = Fingerprint::of(b""),
            "or with other IDs",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.json");
    for (change, text) in changes {
        let mut two = parts(6, 2, |_| false);
        change(&mut two[1].1.plan);
        let error = refusal(two);
        assert!(
            error.starts_with("part2 is not of the same evaluation as part1: it is "),
            "{error}"
        );
        assert!(error.contains(text), "{error}");

        // The same for going on with a file.
        let ids = ids(6);
        let (_, mut part) = part(&ids, Shard::WHOLE, |_| false);
        let own = part.plan.clone();
        change(&mut part.plan);
        if part.plan.photographs.count == 6 {
            part.save(&path).unwrap();
            let error = Part::resume(&path, own, Shard::WHOLE, &ids)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("a part of another evaluation") && error.contains(text),
                "{error}"
            );
        }
    }
}

#[test]
fn going_on_tries_the_skipped_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.json");
    let ids = ids(6);
    let shard = Shard::new(2, 2).unwrap();
    let fresh = Part::resume(&path, plan(&ids), shard, &ids).unwrap();
    assert_eq!(
        (fresh.pending(), fresh.images()[0].id.as_str()),
        (3, "image3")
    );
    let (_, mut part) = part(&ids, shard, |at| at == 4);
    part.save(&path).unwrap();
    assert_eq!(Part::open(&path).unwrap(), part);
    let resumed = Part::resume(&path, plan(&ids), shard, &ids).unwrap();
    part.images[1].state = State::Pending;
    assert_eq!(resumed, part);
    let error = Part::resume(&path, plan(&ids), Shard::WHOLE, &ids)
        .unwrap_err()
        .to_string();
    assert!(error.contains("this is shard 2/2, not 1/1"), "{error}");
}

#[test]
fn damage_is_noticed() {
    let (_, good) = part(&ids(3), Shard::WHOLE, |at| at == 1);
    let bytes = good.to_json().unwrap();
    let problem = |bytes: &[u8]| Part::from_json(bytes).unwrap_err().to_string();
    for length in 0..bytes.len() - 1 {
        let problem = problem(&bytes[..length]);
        assert!(problem.contains("damaged"), "{length} bytes: {problem}");
    }
    for at in 0..bytes.len() - 1 {
        let mut broken = bytes.clone();
        broken[at] ^= 1;
        problem(&broken);
    }
    // White space says nothing, as always in JSON.
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let pretty = serde_json::to_vec_pretty(&value).unwrap();
    assert_eq!(Part::from_json(&pretty).unwrap(), good);
    let other = problem(br#"{"format":"cfm-eval-part 2","crc32":"","part":{}}"#);
    assert!(
        other.contains("its format is \"cfm-eval-part 2\""),
        "{other}"
    );
}

#[test]
fn contradictions_are_noticed_behind_a_right_checksum() {
    type Change = fn(&mut Part);
    let changes: [(Change, &str); 6] = [
        (|p| drop(p.images.pop()), "not the shard's number of images"),
        (
            |p| drop(p.confusions.pop()),
            "not a confusion matrix for every labelling rule",
        ),
        (
            |p| p.confusions[1] = Confusion::new(3),
            "a confusion matrix of other classes",
        ),
        (
            |p| p.confusions[1].add([(Some(0), None)]),
            "confusion matrices of other pixels",
        ),
        (
            |p| {
                p.images
                    .iter_mut()
                    .for_each(|image| image.state = State::Pending)
            },
            "confusion matrices of other pixels",
        ),
        (
            |p| {
                let mut classes = serde_json::to_value(&p.plan.classes).unwrap();
                classes["common"][0] = 99.into();
                p.plan.classes = serde_json::from_value(classes).unwrap();
            },
            "a class that there is not",
        ),
    ];
    for (change, text) in changes {
        let (_, mut part) = part(&ids(3), Shard::WHOLE, |_| false);
        change(&mut part);
        let problem = Part::from_json(&part.to_json().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            problem.contains("damaged: ") && problem.contains(text),
            "{problem}"
        );
    }
}

#[test]
fn shards_are_read_and_refused() {
    assert_eq!("2/8".parse(), Shard::new(2, 8));
    for text in [
        "",
        "0/3",
        "4/3",
        "1",
        "1/0",
        "a/b",
        "1/2/3",
        "-1/2",
        "1/99999999999",
    ] {
        assert_eq!(text.parse::<Shard>(), Err(ShardError), "{text}");
    }
}
