//! Superpixels against the paper's algorithm written down plainly.

mod common;

use cfm_core::image::ImageView;
use cfm_proposals::felzenszwalb::{min_words, superpixels, words};
use cfm_proposals::{MAX_SUPERPIXELS, ProposalError, Scale, Smoothing};
use common::{Picture, absorb, check_map, edges, merge, picture, scale, size, smoothing};
use proptest::prelude::*;

/// Components as plain lists of pixels; relabelling everything at each merge.
fn plain(picture: &Picture, smoothing: Smoothing, scale: Scale, max_count: usize) -> Vec<u16> {
    let (width, height) = (usize::from(picture.width), usize::from(picture.height));
    let edges = edges(picture, smoothing);
    let mut component: Vec<usize> = (0..width * height).collect();
    let mut internal = vec![0; width * height];
    for &(weight, a, b) in &edges {
        let (a, b) = (component[a], component[b]);
        let limit =
            |c: usize| f64::from(4 * scale.k) / size(&component, c) as f64 + internal[c] as f64;
        if a != b && weight as f64 <= limit(a).min(limit(b)) {
            merge(&mut component, a, b);
            internal[a] = weight;
        }
    }
    absorb(component, &edges, scale.min_size, max_count)
}

proptest! {
    #[test]
    fn equals_the_plain_algorithm(
        picture in picture(9),
        smoothing in smoothing(),
        scale in scale(),
        max_count in prop_oneof![Just(MAX_SUPERPIXELS), 1..12_u16],
        extra in 0..200_usize,
        garbage in any::<u32>(),
    ) {
        let expected = plain(&picture, smoothing, scale, usize::from(max_count));
        // Any amount of memory, whatever it holds.
        let mut memory = vec![garbage; min_words(picture.width, picture.height) + extra];
        let mut labels = vec![garbage as u16; expected.len()];
        let map = superpixels(picture.view(), smoothing, scale, max_count, &mut memory, &mut labels).unwrap();
        prop_assert_eq!(map.labels(), expected);
        check_map(&map);
    }

    #[test]
    fn memory_changes_nothing(picture in picture(40), smoothing in smoothing(), scale in scale(), part in 0..=4_usize) {
        let (width, height) = (picture.width, picture.height);
        let pixels = usize::from(width) * usize::from(height);
        let (mut all, mut some) = (vec![0; pixels], vec![0; pixels]);
        let (least, most) = (min_words(width, height), words(width, height));
        let run = |count: usize, labels: &mut [u16]| {
            superpixels(picture.view(), smoothing, scale, 500, &mut vec![3; count], labels).map(|_| ())
        };
        run(most, &mut all).unwrap();
        run(least + (most - least) * part / 4, &mut some).unwrap();
        prop_assert_eq!(all, some);
        let mut labels = vec![0; pixels];
        prop_assert_eq!(run(least - 1, &mut labels), Err(ProposalError::Words));
    }
}

#[test]
fn lines_and_points() {
    for (width, height) in [
        (1, 1),
        (1, 300),
        (300, 1),
        (2, 1),
        (u16::MAX, 1),
        (1, u16::MAX),
    ] {
        for picture in [
            Picture::constant(width, height),
            Picture::noise(width, height),
        ] {
            let mut labels = vec![9; usize::from(width) * usize::from(height)];
            let mut memory = vec![9; words(width, height)];
            let scale = Scale { k: 0, min_size: 0 };
            let map = superpixels(
                picture.view(),
                Smoothing::Binomial5,
                scale,
                100,
                &mut memory,
                &mut labels,
            )
            .unwrap();
            assert!(map.count() <= 100);
            assert_eq!(map.labels()[0], 0);
        }
    }
}

#[test]
fn a_large_constant_image_is_one_superpixel() {
    let (width, height) = (2048, 2048);
    let pixels = vec![200; 1 << 22];
    let image = ImageView::new(&pixels, width, height, 1).unwrap();
    let mut labels = vec![0; 1 << 22];
    let mut memory = vec![0; min_words(width, height)];
    let scale = Scale {
        k: 300,
        min_size: 20,
    };
    let map = superpixels(
        image,
        Smoothing::Binomial3,
        scale,
        1000,
        &mut memory,
        &mut labels,
    )
    .unwrap();
    assert_eq!(map.count(), 1);
}

#[test]
fn refuses_what_it_cannot_work_on() {
    let scale = Scale { k: 1, min_size: 1 };
    let run = |pixels: &[u8], width, height, channels, labels: usize| {
        let image = ImageView::new(pixels, width, height, channels).unwrap();
        superpixels(
            image,
            Smoothing::None,
            scale,
            9,
            &mut [0; 4000],
            &mut vec![0; labels],
        )
        .map(|_| ())
    };
    assert_eq!(run(&[0; 8], 2, 2, 2, 4), Err(ProposalError::Channels));
    assert_eq!(run(&[0; 16], 2, 2, 4, 4), Err(ProposalError::Channels));
    assert_eq!(run(&[0; 12], 2, 2, 3, 3), Err(ProposalError::Labels));
    assert_eq!(run(&[0; 12], 2, 2, 3, 5), Err(ProposalError::Labels));
    assert_eq!(run(&[0; 12], 2, 2, 3, 4), Ok(()));
    let many = vec![0; 65 * 65535];
    assert_eq!(
        run(&many, 65535, 65, 1, 65 * 65535),
        Err(ProposalError::TooManyPixels)
    );
}
