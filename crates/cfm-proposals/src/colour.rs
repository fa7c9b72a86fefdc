//! Colour spaces in which superpixels are made and regions compared.
//!
//! Selective search diversifies by colour space (Uijlings et al. 2013, section 3.2, table 1): what one space merges,
//! another keeps apart. All conversions are integer, from sRGB with 8 bits per channel to three channels of 8 bits.

/// A colour space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ColourSpace {
    /// sRGB as it is.
    #[default]
    Rgb,
    /// CIE L*a*b* of sRGB and white D65: 2.55 levels per unit in all three channels, so that distances are as in
    /// L*a*b*; a* and b* are offset by 128, and saturate from some 50 units on. From tables, right within two levels.
    Lab,
    /// Hue, saturation and value. The hue is a full turn in 256 steps; its ends are far apart all the same. Greys have
    /// hue 0.
    Hsv,
    /// Brightness, `(r + 2 g + b) / 4` with halves rounded up, in all three channels.
    Grey,
}

impl ColourSpace {
    /// The three channels of an sRGB colour in this space.
    #[must_use]
    pub fn convert(self, rgb: [u8; 3]) -> [u8; 3] {
        match self {
            Self::Rgb => rgb,
            Self::Lab => lab(rgb),
            Self::Hsv => hsv(rgb),
            Self::Grey => {
                let [r, g, b] = rgb.map(u16::from);
                [((r + 2 * g + b + 2) / 4) as u8; 3]
            }
        }
    }

    /// The channels of column `x` of a row of samples; grey images have three equal channels before the conversion.
    pub(crate) fn sample(self, row: &[u8], channels: usize, x: usize) -> [u8; 3] {
        let rgb = match row.get(x * channels..(x + 1) * channels) {
            Some(&[r, g, b]) => [r, g, b],
            Some(&[grey, ..]) => [grey; 3],
            _ => [0; 3],
        };
        self.convert(rgb)
    }
}

/// sRGB to XYZ over white D65 (IEC 61966-2-1), in 65536ths; every row adds up to 65536.
const XYZ: [[u32; 3]; 3] = [
    [28440, 24656, 12440],
    [13938, 46868, 4730],
    [1164, 7174, 57198],
];

/// `f(t)` of CIE 15 in 4096ths for `t` in 1024ths: the cube root, and below `(6 / 29)^3` the straight line.
const ROOT: [u16; 1025] = {
    let mut table = [0; 1025];
    let mut i: u64 = 0;
    while i <= 1024 {
        let mut y: u64 = (841 * i * 29 + 27 * 16384 + 391) / 783;
        if i > 9 {
            // Rounded: the largest y with (y - 1/2)^3 <= 4096^3 i / 1024.
            y = 4096;
            while (2 * y - 1) * (2 * y - 1) * (2 * y - 1) > i << 29 {
                y -= 1;
            }
        }
        table[i as usize] = y as u16;
        i += 1;
    }
    table
};

fn lab(rgb: [u8; 3]) -> [u8; 3] {
    let linear = rgb.map(|value| u32::from(LINEAR[usize::from(value)]));
    let [x, y, z] = XYZ.map(|row| {
        let sum: u32 = row
            .iter()
            .zip(linear)
            .map(|(w, value)| (w * value) >> 8)
            .sum();
        // At most 65535: between two entries of the table, in 2^18ths.
        let (at, part) = ((sum >> 14) as usize, (sum >> 8 & 63) as i32);
        match ROOT.get(at..at + 2) {
            Some(&[low, high]) => i32::from(low) * (64 - part) + i32::from(high) * part,
            _ => 1 << 18,
        }
    });
    // 2.55 (116 f - 16), 2.55 * 500 and 2.55 * 200.
    let lightness = (1479 * y - 53_477_376 + 655_360) / 1_310_720;
    let a = (1275 * (x - y) + (1 << 17)) >> 18;
    let b = (510 * (y - z) + (1 << 17)) >> 18;
    [lightness, a + 128, b + 128].map(|value| value.clamp(0, 255) as u8)
}

fn hsv(rgb: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = rgb.map(i32::from);
    let value = r.max(g).max(b);
    let range = value - r.min(g).min(b);
    if range == 0 {
        return [0, 0, value as u8];
    }
    // In units of `range`, 0 to 6 for the turn.
    let turn = if value == r {
        (g - b).checked_rem_euclid(6 * range).unwrap_or(0)
    } else if value == g {
        2 * range + b - r
    } else {
        4 * range + r - g
    };
    let share = |part: i32, whole: i32| part.checked_div(whole).unwrap_or(0) as u8;
    let hue = share(256 * turn, 6 * range);
    [hue, share(255 * range, value), value as u8]
}

/// sRGB to linear light, in 65535ths.
#[rustfmt::skip]
const LINEAR: [u16; 256] = [
    0, 20, 40, 60, 80, 99, 119, 139, 159, 179, 199, 219, 241, 264, 288, 313,
    340, 367, 396, 427, 458, 491, 526, 562, 599, 637, 677, 718, 761, 805, 851, 898,
    947, 997, 1048, 1101, 1156, 1212, 1270, 1330, 1391, 1453, 1517, 1583, 1651, 1720, 1790, 1863,
    1937, 2013, 2090, 2170, 2250, 2333, 2418, 2504, 2592, 2681, 2773, 2866, 2961, 3058, 3157, 3258,
    3360, 3464, 3570, 3678, 3788, 3900, 4014, 4129, 4247, 4366, 4488, 4611, 4736, 4864, 4993, 5124,
    5257, 5392, 5530, 5669, 5810, 5953, 6099, 6246, 6395, 6547, 6700, 6856, 7014, 7174, 7335, 7500,
    7666, 7834, 8004, 8177, 8352, 8528, 8708, 8889, 9072, 9258, 9445, 9635, 9828, 10022, 10219, 10417,
    10619, 10822, 11028, 11235, 11446, 11658, 11873, 12090, 12309, 12530, 12754, 12980, 13209, 13440, 13673, 13909,
    14146, 14387, 14629, 14874, 15122, 15371, 15623, 15878, 16135, 16394, 16656, 16920, 17187, 17456, 17727, 18001,
    18277, 18556, 18837, 19121, 19407, 19696, 19987, 20281, 20577, 20876, 21177, 21481, 21787, 22096, 22407, 22721,
    23038, 23357, 23678, 24002, 24329, 24658, 24990, 25325, 25662, 26001, 26344, 26688, 27036, 27386, 27739, 28094,
    28452, 28813, 29176, 29542, 29911, 30282, 30656, 31033, 31412, 31794, 32179, 32567, 32957, 33350, 33745, 34143,
    34544, 34948, 35355, 35764, 36176, 36591, 37008, 37429, 37852, 38278, 38706, 39138, 39572, 40009, 40449, 40891,
    41337, 41785, 42236, 42690, 43147, 43606, 44069, 44534, 45002, 45473, 45947, 46423, 46903, 47385, 47871, 48359,
    48850, 49344, 49841, 50341, 50844, 51349, 51858, 52369, 52884, 53401, 53921, 54445, 54971, 55500, 56032, 56567,
    57105, 57646, 58190, 58737, 59287, 59840, 60396, 60955, 61517, 62082, 62650, 63221, 63795, 64372, 64952, 65535,
];
