//! The proposals find what is in rendered scenes, and those for a board fit on one.

use cfm_core::image::ImageView;
use cfm_proposals::{Params, Proposals, Workspace, propose};
use cfm_sim::pipeline::ProposalMemory;
use cfm_sim::proposal_config::Preset;
use cfm_sim::proposal_quality::{Measures, Quality, Void, measure_proposals};
use cfm_sim::scene::{self, Scene};
use cfm_sim::truth::{Truth, TruthClasses};

/// Ground-truth segments of fewer pixels are left out: slivers between things.
const SMALLEST: u32 = 150;

/// The measures of all proposals over a few scenes.
fn measures(
    params: &Params,
    (width, height): (u16, u16),
    propose: impl Fn(ImageView<'_>, &mut dyn FnMut(&Proposals<'_>)),
) -> Measures {
    let classes = TruthClasses::of(&scene::description());
    let images: Vec<_> = (1..=3)
        .map(|seed| {
            let scene = Scene::render(width.into(), height.into(), seed);
            let truth = Truth::from_labels(&scene.labels, &classes).unwrap();
            let view = ImageView::rgb(scene.photo.as_raw(), width, height).unwrap();
            let mut image = None;
            propose(view, &mut |proposals| {
                assert!(proposals.len() <= usize::from(params.max_segments()));
                image = Some(
                    measure_proposals(&truth, &classes, proposals, params.ranking(), Void::Counted)
                        .unwrap(),
                );
            });
            image.unwrap()
        })
        .collect();
    let quality = Quality::new(&images, &classes, SMALLEST).unwrap();
    assert!(quality.truth_segments.object > 1 && quality.truth_segments.stuff > 10);
    quality.curve.last().unwrap().all
}

#[test]
fn scenes_are_found() {
    for preset in [
        Preset::Scene,
        Preset::Street,
        Preset::SelectiveSearch,
        Preset::Combinatorial,
    ] {
        let params = preset.config().params().unwrap();
        let found = measures(&params, (240, 180), |view, measure| {
            measure(&ProposalMemory::default().propose(view, &params).unwrap());
        });
        let good = found.abo > 0.72 && found.recall_50 > 0.84;
        assert!(good, "{} {found:?}", preset.name());
    }
}

#[test]
fn a_board_has_room() {
    const SIZE: (u16, u16) = (160, 120);
    let params = Preset::Board.config().params().unwrap();
    let (words, labels) = (
        params.min_words(SIZE.0, SIZE.1),
        params.labels(SIZE.0, SIZE.1),
    );
    let image = 3 * usize::from(SIZE.0) * usize::from(SIZE.1);
    let bytes = 4 * words + 2 * labels + image;
    assert!(bytes < 300_000, "{bytes}");
    // That much does it.
    let found = measures(&params, SIZE, |view, measure| {
        let (mut words, mut labels) = (vec![0; words], vec![0; labels]);
        let workspace = Workspace {
            words: &mut words,
            labels: &mut labels,
        };
        measure(&propose(view, &params, workspace).unwrap());
    });
    assert!(found.abo > 0.65 && found.recall_50 > 0.77, "{found:?}");
}
