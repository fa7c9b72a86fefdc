//! The order in which the core's executor computes rows, which the image program follows.
//!
//! The rule is the core's: *run the deepest layer whose next output row is computable*. A test holds both against each
//! other.

use cfm_core::model::{Model, Operation, Window};

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next row of the image arrives.
    Image,
    /// A layer computes a row of its output.
    Row { layer: usize, y: u16 },
}

/// All steps of an image.
pub(crate) fn steps(model: &Model<'_>) -> Vec<Step> {
    let layers: Vec<Reader> = model
        .layers()
        .map(|layer| {
            let window = match layer.operation {
                Operation::Conv2d(conv) => conv.window,
                Operation::MaxPool { window } | Operation::AvgPool { window } => window,
                Operation::Add { .. } => Window::UNIT,
            };
            let second = match layer.operation {
                Operation::Add { second, .. } => second,
                _ => layer.input,
            };
            Reader {
                window,
                inputs: [layer.input, second],
            }
        })
        .collect();
    let heights: Vec<u16> = model.tensors().iter().map(|t| t.shape.height).collect();
    let mut produced = vec![0_u16; heights.len()];
    let mut steps = Vec::new();
    for _ in 0..model.input().height {
        steps.push(Step::Image);
        produced[0] += 1;
        while let Some(layer) =
            (0..layers.len()).rfind(|&layer| layers[layer].is_ready(layer, &heights, &produced))
        {
            let y = produced[layer + 1];
            steps.push(Step::Row { layer, y });
            produced[layer + 1] += 1;
        }
    }
    steps
}

struct Reader {
    window: Window,
    inputs: [usize; 2],
}

impl Reader {
    fn is_ready(&self, layer: usize, heights: &[u16], produced: &[u16]) -> bool {
        let y = produced[layer + 1];
        y < heights[layer + 1] && {
            let (_, end) = self.window.input_rows(y, heights[self.inputs[0]]);
            self.inputs.iter().all(|&input| end <= produced[input])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfm_conformance::case::{Case, Content};
    use cfm_conformance::cases::CASES;
    use cfm_core::executor::Executor;

    #[test]
    fn the_order_is_the_executors() {
        for (name, file) in CASES {
            let case = Case::parse(file).unwrap();
            let model = Model::parse(case.get(Content::Model).unwrap()).unwrap();
            let mut arena = vec![0; model.arena_bytes()];
            let mut executor = Executor::new(&model, &mut arena).unwrap();
            let mut seen = Vec::new();
            for _ in 0..model.input().height {
                let row = vec![0; model.input().row_len()];
                executor
                    .push_row_observed(&row, |tensor, y, _| {
                        seen.push(match tensor {
                            0 => Step::Image,
                            _ => Step::Row {
                                layer: tensor - 1,
                                y,
                            },
                        });
                    })
                    .unwrap();
            }
            assert_eq!(steps(&model), seen, "{name}");
        }
    }
}
