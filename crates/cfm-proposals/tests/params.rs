//! Parameters are always valid and survive their byte form.

mod common;

use cfm_proposals::combinatorial::Combinations;
use cfm_proposals::slic::Slic;
use cfm_proposals::{
    ColourSpace, MAX_K, MAX_SUPERPIXELS, Mix, Params, ParamsError, Ranking, Scale, Smoothing,
};
use common::{diversify, diversity};
use proptest::prelude::*;

const SCALE: Scale = Scale {
    k: 100,
    min_size: 20,
};
const MIX: Mix = Mix::SIZE_FILL;

fn params() -> impl Strategy<Value = Params> {
    let scale = (0..=MAX_K, any::<u16>()).prop_map(|(k, min_size)| Scale { k, min_size });
    let mix = any::<[u8; 4]>()
        .prop_filter("a mix needs a weight", |weights| *weights != [0; 4])
        .prop_map(|[colour, texture, size, fill]| Mix::new(colour, texture, size, fill));
    (
        prop::collection::vec(scale, 1..=4),
        prop::collection::vec(mix, 0..=4),
        prop_oneof![
            Just(Smoothing::None),
            Just(Smoothing::Binomial3),
            Just(Smoothing::Binomial5)
        ],
        1..=MAX_SUPERPIXELS,
        1..=u16::MAX,
        any::<(u32, u32)>(),
        any::<u8>(),
        diversity(),
    )
        .prop_map(
            |(scales, mixes, smoothing, superpixels, segments, (a, b), growth, diversity)| {
                let params = Params::new(&scales, &mixes)
                    .unwrap()
                    .with_smoothing(smoothing)
                    .with_max_superpixels(superpixels)
                    .unwrap()
                    .with_max_segments(segments)
                    .unwrap()
                    .with_area(a.min(b), a.max(b))
                    .unwrap()
                    .with_min_growth(growth);
                diversify(params, &diversity)
            },
        )
}

proptest! {
    #[test]
    fn bytes_round_trip(params in params()) {
        prop_assert_eq!(Params::from_bytes(&params.to_bytes()), Ok(params));
    }

    #[test]
    fn bytes_have_one_form(params in params(), at in 0..Params::BYTES, value in any::<u8>()) {
        let mut bytes = params.to_bytes();
        bytes[at] = value;
        if let Ok(read) = Params::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        version in 0..=3_u8,
        counts in (0..=3_u8, 0..=5_u8, 0..=5_u8),
        small in prop::collection::vec(prop_oneof![3 => 0..=4_u8, 1 => any::<u8>()], Params::BYTES - 4),
    ) {
        let mut bytes = [0; Params::BYTES];
        bytes[..4].copy_from_slice(&[version, counts.0, counts.1, counts.2]);
        bytes[4..].copy_from_slice(&small);
        if let Ok(read) = Params::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}

#[test]
fn the_default_is_what_its_bytes_say() {
    let bytes = Params::default().to_bytes();
    assert_eq!(Params::from_bytes(&bytes), Ok(Params::DEFAULT));
    assert_eq!(
        Params::new(Params::DEFAULT.scales(), Params::DEFAULT.mixes()),
        Ok(Params::DEFAULT)
    );
    assert_eq!(
        &bytes[..16],
        [1, 0, 3, 1, 0, 3, 0, 4, 1, 0, 0, 0, 255, 255, 255, 255]
    );
    assert_eq!(bytes[16..20], [1, 1, 1, 1]);
    assert_eq!(bytes[32..38], [60, 0, 0, 0, 20, 0]);
    assert_eq!(bytes[56], 48);
}

#[test]
fn refuses_bad_parameters() {
    assert_eq!(Params::new(&[], &[MIX]), Err(ParamsError::Scales));
    assert_eq!(Params::new(&[SCALE; 5], &[MIX]), Err(ParamsError::Scales));
    assert_eq!(Params::new(&[SCALE], &[MIX; 5]), Err(ParamsError::Mixes));
    assert_eq!(
        Params::new(&[SCALE], &[Mix::new(0, 0, 0, 0)]),
        Err(ParamsError::EmptyMix)
    );
    let k = Scale {
        k: MAX_K + 1,
        ..SCALE
    };
    assert_eq!(Params::new(&[k], &[MIX]), Err(ParamsError::K));
    let params = Params::DEFAULT;
    assert_eq!(
        params.with_max_superpixels(0),
        Err(ParamsError::Superpixels)
    );
    assert_eq!(
        params.with_max_superpixels(MAX_SUPERPIXELS + 1),
        Err(ParamsError::Superpixels)
    );
    assert_eq!(params.with_max_segments(0), Err(ParamsError::Segments));
    assert_eq!(params.with_area(2, 1), Err(ParamsError::Area));
    for at in [0, 1, 20, 50, 57, 59, 61] {
        let mut bytes = params.to_bytes();
        bytes[at] = 0x99;
        assert_eq!(
            Params::from_bytes(&bytes),
            Err(ParamsError::Bytes),
            "byte {at}"
        );
    }
    for (at, error) in [(2, ParamsError::Scales), (3, ParamsError::Mixes)] {
        let mut bytes = params.to_bytes();
        bytes[at] = 5;
        assert_eq!(Params::from_bytes(&bytes), Err(error));
    }
    let mut bytes = params.to_bytes();
    bytes[2] = 0;
    bytes[32..56].fill(0);
    assert_eq!(Params::from_bytes(&bytes), Err(ParamsError::Scales));
}

#[test]
fn refuses_bad_diversity() {
    let params = Params::new(&[SCALE], &[MIX]).unwrap();
    let slic = Slic {
        spacing: 0x0107,
        compactness: 20,
        iterations: 10,
        min_size: 5,
    };
    let flat = Slic { spacing: 0, ..slic };
    assert_eq!(params.with_slic(1, slic), Err(ParamsError::Index));
    assert_eq!(params.with_slic(0, flat), Err(ParamsError::Spacing));
    let lab = ColourSpace::Lab;
    assert_eq!(params.with_scale_space(1, lab), Err(ParamsError::Index));
    assert_eq!(params.with_mix_space(1, lab), Err(ParamsError::Index));
    assert_eq!(params.slic(0), None);

    let params = params.with_slic(0, slic).unwrap();
    let params = params.with_scale_space(0, lab).unwrap();
    let params = params.with_mix_space(0, ColourSpace::Grey).unwrap();
    let params = params.with_ranking(Ranking::Level);
    assert_eq!(params.slic(0), Some(slic));
    assert_eq!(params.slic(1), None);
    assert_eq!(params.scale_space(0), lab);
    assert_eq!(params.mix_space(0), ColourSpace::Grey);
    assert_eq!(params.scales(), [Scale { k: 0, min_size: 5 }]);
    let bytes = params.to_bytes();
    assert_eq!(bytes[0], 2);
    assert_eq!(bytes[32..38], [7, 1, 20, 10, 5, 0]);
    assert_eq!(bytes[57..], [17, 1, 0, 3, 0, 0, 0]);
    let combinations = Combinations {
        pairs: 63,
        triples: 5,
    };
    let more = params.with_contours(true);
    let more = more.with_combinations(combinations).unwrap();
    assert!(more.contours());
    assert_eq!(more.combinations(), combinations);
    assert_eq!(more.to_bytes()[57..], [49, 1, 0, 3, 0, 63, 5]);
    let many = Combinations {
        pairs: 0,
        triples: 64,
    };
    assert_eq!(params.with_combinations(many), Err(ParamsError::Levels));
    for (at, value, error) in [
        (0, 1, ParamsError::Bytes),
        (57, 0x12, ParamsError::Bytes),
        (58, 0x10, ParamsError::Bytes),
        (60, 4, ParamsError::Bytes),
        (57, 0x51, ParamsError::Bytes),
        (62, 64, ParamsError::Levels),
        (63, 64, ParamsError::Levels),
    ] {
        let mut bytes = bytes;
        bytes[at] = value;
        assert_eq!(Params::from_bytes(&bytes), Err(error), "byte {at}");
    }
    let mut flat = bytes;
    flat[32..34].fill(0);
    assert_eq!(Params::from_bytes(&flat), Err(ParamsError::Spacing));
    // Nothing that version 1 lacks.
    let mut plain = Params::DEFAULT.to_bytes();
    plain[0] = 2;
    assert_eq!(Params::from_bytes(&plain), Err(ParamsError::Bytes));
}

#[test]
fn a_small_board_has_room() {
    // A 160 x 120 image, one scale: proposals in less than 165 KB, so that image and all stay below 300 KB.
    const PARAMS: Params = match Params::new(&[SCALE], &[Mix::COLOUR_TEXTURE_SIZE_FILL]) {
        Ok(params) => match params.with_max_superpixels(256) {
            Ok(params) => params,
            Err(_) => Params::DEFAULT,
        },
        Err(_) => Params::DEFAULT,
    };
    const BYTES: usize = 4 * PARAMS.min_words(160, 120) + 2 * PARAMS.labels(160, 120);
    const { assert!(BYTES < 165_000) };
}

#[test]
fn a_small_board_has_room_for_slic_and_contours() {
    const SLIC: Slic = Slic {
        spacing: 8,
        compactness: 20,
        iterations: 5,
        min_size: 16,
    };
    let params = Params::new(&[SCALE], &[Mix::COLOUR_TEXTURE_SIZE_FILL]).unwrap();
    let params = params.with_max_superpixels(256).unwrap();
    let params = params.with_max_segments(256).unwrap();
    let params = params.with_slic(0, SLIC).unwrap().with_contours(true);
    let combinations = Combinations {
        pairs: 10,
        triples: 0,
    };
    let params = params.with_combinations(combinations).unwrap();
    let bytes = 4 * params.min_words(160, 120) + 2 * params.labels(160, 120);
    // With the RGB image, below 300 KB.
    assert!(bytes + 3 * 160 * 120 < 300_000, "{bytes}");
}
