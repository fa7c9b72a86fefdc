//! The same parameters make the same proposals for ever: models are trained with them.

mod common;

use cfm_proposals::{Params, Workspace, propose};
use common::Picture;

/// A picture with large regions, gradients and noise.
fn scene(width: u16, height: u16, channels: u16) -> Picture {
    let noise = Picture::noise(width, height);
    let (w, h) = (usize::from(width), usize::from(height));
    let mut pixels = Vec::new();
    for y in 0..h {
        for x in 0..w {
            let disc = x.abs_diff(w / 3).pow(2) + y.abs_diff(h / 2).pow(2) < (h / 4).pow(2);
            let base = match (disc, y < h / 3, x > 2 * w / 3) {
                (true, ..) => [200, 60, 40],
                (false, true, _) => [120, 160, 230],
                (false, false, true) => [60, 140, 50],
                _ => [90 + 60 * x / w, 90, 80],
            };
            for (c, base) in base.into_iter().enumerate().take(usize::from(channels)) {
                let grain = usize::from(noise.pixels[3 * (y * w + x) + c] >> 3);
                pixels.push((base + grain) as u8);
            }
        }
    }
    Picture {
        width,
        height,
        channels,
        pixels,
    }
}

/// FNV-1a over everything that a caller sees.
fn checksum(picture: &Picture, bytes: &[u8; Params::BYTES]) -> (usize, u64) {
    let params = Params::from_bytes(bytes).unwrap();
    assert_eq!(params.to_bytes(), *bytes);
    let (width, height) = (picture.width, picture.height);
    let mut words = vec![0; params.words(width, height)];
    let mut labels = vec![0; params.labels(width, height)];
    let workspace = Workspace {
        words: &mut words,
        labels: &mut labels,
    };
    let proposals = propose(picture.view(), &params, workspace).unwrap();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |value: u32| {
        for byte in value.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for map in proposals.maps() {
        add(u32::from(map.count()));
        map.labels().iter().for_each(|&id| add(u32::from(id)));
    }
    for proposal in &proposals {
        add(proposal.map as u32);
        add(proposal.area);
        proposal.members.iter().for_each(|&id| add(u32::from(id)));
        let bbox = proposal.bbox;
        for bound in [bbox.left, bbox.top, bbox.right, bbox.bottom] {
            add(u32::from(bound));
        }
    }
    (proposals.len(), hash)
}

/// The byte form of `Params::DEFAULT` when version 1 was frozen.
const DEFAULT: [u8; Params::BYTES] = [
    1, 0, 3, 1, 0, 3, 0, 4, 1, 0, 0, 0, 255, 255, 255, 255, //
    1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
    60, 0, 0, 0, 20, 0, 200, 0, 0, 0, 60, 0, 88, 2, 0, 0, //
    150, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0,
];
/// Two scales, two mixes, smoothing, all limits.
const OTHER: [u8; Params::BYTES] = [
    1, 2, 2, 2, 200, 0, 90, 0, 30, 0, 0, 0, 0, 16, 0, 0, //
    1, 1, 1, 1, 0, 2, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, //
    20, 0, 0, 0, 10, 0, 100, 0, 0, 0, 40, 0, 0, 0, 0, 0, //
    0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0,
];

#[test]
fn version_1_is_pinned() {
    assert_eq!(Params::DEFAULT.to_bytes(), DEFAULT);
    let found = [
        checksum(&scene(96, 64, 3), &DEFAULT),
        checksum(&scene(75, 50, 1), &DEFAULT),
        checksum(&scene(96, 64, 3), &OTHER),
        checksum(&Picture::noise(61, 47), &OTHER),
    ];
    let pinned = [
        (95, 0x3bdb_cd06_cb13_e71f),
        (148, 0x2ec4_244d_3315_ca66),
        (90, 0x01a9_ec5f_af41_80e8),
        (90, 0xab3f_9353_62d0_7af8),
    ];
    assert_eq!(found, pinned);
}

#[test]
fn the_scene_preset_is_pinned() {
    let bytes = Params::SCENE.to_bytes();
    assert_eq!(Params::from_bytes(&bytes), Ok(Params::SCENE));
    assert_eq!(bytes[0], 2);
    let found = [
        checksum(&scene(96, 64, 3), &bytes),
        checksum(&scene(75, 50, 1), &bytes),
    ];
    let pinned = [(420, 0x1d86_54a9_32a1_84f2), (283, 0x2982_66e5_4b0d_b937)];
    assert_eq!(found, pinned);
}
