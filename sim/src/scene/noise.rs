//! Lattice noise for textures: a hash of integer coordinates, interpolated.

/// A pseudo-random number in `0.0 .. 1.0` for a lattice point.
pub(super) fn lattice(x: i64, y: i64, seed: u64) -> f64 {
    let mut hash = seed
        ^ (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    // The finalizer of SplitMix64.
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Smooth noise in `0.0 .. 1.0` with features of size 1.
pub(super) fn smooth(x: f64, y: f64, seed: u64) -> f64 {
    let (x0, y0) = (x.floor(), y.floor());
    let fade = |t: f64| t * t * (3.0 - 2.0 * t);
    let (u, v) = (fade(x - x0), fade(y - y0));
    let (i, j) = (x0 as i64, y0 as i64);
    let at = |dx: i64, dy: i64| lattice(i.wrapping_add(dx), j.wrapping_add(dy), seed);
    let top = at(0, 0) + (at(1, 0) - at(0, 0)) * u;
    let bottom = at(0, 1) + (at(1, 1) - at(0, 1)) * u;
    top + (bottom - top) * v
}

/// Three octaves of [`smooth`], in `0.0 .. 1.0`.
pub(super) fn cloudy(x: f64, y: f64, seed: u64) -> f64 {
    (4.0 * smooth(x, y, seed)
        + 2.0 * smooth(2.0 * x, 2.0 * y, seed ^ 1)
        + smooth(4.0 * x, 4.0 * y, seed ^ 2))
        / 7.0
}
