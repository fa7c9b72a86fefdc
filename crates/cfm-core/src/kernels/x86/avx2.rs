//! AVX2: `VPMADDWD` adds two products of 16-bit activations and weights; the instruction for bytes saturates.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm_storel_epi64, _mm_storeu_si128, _mm256_add_epi32,
    _mm256_adds_epi16, _mm256_and_si256, _mm256_castsi128_si256, _mm256_castsi256_si128,
    _mm256_cmpgt_epi8, _mm256_cvtepi8_epi16, _mm256_cvtepi32_pd, _mm256_cvtpd_epi32,
    _mm256_extracti128_si256, _mm256_inserti128_si256, _mm256_loadu_pd, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_max_epi8, _mm256_min_epi8, _mm256_min_pd, _mm256_mul_pd,
    _mm256_packs_epi16, _mm256_packs_epi32, _mm256_permutevar8x32_epi32, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_pd, _mm256_setr_epi32, _mm256_setzero_si256,
    _mm256_srav_epi32, _mm256_storeu_si256, _mm256_unpackhi_epi8, _mm256_unpackhi_epi16,
    _mm256_unpacklo_epi8, _mm256_unpacklo_epi16,
};

use super::simd::Simd;
use crate::requantize::OutputScale;

/// AVX2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2;

/// [`Simd::multiply`] for half a vector.
///
/// # Safety
/// As for that.
#[inline(always)]
unsafe fn multiply_half(sums: __m128i, multipliers: *const f64) -> __m128i {
    // SAFETY: as the caller promises.
    unsafe {
        let scaled = _mm256_mul_pd(_mm256_cvtepi32_pd(sums), _mm256_loadu_pd(multipliers));
        // Whatever is below the range becomes its lowest number without help.
        _mm256_cvtpd_epi32(_mm256_min_pd(scaled, _mm256_set1_pd(i32::MAX.into())))
    }
}

// SAFETY (all of them): the trait's callers promise the instructions and the memory that its documentation names.
impl Simd for Avx2 {
    type Vector = __m256i;

    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    const BLOCK: usize = 2;
    const GROUP: usize = 2;
    const OFFSET: i32 = 0;

    fn staged(value: i8) -> [u8; 2] {
        i16::from(value).to_le_bytes()
    }

    #[inline(always)]
    unsafe fn stage(values: *const i8, count: usize, staged: *mut u8) {
        // SAFETY: all vectors are inside `count`; the last one ends there.
        unsafe {
            if count < 16 {
                for at in 0..count {
                    let value = i16::from(values.add(at).read());
                    staged.cast::<i16>().add(at).write_unaligned(value);
                }
                return;
            }
            let mut at = 0;
            while at < count {
                // The last one ends where the values end.
                at = at.min(count - 16);
                let vector = _mm256_cvtepi8_epi16(_mm_loadu_si128(values.add(at).cast()));
                _mm256_storeu_si256(staged.add(2 * at).cast(), vector);
                at += 16;
            }
        }
    }

    #[inline(always)]
    unsafe fn interleave([first, second, ..]: [*const i8; 4], groups: *mut u8) {
        // SAFETY: 32 bytes are read of each row, and four times 32 written.
        unsafe {
            // Unpacking works within 128 bits, so what comes out one after the other must lie 128 bits apart.
            let apart = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
            let a = _mm256_permutevar8x32_epi32(_mm256_loadu_si256(first.cast()), apart);
            let b = _mm256_permutevar8x32_epi32(_mm256_loadu_si256(second.cast()), apart);
            let a_signs = _mm256_cmpgt_epi8(_mm256_setzero_si256(), a);
            let b_signs = _mm256_cmpgt_epi8(_mm256_setzero_si256(), b);
            let groups = groups.cast();
            let low_a = _mm256_unpacklo_epi8(a, a_signs);
            let low_b = _mm256_unpacklo_epi8(b, b_signs);
            _mm256_storeu_si256(groups, _mm256_unpacklo_epi16(low_a, low_b));
            _mm256_storeu_si256(groups.add(1), _mm256_unpackhi_epi16(low_a, low_b));
            let high_a = _mm256_unpackhi_epi8(a, a_signs);
            let high_b = _mm256_unpackhi_epi8(b, b_signs);
            _mm256_storeu_si256(groups.add(2), _mm256_unpacklo_epi16(high_a, high_b));
            _mm256_storeu_si256(groups.add(3), _mm256_unpackhi_epi16(high_a, high_b));
        }
    }

    #[inline(always)]
    unsafe fn load(at: *const u8) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe { _mm256_loadu_si256(at.cast()) }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe { _mm256_set1_epi32(at.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: __m256i, activations: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(activations, weights)) }
    }

    #[inline(always)]
    unsafe fn shift(sums: __m256i, shifts: __m256i, halves: __m256i, ones: __m256i) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe {
            let odd = _mm256_and_si256(_mm256_srav_epi32(sums, shifts), ones);
            let raised = _mm256_add_epi32(_mm256_add_epi32(sums, halves), odd);
            _mm256_srav_epi32(raised, shifts)
        }
    }

    #[inline(always)]
    unsafe fn multiply(sums: __m256i, multipliers: *const f64) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe {
            let low = multiply_half(_mm256_castsi256_si128(sums), multipliers);
            let high = multiply_half(_mm256_extracti128_si256::<1>(sums), multipliers.add(4));
            _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
        }
    }

    #[inline(always)]
    unsafe fn clamp([a, b, c, d]: [__m256i; 4], output: &OutputScale) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe {
            let zero_point = _mm256_set1_epi16(output.zero_point.into());
            // What does not fit is beyond the range of the output, with and without the zero point.
            let ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point);
            let cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero_point);
            // Packing works within 128 bits.
            let together = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            let bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(ab, cd), together);
            let above = _mm256_max_epi8(bytes, _mm256_set1_epi8(output.low));
            _mm256_min_epi8(above, _mm256_set1_epi8(output.high))
        }
    }

    #[inline(always)]
    unsafe fn store(bytes: __m256i, out: *mut i8, len: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            match len {
                32 => return _mm256_storeu_si256(out.cast(), bytes),
                16 => return _mm_storeu_si128(out.cast(), _mm256_castsi256_si128(bytes)),
                8 => return _mm_storel_epi64(out.cast(), _mm256_castsi256_si128(bytes)),
                _ => {}
            }
            let mut copy = [0_i8; 32];
            _mm256_storeu_si256(copy.as_mut_ptr().cast(), bytes);
            out.copy_from_nonoverlapping(copy.as_ptr(), len);
        }
    }

    #[inline(always)]
    unsafe fn store_all(vector: __m256i, out: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe { _mm256_storeu_si256(out.cast(), vector) }
    }
}
