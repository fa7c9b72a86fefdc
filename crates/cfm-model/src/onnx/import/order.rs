//! Weights in the project's order: channels last.

use crate::spec::Window;

use super::pathways::Part;

/// `[out][in][row][column]` to `[out][row][column][in]`.
pub fn channel_last<T: Copy>(weights: &[T], group_inputs: usize, window: Window) -> Vec<T> {
    let cells = usize::from(window.kernel[0]) * usize::from(window.kernel[1]);
    weights
        .chunks_exact((group_inputs * cells).max(1))
        .flat_map(|filter| {
            (0..cells)
                .flat_map(move |cell| (0..group_inputs).map(move |i| filter[i * cells + cell]))
        })
        .collect()
}

/// `[channel][bin]` of every level to `[bin][channel]`, in every row of a matrix.
pub fn in_project_order<T: Copy>(parts: &[Part], weights: &[T], lengths: &[usize]) -> Vec<T> {
    let inputs: usize = lengths.iter().sum();
    let mut ordered = Vec::with_capacity(weights.len());
    for row in weights.chunks_exact(inputs.max(1)) {
        let mut start = 0;
        for (&part, &length) in parts.iter().zip(lengths) {
            let stretch = &row[start..start + length];
            start += length;
            match part {
                Part::Level {
                    level, channels, ..
                } => {
                    let bins = usize::from(level) * usize::from(level);
                    for bin in 0..bins {
                        ordered.extend((0..channels).map(|c| stretch[c * bins + bin]));
                    }
                }
                Part::Pyramid { .. } | Part::Layer(_) => ordered.extend(stretch),
            }
        }
    }
    ordered
}
