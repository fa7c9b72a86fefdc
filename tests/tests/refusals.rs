//! Wrong use of the core's run-time API: every refusal happens, says what is wrong, and leaves things usable.

use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::feature_map::FeatureMap;
use cfm_core::image::{ImageError, ImageView};
use cfm_core::labelling::{LabelError, ScoredSegment, VOID, label_pixels, memory_words};
use cfm_core::model::{LabellingRule, Model, Shape, Tensor};
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::{MAX_SUPERPIXELS, Run, Segment, SegmentError, SuperpixelMap};
use cfm_core::superpixel_index::{CellCount, Superpixel, SuperpixelIndex};
use cfm_model::random::{Options, random_model};

/// A valid model file whose image has more than one row and column, and whose feature map is smaller than it.
fn file(skip: usize) -> Vec<u8> {
    (0..)
        .map(|seed| random_model(seed, &Options::default()))
        .filter_map(|spec| spec.to_bytes().ok())
        .filter(|bytes| {
            let model = Model::parse(bytes).expect("random models are valid");
            let (input, feature) = (model.input(), model.feature().shape);
            input.height > 6 && input.width > 6 && feature.height < input.height
        })
        .nth(skip)
        .expect("there are many seeds")
}

fn run(y: u16, x0: u16, x1: u16) -> Run {
    Run { y, x0, x1 }
}

#[test]
fn images() {
    assert_eq!(ImageView::rgb(&[], 0, 4), Err(ImageError::Empty));
    assert_eq!(ImageView::rgb(&[], 4, 0), Err(ImageError::Empty));
    assert_eq!(ImageView::new(&[0; 4], 2, 2, 0), Err(ImageError::Empty));
    assert_eq!(ImageView::rgb(&[0; 11], 2, 2), Err(ImageError::Length));
    assert_eq!(ImageView::rgb(&[0; 13], 2, 2), Err(ImageError::Length));
    assert!(ImageView::rgb(&[0; 12], 2, 2).is_ok());
}

#[test]
fn executing() {
    let file = file(0);
    let model = Model::parse(&file).expect("it is valid");
    let input = model.input();
    let row = vec![7; input.row_len()];
    let mut arena = vec![0; model.arena_bytes()];

    let short = arena.len() - 1;
    assert_eq!(
        Executor::new(&model, &mut arena[..short]).err(),
        Some(ExecuteError::ArenaTooSmall)
    );
    let pixels = vec![7; input.len() + input.row_len()];
    let taller = ImageView::new(&pixels, input.width, input.height + 1, input.channels)
        .expect("it is an image");
    let image = ImageView::new(
        &pixels[..input.len()],
        input.width,
        input.height,
        input.channels,
    )
    .expect("it is an image");

    // Refused calls in between must change nothing.
    let mut plain = vec![0; model.arena_bytes()];
    let mut executor = Executor::new(&model, &mut plain).expect("the arena is large enough");
    executor.push_image(&image).expect("the image fits");
    let (expected, _) = executor.finish().expect("all rows are there");

    let mut executor = Executor::new(&model, &mut arena).expect("the arena is large enough");
    assert_eq!(executor.push_image(&taller), Err(ExecuteError::InputSize));
    for _ in 0..input.height {
        assert!(!executor.is_complete());
        assert_eq!(executor.push_row(&row[1..]), Err(ExecuteError::InputSize));
        assert_eq!(executor.push_row(&[]), Err(ExecuteError::InputSize));
        executor.push_row(&row).expect("the row fits");
        assert_eq!(executor.push_image(&image), Err(ExecuteError::TooManyRows));
    }
    assert!(executor.is_complete());
    assert_eq!(executor.push_row(&row), Err(ExecuteError::TooManyRows));
    let (features, _) = executor.finish().expect("all rows are there");
    assert_eq!(features.data(), expected.data());

    let mut executor = Executor::new(&model, &mut arena).expect("the arena is large enough");
    for _ in 1..input.height {
        executor.push_row(&row).expect("the row fits");
    }
    let complete = executor.is_complete();
    assert_eq!(
        executor.finish().err(),
        (!complete).then_some(ExecuteError::Incomplete)
    );
    let executor = Executor::new(&model, &mut arena).expect("the arena is large enough");
    assert_eq!(executor.finish().err(), Some(ExecuteError::Incomplete));
}

/// A feature map of zeros, the scorer's memory, and the superpixel memory for a model.
fn scoring_memory(model: &Model<'_>) -> (Vec<i8>, Vec<i8>, Vec<Superpixel>, Vec<CellCount>) {
    let pixels = usize::from(model.input().height) * usize::from(model.input().width);
    (
        vec![0; model.feature_bytes()],
        vec![0; model.scratch_bytes()],
        vec![Superpixel::EMPTY; 4],
        vec![CellCount::EMPTY; pixels],
    )
}

#[test]
fn scoring() {
    let file = file(0);
    let model = Model::parse(&file).expect("it is valid");
    let (width, height) = (model.input().width, model.input().height);
    let (data, mut scratch, mut superpixels, mut counts) = scoring_memory(&model);
    let features = FeatureMap::new(&data, model.feature()).expect("the length is right");
    assert!(FeatureMap::new(&data[1..], model.feature()).is_none());

    let short = scratch.len() - 1;
    assert_eq!(
        Scorer::new(&model, features, &mut scratch[..short]).err(),
        Some(ScoreError::ScratchTooSmall)
    );
    let other = Tensor {
        zero_point: model.feature().zero_point.wrapping_add(1),
        ..model.feature()
    };
    let foreign = FeatureMap::new(&data, other).expect("the length is right");
    assert_eq!(
        Scorer::new(&model, foreign, &mut scratch).err(),
        Some(ScoreError::FeatureMap)
    );

    // Superpixels 0 and 1 are the halves, 2 has no pixels.
    let labels: Vec<u16> = (0..usize::from(width) * usize::from(height))
        .map(|i| u16::from(i % usize::from(width) >= 3))
        .collect();
    let map = SuperpixelMap::new(&labels, width, height, 3).expect("it is a map");
    assert_eq!(
        SuperpixelIndex::build(map, &model, &mut superpixels[..2], &mut counts).err(),
        Some(SegmentError::Memory)
    );
    assert_eq!(
        SuperpixelIndex::build(map, &model, &mut superpixels, &mut counts[..1]).err(),
        Some(SegmentError::Memory)
    );
    let transposed = SuperpixelMap::new(&labels, height, width, 3).expect("it is a map");
    if width != height {
        assert_eq!(
            SuperpixelIndex::build(transposed, &model, &mut superpixels, &mut counts).err(),
            Some(SegmentError::MapSize)
        );
    }
    let index = SuperpixelIndex::build(map, &model, &mut superpixels, &mut counts)
        .expect("the memory is large enough");
    let maps = [index];

    let mut scorer = Scorer::new(&model, features, &mut scratch).expect("it fits");
    let mut logits = vec![0; model.class_count()];
    let whole: Vec<Run> = (0..height).map(|y| run(y, 0, width)).collect();
    assert_eq!(
        scorer
            .score(&Segment::Runs(&whole), &maps, &mut logits[1..])
            .err(),
        Some(ScoreError::LogitsLength)
    );
    let superpixels = |map, members| Segment::Superpixels { map, members };
    for (segment, error) in [
        (Segment::Runs(&[]), SegmentError::Empty),
        (Segment::Runs(&[run(0, 2, 2)]), SegmentError::RunOutside),
        (Segment::Runs(&[run(0, 3, 2)]), SegmentError::RunOutside),
        (
            Segment::Runs(&[run(0, 0, width + 1)]),
            SegmentError::RunOutside,
        ),
        (
            Segment::Runs(&[run(height, 0, 1)]),
            SegmentError::RunOutside,
        ),
        (
            Segment::Runs(&[run(1, 0, 1), run(0, 0, 1)]),
            SegmentError::RunOrder,
        ),
        (
            Segment::Runs(&[run(0, 0, 3), run(0, 2, 4)]),
            SegmentError::RunOrder,
        ),
        (
            Segment::Runs(&[run(0, 0, 3), run(0, 0, 3)]),
            SegmentError::RunOrder,
        ),
        (superpixels(0, &[]), SegmentError::Empty),
        (superpixels(0, &[2]), SegmentError::Empty),
        (superpixels(1, &[0]), SegmentError::MapIndex),
        (superpixels(0, &[3]), SegmentError::SuperpixelId),
        (superpixels(0, &[0, 1, 0]), SegmentError::Duplicate),
    ] {
        let refused = scorer.score(&segment, &maps, &mut logits).err();
        assert_eq!(refused, Some(ScoreError::Segment(error)), "{segment:?}");
        assert_eq!(ScoreError::Segment(error).to_string(), error.to_string());
    }
    let extent = scorer
        .score(&superpixels(0, &[1, 2, 0]), &maps, &mut logits)
        .expect("the whole image is a segment");
    assert_eq!(extent.area, u32::from(width) * u32::from(height));
    let mut again = vec![0; model.class_count()];
    scorer
        .score(&Segment::Runs(&whole), &maps, &mut again)
        .expect("the whole image is a segment");
    assert_eq!(logits, again);
}

#[test]
fn an_index_for_another_model() {
    let one = file(0);
    let model = Model::parse(&one).expect("it is valid");
    let input = model.input();
    // The same image size, another geometry.
    let other = (0..)
        .map(|seed| {
            let mut spec = random_model(seed, &Options::default());
            (spec.input.height, spec.input.width) = (input.height, input.width);
            spec
        })
        .filter_map(|spec| spec.to_bytes().ok())
        .find(|bytes| {
            let other = Model::parse(bytes).expect("what is written is valid");
            (other.rows(), other.columns()) != (model.rows(), model.columns())
        })
        .expect("there are many seeds");
    let other = Model::parse(&other).expect("it is valid");
    let (data, mut scratch, mut superpixels, mut counts) = scoring_memory(&model);
    let labels = vec![0; usize::from(input.width) * usize::from(input.height)];
    let map = SuperpixelMap::new(&labels, input.width, input.height, 1).expect("it is a map");
    let index = SuperpixelIndex::build(map, &other, &mut superpixels, &mut counts)
        .expect("the memory is large enough");
    let features = FeatureMap::new(&data, model.feature()).expect("the length is right");
    let mut scorer = Scorer::new(&model, features, &mut scratch).expect("it fits");
    let mut logits = vec![0; model.class_count()];
    let segment = Segment::Superpixels {
        map: 0,
        members: &[0],
    };
    assert_eq!(
        scorer.score(&segment, &[index], &mut logits).err(),
        Some(ScoreError::Segment(SegmentError::IndexModel))
    );
}

#[test]
fn superpixel_maps() {
    assert_eq!(
        SuperpixelMap::new(&[], 0, 0, 0).err(),
        Some(SegmentError::MapSize)
    );
    assert_eq!(
        SuperpixelMap::new(&[0; 5], 2, 3, 1).err(),
        Some(SegmentError::MapSize)
    );
    assert_eq!(
        SuperpixelMap::new(&[0, 1, 2, 3], 2, 2, 3).err(),
        Some(SegmentError::SuperpixelId)
    );
    assert_eq!(
        SuperpixelMap::new(&[0; 4], 2, 2, MAX_SUPERPIXELS + 1).err(),
        Some(SegmentError::TooManySuperpixels)
    );
}

#[test]
fn labelling() {
    let file = file(0);
    let model = Model::parse(&file).expect("it is valid");
    let (width, height) = (model.input().width, model.input().height);
    let pixels = usize::from(width) * usize::from(height);
    let zeros = vec![0; pixels];
    let maps = [SuperpixelMap::new(&zeros, width, height, 1).expect("it is a map"); 2];
    let logits = vec![100; model.class_count()];
    let refined = |refinement, rule| LabellingRule { refinement, ..rule };
    for rule in [
        LabellingRule::PASTE,
        LabellingRule::DEFAULT,
        refined(Some(1), LabellingRule::PASTE),
        refined(Some(1), LabellingRule::DEFAULT),
    ] {
        let label = |segment, logits, maps: &[SuperpixelMap<'_>], words, length| {
            let mut memory = vec![0; words];
            let mut labels = vec![9; length];
            let scored = ScoredSegment {
                segment,
                area: 1,
                logits,
            };
            label_pixels(&model, rule, maps, 1, |_| scored, &mut memory, &mut labels)
                .map(|()| labels)
        };
        let words = memory_words(rule, &model, &maps, 1);
        let good = Segment::Superpixels {
            map: 1,
            members: &[0],
        };
        let labelled = label(good, &logits, &maps, words, pixels).expect("all is well");
        assert!(labelled.iter().all(|&l| l == labelled[0] && l != VOID));
        assert_eq!(
            label(good, &logits, &maps, words - 1, pixels),
            Err(LabelError::Memory)
        );
        assert_eq!(
            label(good, &logits, &maps, words, pixels - 1),
            Err(LabelError::LabelMapSize)
        );
        assert_eq!(
            label(good, &logits[1..], &maps, words, pixels),
            Err(LabelError::LogitsLength)
        );
        let (outside, unordered) = ([run(0, 0, width + 1)], [run(1, 0, 1), run(0, 0, 1)]);
        for (segment, error) in [
            // Superpixel 1 of map 0 must not become superpixel 0 of map 1.
            (
                Segment::Superpixels {
                    map: 0,
                    members: &[1],
                },
                SegmentError::SuperpixelId,
            ),
            (
                Segment::Superpixels {
                    map: 2,
                    members: &[0],
                },
                SegmentError::MapIndex,
            ),
            (
                Segment::Superpixels {
                    map: 0,
                    members: &[],
                },
                SegmentError::Empty,
            ),
            (Segment::Runs(&[]), SegmentError::Empty),
            (Segment::Runs(&outside), SegmentError::RunOutside),
            (Segment::Runs(&unordered), SegmentError::RunOrder),
        ] {
            assert_eq!(
                label(segment, &logits, &maps, words, pixels),
                Err(LabelError::Segment(error))
            );
        }
        let line = vec![0; pixels + usize::from(width)];
        let taller = [SuperpixelMap::new(&line, width, height + 1, 1).expect("it is a map"); 2];
        assert_eq!(
            label(good, &logits, &taller, words, pixels),
            Err(LabelError::Segment(SegmentError::MapSize))
        );
        let mut labels = vec![9; pixels];
        let many = label_pixels(
            &model,
            rule,
            &maps,
            usize::MAX,
            |_| unreachable!("refused before the first segment is asked for"),
            &mut vec![0; words],
            &mut labels,
        );
        assert_eq!(many, Err(LabelError::TooManySegments));
        let missing = label_pixels(
            &model,
            refined(Some(2), rule),
            &maps,
            1,
            |_| unreachable!("refused before the first segment is asked for"),
            &mut vec![0; words],
            &mut labels,
        );
        assert_eq!(missing, Err(LabelError::RefinementMap));
    }
}

#[test]
fn numbers_out_of_range() {
    let file = file(0);
    let model = Model::parse(&file).expect("it is valid");
    assert!(model.layer(model.layer_count()).is_none());
    assert!(model.layer(usize::MAX).is_none());
    assert!(model.class(usize::MAX).is_none());
    for layer in model.layers() {
        if let cfm_core::model::Operation::Conv2d(conv) = layer.operation {
            let channels = conv.parameters.channels;
            for o in [channels.len(), usize::MAX / 8, usize::MAX] {
                assert_eq!(channels.get(o).mantissa, 0);
            }
        }
    }
    let huge = Shape {
        height: u16::MAX,
        width: u16::MAX,
        channels: u16::MAX,
    };
    assert!(huge.len() >= huge.row_len());
}
