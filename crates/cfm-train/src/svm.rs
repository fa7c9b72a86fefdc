//! Linear support vector machines, one against the rest, with hard negative mining.
//!
//! Each output has a machine of its own, which minimizes
//!
//! ```text
//! 1/2 |w|^2 + sum over samples of C_i * max(0, 1 - y_i * (w . x_i))^2
//! ```
//!
//! where x is a feature vector with a constant 1 at its end (for the bias), scaled so that the features' mean squared
//! length is 1. The dual,
//!
//! ```text
//! maximize  sum a_i - 1/2 |w|^2 - sum a_i^2 / (4 C_i),   w = sum a_i y_i x_i,   a_i >= 0
//! ```
//!
//! is solved by coordinate descent (Hsieh et al., "A Dual Coordinate Descent Method for Large-scale Linear SVM", ICML
//! 2008) until the two objectives are close, so how far a machine is from the optimum is known and not hoped for; but for
//! at most 2000 passes over the samples.
//!
//! Most negatives are easy. A machine starts with all positives and some negatives, and then takes in the negatives
//! that violate their margin, round by round, until few do or the configured rounds are over (Felzenszwalb et al., TPAMI
//! 2010). A negative that keeps its
//! margin has `a_i = 0` in the optimum, so when none is left the machine is the one of all samples.

use rayon::prelude::*;

use crate::config::SvmConfig;
use crate::random::{Purpose, Stream};

/// Feature vectors in 8-bit steps, as the quantized network computes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// The vectors, one after the other.
    pub steps: Vec<u8>,
    /// Elements of a vector.
    pub width: usize,
    /// Value of a step.
    pub step: f64,
}

/// A machine: the margin of features x is `weights . x + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// One weight per feature.
    pub weights: Vec<f64>,
    /// The bias.
    pub bias: f64,
}

impl Features {
    /// Number of vectors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len() / self.width.max(1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn row(&self, index: usize) -> &[u8] {
        &self.steps[index * self.width..][..self.width]
    }

    /// The factor that gives steps a mean squared length of 1.
    fn scale(&self) -> f64 {
        let squares: u64 = self
            .steps
            .par_iter()
            .map(|&q| u64::from(q) * u64::from(q))
            .sum();
        (self.len() as f64 / squares.max(1) as f64).sqrt()
    }
}

impl Machine {
    /// The margin of vector `index`.
    #[must_use]
    pub fn margin(&self, features: &Features, index: usize) -> f64 {
        dot(&self.weights, features.row(index)) * features.step + self.bias
    }
}

fn dot(weights: &[f64], row: &[u8]) -> f64 {
    weights
        .iter()
        .zip(row)
        .map(|(w, &q)| w * f64::from(q))
        .sum()
}

/// Trains a machine for each of `outputs` classes against all others; `classes` holds the class of every vector. `done` is
/// called after each.
#[must_use]
pub fn one_against_the_rest(
    features: &Features,
    classes: &[u8],
    outputs: usize,
    config: &SvmConfig,
    seed: u64,
    done: impl Fn() + Sync,
) -> Vec<Machine> {
    let scale = features.scale();
    (0..outputs)
        .into_par_iter()
        .map(|output| {
            let mut random = Stream::new(seed, Purpose::Svm, output as u64, 0);
            let mut solver = Solver::new(features, scale, config);
            let positive = |index: usize| usize::from(classes[index]) == output;
            mine(&mut solver, positive, config, &mut random);
            done();
            solver.machine()
        })
        .collect()
}

/// Trains on the positives and on negatives that are mined.
fn mine(
    solver: &mut Solver<'_>,
    positive: impl Fn(usize) -> bool,
    config: &SvmConfig,
    random: &mut Stream,
) {
    let (positives, mut negatives): (Vec<usize>, Vec<usize>) =
        (0..solver.features.len()).partition(|&index| positive(index));
    for &index in &positives {
        solver.add(index, true);
    }
    let all_negatives = negatives.len();
    random.shuffle(&mut negatives);
    let wanted = positives
        .len()
        .max(1)
        .saturating_mul(config.first_negatives);
    let first = wanted.min(all_negatives);
    for index in negatives.drain(..first) {
        solver.add(index, false);
    }
    solver.solve(config.gap, random);
    for _ in 0..config.rounds {
        let mut hard: Vec<(f64, usize)> = negatives
            .iter()
            .map(|&index| (solver.margin(index), index))
            .filter(|&(margin, _)| margin > -1.0)
            .collect();
        if hard.len() as f64 <= config.few * all_negatives as f64 {
            break;
        }
        hard.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        hard.truncate(config.round_negatives);
        let mut taken: Vec<usize> = hard.iter().map(|&(_, index)| index).collect();
        for &index in &taken {
            solver.add(index, false);
        }
        taken.sort_unstable();
        negatives.retain(|index| taken.binary_search(index).is_err());
        solver.solve(config.gap, random);
    }
}

/// One of the samples a machine is trained on.
#[derive(Debug, Clone, Copy)]
struct Sample {
    index: usize,
    /// 1 or -1.
    sign: f64,
    cost: f64,
    /// Dual variable.
    alpha: f64,
    /// Squared length of the scaled vector with its constant.
    square: f64,
}

/// The problem of one machine, with its primal and dual variables.
#[derive(Debug)]
struct Solver<'f> {
    features: &'f Features,
    scale: f64,
    costs: [f64; 2],
    samples: Vec<Sample>,
    /// Weights of the scaled features.
    weights: Vec<f64>,
    bias: f64,
}

/// Most passes over the samples; a safeguard, since each pass lessens the gap.
const MOST_PASSES: usize = 2000;

impl<'f> Solver<'f> {
    fn new(features: &'f Features, scale: f64, config: &SvmConfig) -> Self {
        Self {
            features,
            scale,
            costs: [config.cost, config.cost * config.positive_weight],
            samples: Vec::new(),
            weights: vec![0.0; features.width],
            bias: 0.0,
        }
    }

    fn add(&mut self, index: usize, positive: bool) {
        let squares: u64 = self
            .features
            .row(index)
            .iter()
            .map(|&q| u64::from(q) * u64::from(q))
            .sum();
        self.samples.push(Sample {
            index,
            sign: if positive { 1.0 } else { -1.0 },
            cost: self.costs[usize::from(positive)],
            alpha: 0.0,
            square: squares as f64 * self.scale * self.scale + 1.0,
        });
    }

    fn margin(&self, index: usize) -> f64 {
        dot(&self.weights, self.features.row(index)) * self.scale + self.bias
    }

    /// Coordinate descent from the dual variables as they are, until the gap is small.
    fn solve(&mut self, gap: f64, random: &mut Stream) {
        let mut order: Vec<usize> = (0..self.samples.len()).collect();
        for _ in 0..MOST_PASSES {
            random.shuffle(&mut order);
            for &at in &order {
                self.update(at);
            }
            let (primal, dual) = self.objectives();
            if primal - dual <= gap * primal {
                break;
            }
        }
    }

    /// Minimizes over one dual variable.
    fn update(&mut self, at: usize) {
        let Sample {
            index,
            sign,
            cost,
            alpha,
            square,
        } = self.samples[at];
        let diagonal = 1.0 / (2.0 * cost);
        let gradient = sign * self.margin(index) - 1.0 + diagonal * alpha;
        let new = (alpha - gradient / (square + diagonal)).max(0.0);
        let change = (new - alpha) * sign;
        if change != 0.0 {
            self.samples[at].alpha = new;
            self.bias += change;
            let change = change * self.scale;
            for (w, &q) in self.weights.iter_mut().zip(self.features.row(index)) {
                *w += change * f64::from(q);
            }
        }
    }

    /// The primal and the dual objective.
    fn objectives(&self) -> (f64, f64) {
        let squares: f64 = self.weights.iter().map(|w| w * w).sum();
        let half = 0.5 * (squares + self.bias * self.bias);
        let (mut primal, mut dual) = (half, -half);
        for sample in &self.samples {
            let slack = (1.0 - sample.sign * self.margin(sample.index)).max(0.0);
            primal += sample.cost * slack * slack;
            dual += sample.alpha - sample.alpha * sample.alpha / (4.0 * sample.cost);
        }
        (primal, dual)
    }

    fn machine(&self) -> Machine {
        let factor = self.scale / self.features.step;
        Machine {
            weights: self.weights.iter().map(|w| w * factor).collect(),
            bias: self.bias,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: SvmConfig = SvmConfig {
        cost: 1.0,
        positive_weight: 3.0,
        first_negatives: 1,
        rounds: 100,
        round_negatives: 7,
        few: 0.0,
        gap: 1e-9,
    };

    /// Three clouds of `count` points each, `noise` wide, with their classes; a share of the classes is wrong.
    fn clouds(count: usize, noise: f32, wrong: f32, seed: u64) -> (Features, Vec<u8>) {
        let mut random = Stream::new(seed, Purpose::Sample, 0, 0);
        let (mut steps, mut classes) = (Vec::new(), Vec::new());
        for _ in 0..count {
            for class in 0..3_u8 {
                for axis in 0..4_u8 {
                    let centre = if axis == class { 160.0 } else { 60.0 };
                    let value = centre + noise * random.normal();
                    steps.push(value.round().clamp(0.0, 255.0) as u8);
                }
                let flipped = random.unit() < wrong;
                classes.push(if flipped { (class + 1) % 3 } else { class });
            }
        }
        let features = Features {
            steps,
            width: 4,
            step: 0.25,
        };
        (features, classes)
    }

    /// The problem of one output in real numbers: rows scaled and with their constant, signs, costs.
    type Dense = (Vec<Vec<f64>>, Vec<f64>, Vec<f64>);

    fn dense(features: &Features, classes: &[u8], output: u8, config: &SvmConfig) -> Dense {
        let rows: Vec<Vec<f64>> = features
            .steps
            .chunks(features.width)
            .map(|row| row.iter().map(|&q| f64::from(q) * features.step).collect())
            .collect();
        let mean = rows.iter().flatten().map(|x| x * x).sum::<f64>() / rows.len() as f64;
        let rows = rows
            .into_iter()
            .map(|row| row.iter().map(|x| x / mean.sqrt()).chain([1.0]).collect())
            .collect();
        let signs: Vec<f64> = classes
            .iter()
            .map(|&class| if class == output { 1.0 } else { -1.0 })
            .collect();
        let costs = signs
            .iter()
            .map(|&sign| {
                if sign > 0.0 {
                    config.cost * config.positive_weight
                } else {
                    config.cost
                }
            })
            .collect();
        (rows, signs, costs)
    }

    /// The machine as a vector over [`dense`]'s rows.
    fn vector(machine: &Machine, features: &Features) -> Vec<f64> {
        let scale = features.scale() / features.step;
        let weights = machine.weights.iter().map(|w| w / scale);
        weights.chain([machine.bias]).collect()
    }

    fn product(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn objective((rows, signs, costs): &Dense, w: &[f64]) -> f64 {
        let losses = rows
            .iter()
            .zip(signs)
            .zip(costs)
            .map(|((row, sign), cost)| cost * (1.0 - sign * product(row, w)).max(0.0).powi(2));
        0.5 * product(w, w) + losses.sum::<f64>()
    }

    /// The gradient of the (differentiable, strongly convex) primal objective: zero at the optimum and nowhere else.
    fn gradient((rows, signs, costs): &Dense, w: &[f64]) -> Vec<f64> {
        let mut gradient = w.to_vec();
        for ((row, sign), cost) in rows.iter().zip(signs).zip(costs) {
            let slack = (1.0 - sign * product(row, w)).max(0.0);
            for (g, x) in gradient.iter_mut().zip(row) {
                *g -= 2.0 * cost * slack * sign * x;
            }
        }
        gradient
    }

    #[test]
    fn separable_clouds_are_separated() {
        let (features, classes) = clouds(40, 5.0, 0.0, 1);
        let config = SvmConfig {
            cost: 100.0,
            ..EXACT
        };
        let machines = one_against_the_rest(&features, &classes, 3, &config, 9, || ());
        for (output, machine) in (0_u8..).zip(&machines) {
            for (index, &class) in classes.iter().enumerate() {
                let margin = machine.margin(&features, index);
                assert!(
                    (margin > 0.5) == (class == output),
                    "{output} {index} {margin}"
                );
            }
        }
    }

    #[test]
    fn mined_machines_are_the_optimum_over_all_samples() {
        for (seed, noise, wrong) in [(2, 20.0, 0.0), (3, 60.0, 0.1), (4, 90.0, 0.3)] {
            let (features, classes) = clouds(60, noise, wrong, seed);
            let machines = one_against_the_rest(&features, &classes, 3, &EXACT, 5, || ());
            for (output, machine) in (0_u8..).zip(&machines) {
                let problem = dense(&features, &classes, output, &EXACT);
                let w = vector(machine, &features);
                // Strong convexity with modulus 1: the objective exceeds the optimum by at most |gradient|^2 / 2.
                let g = gradient(&problem, &w);
                let (value, excess) = (objective(&problem, &w), product(&g, &g) / 2.0);
                assert!(
                    excess <= 1e-4 * value,
                    "{seed} {output}: {excess} of {value}"
                );
            }
        }
    }

    #[test]
    fn the_gap_bounds_the_distance_to_the_optimum() {
        let (features, classes) = clouds(60, 70.0, 0.2, 6);
        let coarse = SvmConfig { gap: 0.05, ..EXACT };
        let train =
            |config: &SvmConfig| one_against_the_rest(&features, &classes, 3, config, 5, || ());
        for (output, (fine, coarse)) in (0_u8..).zip(train(&EXACT).iter().zip(&train(&coarse))) {
            let problem = dense(&features, &classes, output, &EXACT);
            let value = |machine| objective(&problem, &vector(machine, &features));
            assert!(value(coarse) >= value(fine) * (1.0 - 1e-6));
            assert!(value(coarse) <= value(fine) / (1.0 - 0.05) * (1.0 + 1e-6));
        }
    }

    #[test]
    fn the_seed_decides() {
        let (features, classes) = clouds(30, 60.0, 0.1, 7);
        let config = SvmConfig {
            rounds: 1,
            ..SvmConfig::default()
        };
        let train = |seed| one_against_the_rest(&features, &classes, 4, &config, seed, || ());
        assert_eq!(train(1), train(1));
        assert_ne!(train(1), train(2));
        // No sample of the fourth class: its machine says no to everything.
        let machine = &train(1)[3];
        assert!((0..features.len()).all(|index| machine.margin(&features, index) < 0.0));
    }
}
