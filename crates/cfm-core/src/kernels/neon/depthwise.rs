//! Depthwise convolution: plain loops over the channels, of which the compiler makes `SMULL` and `SMLAL`.

use super::Neon;
use crate::kernels::depthwise::Lanes;
use crate::kernels::scratch::as_bytes;

impl Lanes for Neon {
    fn one_tap(sums: &mut [u32], filters: &[u32], cell: &[i8]) {
        let products = as_bytes(filters).iter().zip(cell);
        for (sum, (&w, &x)) in sums.iter_mut().zip(products) {
            let product = i16::from(w) * i16::from(x);
            *sum = sum.wrapping_add_signed(product.into());
        }
    }

    fn three_taps(sums: &mut [u32], filters: &[u32], cells: &[i8]) {
        let channels = sums.len();
        let (filters, cells) = (as_bytes(filters), |tap: usize| {
            cells.get(tap * channels..).unwrap_or(&[])
        });
        let filter = |tap: usize| filters.get(tap * channels..).unwrap_or(&[]);
        let first = filter(0).iter().zip(cells(0));
        let second = filter(1).iter().zip(cells(1));
        let third = filter(2).iter().zip(cells(2));
        let products = first.zip(second).zip(third);
        for (sum, (((&w0, &x0), (&w1, &x1)), (&w2, &x2))) in sums.iter_mut().zip(products) {
            // Two products fit into 16 bits, since no weight is -128.
            let two = i16::from(w0) * i16::from(x0) + i16::from(w1) * i16::from(x1);
            let third = i16::from(w2) * i16::from(x2);
            *sum = sum.wrapping_add_signed(i32::from(two) + i32::from(third));
        }
    }
}
