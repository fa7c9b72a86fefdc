//! AVX-512 with VNNI: `VPDPBUSD` adds four products of an unsigned activation and a signed weight to each sum.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256i, __m512i, _mm_storeu_si128, _mm256_storeu_si256, _mm512_add_epi32, _mm512_adds_epi16,
    _mm512_and_si512, _mm512_castsi256_si512, _mm512_castsi512_si128, _mm512_castsi512_si256,
    _mm512_cvtepi32_pd, _mm512_cvtpd_epi32, _mm512_dpbusd_epi32, _mm512_extracti64x4_epi64,
    _mm512_inserti64x4, _mm512_loadu_pd, _mm512_loadu_si512, _mm512_mask_storeu_epi8,
    _mm512_maskz_loadu_epi8, _mm512_max_epi8, _mm512_min_epi8, _mm512_min_pd, _mm512_mul_pd,
    _mm512_packs_epi16, _mm512_packs_epi32, _mm512_permutexvar_epi32, _mm512_set1_epi8,
    _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_pd, _mm512_setr_epi32, _mm512_srav_epi32,
    _mm512_storeu_si512, _mm512_unpackhi_epi8, _mm512_unpackhi_epi16, _mm512_unpacklo_epi8,
    _mm512_unpacklo_epi16, _mm512_xor_si512,
};

use super::simd::Simd;
use crate::requantize::OutputScale;

/// AVX-512 F, BW, VL and VNNI.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512;

/// The 32-bit words of a vector as a matrix of four rows, transposed.
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn transposed(words: __m512i) -> __m512i {
    // SAFETY: as the caller promises.
    unsafe {
        let from = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_permutexvar_epi32(from, words)
    }
}

/// The first `len` bytes of a vector, `len < 64`.
const fn first(len: usize) -> u64 {
    (1 << len) - 1
}

/// [`Simd::multiply`] for half a vector.
///
/// # Safety
/// As for that.
#[inline(always)]
unsafe fn multiply_half(sums: __m256i, multipliers: *const f64) -> __m256i {
    // SAFETY: as the caller promises.
    unsafe {
        let scaled = _mm512_mul_pd(_mm512_cvtepi32_pd(sums), _mm512_loadu_pd(multipliers));
        // Whatever is below the range becomes its lowest number without help.
        _mm512_cvtpd_epi32(_mm512_min_pd(scaled, _mm512_set1_pd(i32::MAX.into())))
    }
}

// SAFETY (all of them): the trait's callers promise the instructions and the memory that its documentation names.
impl Simd for Avx512 {
    type Vector = __m512i;

    const LANES: usize = 16;
    const REGISTERS: usize = 32;
    const BLOCK: usize = 4;
    const GROUP: usize = 4;
    const OFFSET: i32 = 128;

    fn staged(value: i8) -> [u8; 2] {
        [value.cast_unsigned() ^ 0x80, 0]
    }

    #[inline(always)]
    unsafe fn stage(values: *const i8, count: usize, staged: *mut u8) {
        // SAFETY: all vectors are inside `count`; the last one ends there.
        unsafe {
            let flip = _mm512_set1_epi8(i8::MIN);
            if count < 64 {
                let mask = first(count);
                let vector = _mm512_maskz_loadu_epi8(mask, values);
                _mm512_mask_storeu_epi8(staged.cast(), mask, _mm512_xor_si512(vector, flip));
                return;
            }
            let mut at = 0;
            while at < count {
                // The last one ends where the values end.
                at = at.min(count - 64);
                let vector = _mm512_loadu_si512(values.add(at).cast());
                _mm512_storeu_si512(staged.add(at).cast(), _mm512_xor_si512(vector, flip));
                at += 64;
            }
        }
    }

    #[inline(always)]
    unsafe fn interleave(rows: [*const i8; 4], groups: *mut u8) {
        // SAFETY: 64 bytes are read of each row, and four times 64 written.
        unsafe {
            let flip = _mm512_set1_epi8(i8::MIN);
            // Unpacking works within 128 bits, so what comes out one after the other must lie 128 bits apart.
            let [mut a, mut b, mut c, mut d] = [flip; 4];
            for (vector, row) in [&mut a, &mut b, &mut c, &mut d].into_iter().zip(rows) {
                let row = _mm512_loadu_si512(row.cast());
                *vector = transposed(_mm512_xor_si512(row, flip));
            }
            let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d));
            let groups = groups.cast();
            _mm512_storeu_si512(groups, _mm512_unpacklo_epi16(ab, cd));
            _mm512_storeu_si512(groups.add(1), _mm512_unpackhi_epi16(ab, cd));
            let (ab, cd) = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d));
            _mm512_storeu_si512(groups.add(2), _mm512_unpacklo_epi16(ab, cd));
            _mm512_storeu_si512(groups.add(3), _mm512_unpackhi_epi16(ab, cd));
        }
    }

    #[inline(always)]
    unsafe fn load(at: *const u8) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe { _mm512_loadu_si512(at.cast()) }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe { _mm512_set1_epi32(at.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: __m512i, activations: __m512i, weights: __m512i) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe { _mm512_dpbusd_epi32(sums, activations, weights) }
    }

    #[inline(always)]
    unsafe fn shift(sums: __m512i, shifts: __m512i, halves: __m512i, ones: __m512i) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe {
            let odd = _mm512_and_si512(_mm512_srav_epi32(sums, shifts), ones);
            let raised = _mm512_add_epi32(_mm512_add_epi32(sums, halves), odd);
            _mm512_srav_epi32(raised, shifts)
        }
    }

    #[inline(always)]
    unsafe fn multiply(sums: __m512i, multipliers: *const f64) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe {
            let low = multiply_half(_mm512_castsi512_si256(sums), multipliers);
            let high = multiply_half(_mm512_extracti64x4_epi64::<1>(sums), multipliers.add(8));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        }
    }

    #[inline(always)]
    unsafe fn clamp([a, b, c, d]: [__m512i; 4], output: &OutputScale) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe {
            let zero_point = _mm512_set1_epi16(output.zero_point.into());
            // What does not fit is beyond the range of the output, with and without the zero point.
            let ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero_point);
            let cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero_point);
            // Packing works within 128 bits.
            let bytes = transposed(_mm512_packs_epi16(ab, cd));
            let above = _mm512_max_epi8(bytes, _mm512_set1_epi8(output.low));
            _mm512_min_epi8(above, _mm512_set1_epi8(output.high))
        }
    }

    #[inline(always)]
    unsafe fn store(bytes: __m512i, out: *mut i8, len: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            match len {
                64 => _mm512_storeu_si512(out.cast(), bytes),
                32 => _mm256_storeu_si256(out.cast(), _mm512_castsi512_si256(bytes)),
                16 => _mm_storeu_si128(out.cast(), _mm512_castsi512_si128(bytes)),
                _ => _mm512_mask_storeu_epi8(out, first(len), bytes),
            }
        }
    }

    #[inline(always)]
    unsafe fn store_all(vector: __m512i, out: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe { _mm512_storeu_si512(out.cast(), vector) }
    }
}
