//! Wrong use, on the target: each is refused with the error that says what is wrong, and nothing else happens.

use cfm_conformance::case::{Case, Content};
use cfm_conformance::cases::CASES;
use cfm_conformance::core_backend::{MAX_CASE_MODEL, Memory};
use cfm_conformance::street::MODEL;
use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::image::{ImageError, ImageView};
use cfm_core::kernels::Kernels;
use cfm_core::labelling::{LabelError, ScoredSegment, label_pixels};
use cfm_core::model::reorder::reorder;
use cfm_core::model::{Model, ModelErrorKind, WeightOrder};
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::{Run, Segment, SegmentError};
use cfm_proposals::{Params, ProposalError, Workspace, propose};

/// A row of the default model's image.
static ROW: [u8; MODEL.input().row_len()] = [0; _];

/// Tries every wrong use, in the memory of the cases; `verdict` is told its name, and whether it was refused with the right
/// error.
pub fn run<K: Kernels + Clone>(
    kernels: &K,
    memory: &mut Memory,
    mut verdict: impl FnMut(&'static str, bool),
) {
    models(&mut memory.model, &mut verdict);
    weight_order(kernels, memory, &mut verdict);
    executor(kernels, memory, &mut verdict);
    scorer(kernels, memory, &mut verdict);
    images(&ROW, &mut verdict);
}

/// A small valid model file of the golden cases, copied to where it can be changed.
fn small_model(file: &mut [u8; MAX_CASE_MODEL]) -> Option<&mut [u8]> {
    let fits = |bytes: &&[u8]| bytes.len() <= MAX_CASE_MODEL;
    let model = CASES
        .iter()
        .filter_map(|(_, case)| Case::parse(case).ok()?.get(Content::Model))
        .find(fits)?;
    let copy = file.get_mut(..model.len())?;
    copy.copy_from_slice(model);
    Some(copy)
}

fn models(file: &mut [u8; MAX_CASE_MODEL], verdict: &mut impl FnMut(&'static str, bool)) {
    let refused = |bytes: &[u8], kind| Model::parse(bytes).err().is_some_and(|e| e.kind == kind);
    let Some(model) = small_model(file) else {
        verdict("models: no golden case has a small one", false);
        return;
    };
    // Without this, a refusal would mean nothing.
    verdict(
        "models: the unchanged file is accepted",
        Model::parse(model).is_ok(),
    );
    let length = model.len();
    // The version is at bytes 4 and 5, the last byte belongs to a section.
    for (name, at, kind) in [
        ("models: unsupported version", 4, ModelErrorKind::Version),
        ("models: not a model file", 0, ModelErrorKind::Magic),
        (
            "models: a flipped bit",
            length - 1,
            ModelErrorKind::Checksum,
        ),
    ] {
        if let Some(byte) = model.get_mut(at) {
            *byte ^= 0x40;
        }
        verdict(name, refused(model, kind));
        if let Some(byte) = model.get_mut(at) {
            *byte ^= 0x40;
        }
    }
    let short = model.split_last().map_or(&[][..], |(_, rest)| rest);
    verdict(
        "models: a byte is missing",
        refused(short, ModelErrorKind::Length),
    );
    verdict(
        "models: an empty file",
        refused(&[], ModelErrorKind::Length),
    );
}

/// A model whose weights the kernels would read in the wrong order.
fn weight_order<K: Kernels + Clone>(
    kernels: &K,
    memory: &mut Memory,
    verdict: &mut impl FnMut(&'static str, bool),
) {
    let other = match K::WEIGHT_ORDER {
        WeightOrder::Rows => WeightOrder::Quads,
        WeightOrder::Quads => WeightOrder::Rows,
    };
    let models = CASES
        .iter()
        .filter_map(|(_, case)| Model::parse(Case::parse(case).ok()?.get(Content::Model)?).ok());
    for model in models {
        let Ok(file) = reorder(&model, other, &mut memory.model) else {
            continue;
        };
        let refused = Model::parse(file).is_ok_and(|model| {
            let executor =
                Executor::with_kernels(&model, memory.arena.as_mut_slice(), kernels.clone());
            executor.err() == Some(ExecuteError::WeightOrder)
        });
        verdict("models: weights in another order", refused);
        return;
    }
    verdict("models: none can be in another order", false);
}

fn executor<K: Kernels + Clone>(
    kernels: &K,
    memory: &mut Memory,
    verdict: &mut impl FnMut(&'static str, bool),
) {
    let arena = memory.arena.as_mut_slice();
    let row = ROW.as_slice();
    if let Some((_, short)) = arena.split_last_mut() {
        verdict(
            "executor: an arena that is a byte too small",
            Executor::with_kernels(&MODEL, short, kernels.clone()).err()
                == Some(ExecuteError::ArenaTooSmall),
        );
    }
    let Ok(mut executor) = Executor::with_kernels(&MODEL, arena, kernels.clone()) else {
        verdict("executor: an arena of the right size", false);
        return;
    };
    let shorter = row.split_last().map_or(&[][..], |(_, rest)| rest);
    verdict(
        "executor: a row that is a sample short",
        executor.push_row(shorter) == Err(ExecuteError::InputSize),
    );
    verdict(
        "executor: an empty row",
        executor.push_row(&[]) == Err(ExecuteError::InputSize),
    );
    let mut accepted = true;
    for _ in 0..MODEL.input().height {
        accepted &= executor.push_row(row).is_ok();
    }
    verdict(
        "executor: a row too many",
        accepted && executor.push_row(row) == Err(ExecuteError::TooManyRows),
    );
    // The refused rows changed nothing: the image is whole.
    verdict(
        "executor: goes on after refusals",
        executor.finish().is_ok(),
    );
    let missing = Executor::with_kernels(&MODEL, arena, kernels.clone())
        .map(|executor| executor.finish().err());
    verdict(
        "executor: no row at all",
        missing == Ok(Some(ExecuteError::Incomplete)),
    );
}

fn scorer<K: Kernels + Clone>(
    kernels: &K,
    memory: &mut Memory,
    verdict: &mut impl FnMut(&'static str, bool),
) {
    let arena = memory.arena.as_mut_slice();
    let Ok(mut executor) = Executor::with_kernels(&MODEL, arena, kernels.clone()) else {
        return verdict("scorer: an executor", false);
    };
    for _ in 0..MODEL.input().height {
        let _ = executor.push_row(&ROW);
    }
    let Ok((features, scratch)) = executor.finish() else {
        return verdict("scorer: a feature map", false);
    };
    let short = Scorer::with_kernels(&MODEL, features, &mut [], kernels.clone()).err();
    verdict(
        "scorer: no scratch",
        short == Some(ScoreError::ScratchTooSmall),
    );
    let Ok(mut scorer) = Scorer::with_kernels(&MODEL, features, scratch, kernels.clone()) else {
        return verdict("scorer: enough scratch", false);
    };
    let mut all = [0; MODEL.class_count()];
    let width = MODEL.input().width;
    let inside = [Run {
        y: 0,
        x0: 0,
        x1: width,
    }];
    let outside = [Run {
        y: 0,
        x0: 0,
        x1: width + 1,
    }];
    let (few, _) = all.split_at_mut(1);
    verdict(
        "scorer: too few logits",
        scorer.score(&Segment::Runs(&inside), &[], few).err() == Some(ScoreError::LogitsLength),
    );
    for (name, segment, error) in [
        (
            "scorer: an empty segment",
            Segment::Runs(&[]),
            SegmentError::Empty,
        ),
        (
            "scorer: a run outside the image",
            Segment::Runs(&outside),
            SegmentError::RunOutside,
        ),
        (
            "scorer: a superpixel map that there is not",
            Segment::Superpixels {
                map: 0,
                members: &[0],
            },
            SegmentError::MapIndex,
        ),
    ] {
        let refused = scorer.score(&segment, &[], &mut all).err();
        verdict(name, refused == Some(ScoreError::Segment(error)));
    }
    verdict(
        "scorer: goes on after refusals",
        scorer.score(&Segment::Runs(&inside), &[], &mut all).is_ok(),
    );
    let labelled = label_pixels(
        &MODEL,
        MODEL.labelling(),
        &[],
        1,
        |_| ScoredSegment {
            segment: Segment::Runs(&inside),
            area: 1,
            logits: &all,
        },
        &mut [],
        &mut [],
    );
    verdict(
        "labelling: a label map of the wrong size",
        labelled == Err(LabelError::LabelMapSize),
    );
}

fn images(row: &[u8], verdict: &mut impl FnMut(&'static str, bool)) {
    verdict(
        "images: too few samples",
        ImageView::rgb(row, MODEL.input().width, 2) == Err(ImageError::Length),
    );
    verdict(
        "images: no pixels",
        ImageView::rgb(&[], 0, 4) == Err(ImageError::Empty),
    );
    let Ok(image) = ImageView::rgb(row, MODEL.input().width, 1) else {
        return verdict("images: a row is an image", false);
    };
    let none = Workspace {
        words: &mut [],
        labels: &mut [],
    };
    verdict(
        "proposals: no memory",
        propose(image, &Params::DEFAULT, none).err() == Some(ProposalError::Words),
    );
}
