//! A run from the first step to the exported model: float training, folding, calibration, fine-tuning.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::Device;
use cfm_core::model::{Model, ModelError};
use cfm_model::quantize::range::NotFinite;
use cfm_sim::dataset::{Dataset, Kind};
use cfm_sim::evaluate::Evaluation;
use cfm_sim::proposal_config::ProposalConfigError;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::augment::Augmentation;
use crate::calibrate;
use crate::checkpoint::{Checkpoint, CheckpointError, Phase, Position};
use crate::config::{ClassifierConfig, Config, ConfigError, SamplingMethod};
use crate::data::{self, DataError, Photo};
use crate::device::Backend;
use crate::evaluate::{EvaluateError, Evaluator};
use crate::export::{self, ExportError};
use crate::log::{self, Entry, LogError};
use crate::loss;
use crate::network::{Exponents, Network, image_tensor};
use crate::pretrained::{Pretrained, PretrainedError};
use crate::projection::ProjectionError;
use crate::proposals::{CandidateError, Candidates, candidates};
use crate::random::{Purpose, Stream};
use crate::sampling::ground_truth::{GroundTruthError, Objects};
use crate::sampling::paper::Roles;
use crate::sampling::{Sample, Source};
use crate::schedule::{cosine, one_cycle};
use crate::segment_loss;
use crate::svm_head;

/// Why a run stops.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data set cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The proposals' parameters make no sense.
    #[error(transparent)]
    Proposals(#[from] ProposalConfigError),
    /// No segments could be proposed.
    #[error(transparent)]
    Candidates(#[from] CandidateError),
    /// The ground-truth segments cannot be read.
    #[error(transparent)]
    GroundTruth(#[from] GroundTruthError),
    /// Segments cannot be projected.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// Validation failed.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The network cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The pretrained weights cannot be used.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    /// The configuration makes no sense, or that of the run to start from cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The run to start from has another backbone.
    #[error("{0}: the run has another backbone")]
    OtherBackbone(String),
    /// The core refuses the exported network.
    #[error("the core refuses the network: {0}")]
    Model(#[from] ModelError),
    /// The checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log cannot be kept.
    #[error("the run's log: {0}")]
    Log(#[from] LogError),
    /// The network computes what is no number.
    #[error("the network has diverged: {0}")]
    NotFinite(#[from] NotFinite),
    /// The support vector machines cannot be trained.
    #[error(transparent)]
    Svm(#[from] svm_head::FitError),
    /// The head has nothing to learn from.
    #[error(
        "no segment was drawn in epoch {epoch} of the {phase:?} phase: none is as large as the sampling's smallest, or \
         none is an example of anything by its thresholds"
    )]
    NoSegment {
        /// The part of the run.
        phase: Phase,
        /// The pass, from 1.
        epoch: usize,
    },
    /// The loss is not a number any more.
    #[error("the loss is no longer finite in epoch {epoch}, step {step}: lower the learning rate")]
    Diverged {
        /// The pass.
        epoch: usize,
        /// The step.
        step: usize,
    },
}

/// What a run is given.
pub struct Run<'a> {
    /// The data set.
    pub dataset: &'a Dataset,
    /// The configuration.
    pub config: &'a Config,
    /// Where checkpoint and log go.
    pub folder: &'a Path,
    /// Take the backbone and the side classifier from the end of another run's float phase: its folder.
    pub init: Option<&'a Path>,
    /// What the model says of how it was made.
    pub provenance: &'a [(String, String)],
    /// Where to compute.
    pub backend: Backend,
    /// Continue from the folder's checkpoint, if there is one.
    pub resume: bool,
    /// Asked before every step, and after the last: true saves the checkpoint and stops.
    pub stop: &'a (dyn Fn(&Position) -> bool + Sync),
    /// Where progress is shown.
    pub progress: &'a MultiProgress,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was stopped; the checkpoint says where.
    Stopped(Position),
    /// The network is trained.
    Trained(Box<Trained>),
}

/// A trained network.
#[derive(Debug)]
pub struct Trained {
    /// The folded network, without gradients.
    pub network: Network,
    /// The exponents of its activations.
    pub exponents: Exponents,
    /// The last validation, through the fake quantizer.
    pub validation: Option<Evaluation>,
}

/// Everything that stays the same during a run.
struct Trainer<'a> {
    run: &'a Run<'a>,
    classes: usize,
    train: Vec<Photo>,
    val: Vec<Photo>,
    train_candidates: Vec<Candidates>,
    val_candidates: Vec<Candidates>,
    roles: Vec<Roles>,
    class_weights: Vec<f32>,
    device: Device,
}

/// What a step of gradient descent tells.
struct Step {
    /// The dense loss and that of the segments.
    losses: [f64; 2],
    /// Segments that were drawn.
    segments: usize,
}

/// What changes.
struct State {
    network: Network,
    optimizer: ModuleOptimizer,
    position: Position,
}

/// Trains until the end, or until [`Run::stop`] says so.
///
/// # Errors
/// See [`TrainError`].
pub fn train(run: &Run<'_>) -> Result<Outcome, TrainError> {
    run.config.check()?;
    data::check_classes(run.dataset)?;
    let mut trainer = Trainer::new(run);
    let checkpoint = Checkpoint::of(run.folder);
    let mut state = trainer.start(&checkpoint)?;
    // What the core refuses, it refuses before the photographs are read and segments proposed, which takes long.
    Model::parse(&trainer.geometry(&state)?)?;
    trainer.read()?;
    if state.position.phase == Phase::Float {
        if !trainer.phase(&mut state, &checkpoint)? {
            return Ok(Outcome::Stopped(state.position));
        }
        Checkpoint::of_float_phase(run.folder).save(
            &state.network,
            &state.optimizer,
            &state.position,
        )?;
        trainer.fold(&mut state)?;
        checkpoint.save(&state.network, &state.optimizer, &state.position)?;
    }
    if !trainer.phase(&mut state, &checkpoint)? {
        return Ok(Outcome::Stopped(state.position));
    }
    // What follows is made anew when the run is continued.
    if (run.stop)(&state.position) {
        return Ok(Outcome::Stopped(state.position));
    }
    trainer.fit_svm(&mut state)?;
    let validation = trainer.validate(&state)?;
    if let Some(validation) = &validation {
        let (miou, accuracy) = (validation.miou, validation.global_accuracy);
        if let Some(line) = log::validated(run.folder, rounded(miou), rounded(accuracy))? {
            trainer.say(&line);
        }
    }
    let State {
        network, position, ..
    } = state;
    Ok(Outcome::Trained(Box::new(Trained {
        network: network.valid(),
        exponents: position.exponents.unwrap_or_else(|| trainer.unscaled()),
        validation,
    })))
}

impl<'a> Trainer<'a> {
    /// Without photographs.
    fn new(run: &'a Run<'a>) -> Self {
        Self {
            run,
            classes: run.dataset.description().classes.len(),
            train: Vec::new(),
            val: Vec::new(),
            train_candidates: Vec::new(),
            val_candidates: Vec::new(),
            roles: Vec::new(),
            class_weights: Vec::new(),
            device: run.backend.device().autodiff(),
        }
    }

    /// Reads the photographs and proposes their segments.
    fn read(&mut self) -> Result<(), TrainError> {
        let run = self.run;
        let config = run.config;
        let [train, val] = data::ids(run.dataset, config)?;
        let train = data::read(run.dataset, train, config.input, false)?;
        let val = data::read(run.dataset, val, config.input, true)?;
        let bar = bar(run.progress, (train.len() + val.len()) as u64, "segments");
        let params = config.proposals.params()?;
        let propose = |photos: &[Photo]| candidates(photos, config.input, &params, || bar.inc(1));
        self.train_candidates = propose(&train)?;
        self.val_candidates = propose(&val)?;
        bar.finish_and_clear();
        self.roles = Self::roles(run, &train, &self.train_candidates)?;
        self.class_weights = loss::class_weights(&train, self.classes);
        (self.train, self.val) = (train, val);
        Ok(())
    }

    /// The state at the start, or that of the checkpoint.
    fn start(&self, checkpoint: &Checkpoint) -> Result<State, TrainError> {
        let network = Network::new(self.run.config, self.classes, &self.device);
        let frozen = self.run.config.float.frozen_layers;
        let optimizer = self.optimizer();
        if !(self.run.resume && checkpoint.exists()) {
            let position = Position::START;
            return Ok(State {
                network: self.initialized(network)?.frozen(frozen),
                optimizer,
                position,
            });
        }
        let position = checkpoint.position()?;
        let network = match position.phase {
            Phase::Float => network,
            Phase::Quantized => network.folded(),
        };
        let (network, optimizer) = checkpoint.load(network, optimizer)?;
        // As folding leaves it.
        let network = match position.phase {
            Phase::Float => network.frozen(frozen),
            Phase::Quantized => network,
        };
        Ok(State {
            network,
            optimizer,
            position,
        })
    }

    /// The network with the weights that it does not start without: pretrained ones, or those of another run.
    fn initialized(&self, network: Network) -> Result<Network, TrainError> {
        let config = self.run.config;
        let Some(folder) = self.run.init else {
            return Ok(match &config.pretrained {
                Some(name) => network.pretrained(&Pretrained::open(name)?, &config.backbone)?,
                None => network,
            });
        };
        let trained = first_weights(folder, config, self.classes, &self.device)?;
        Ok(Network {
            layers: trained.layers,
            side: trained.side,
            ..network
        })
    }

    fn optimizer(&self) -> ModuleOptimizer {
        let phase = &self.run.config.float;
        let momentum = MomentumConfig::new()
            .with_momentum(phase.momentum)
            .with_dampening(0.0);
        SgdConfig::new()
            .with_momentum(Some(momentum))
            .with_weight_decay(Some(WeightDecayConfig::new(phase.weight_decay)))
            .init()
    }

    /// From the float phase to the quantized one: folds the normalization, which frees the frozen layers, chooses the
    /// exponents, forgets the momentum.
    fn fold(&self, state: &mut State) -> Result<(), TrainError> {
        let network = state.network.clone().folded();
        let bytes = self.model_bytes(&network, &self.unscaled())?;
        let model = Model::parse(&bytes)?;
        let config = self.run.config;
        let mut order: Vec<usize> = (0..self.train.len()).collect();
        Stream::new(config.seed, Purpose::Calibration, 0, 0).shuffle(&mut order);
        order.truncate(config.quantized.calibration_images.max(1));
        let samples = order
            .into_par_iter()
            .map(|index| {
                let mut random = Stream::new(config.seed, Purpose::Calibration, 1, index as u64);
                self.sample(index, Augmentation::NONE, true, &model, &mut random)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let exponents = calibrate::exponents(
            &network.valid(),
            &samples,
            config.input.width.into(),
            config.input.height.into(),
        )?;
        *state = State {
            network,
            optimizer: self.optimizer(),
            position: Position {
                phase: Phase::Quantized,
                exponents: Some(exponents),
                ..Position::START
            },
        };
        Ok(())
    }

    /// Trains through the rest of the phase; false when stopped.
    fn phase(&self, state: &mut State, checkpoint: &Checkpoint) -> Result<bool, TrainError> {
        let config = self.run.config;
        let phase = state.position.phase;
        let epochs = match phase {
            Phase::Float => config.float.epochs,
            Phase::Quantized => config.quantized.epochs,
        };
        let bytes = self.geometry(state)?;
        let model = Model::parse(&bytes)?;
        let steps = (self.train.len() / config.float.batch).max(1);
        while state.position.epoch < epochs {
            let epoch = state.position.epoch;
            let started = Instant::now();
            let stage = match phase {
                Phase::Float => "float",
                Phase::Quantized => "int8",
            };
            let bar = bar(
                self.run.progress,
                steps as u64,
                &format!("{stage} {}/{epochs}", epoch + 1),
            );
            bar.set_position(state.position.step as u64);
            let order = self.order(phase, epoch);
            let mut rate = 0.0;
            while state.position.step < steps {
                let step = state.position.step;
                if (self.run.stop)(&state.position) {
                    bar.finish_and_clear();
                    checkpoint.save(&state.network, &state.optimizer, &state.position)?;
                    return Ok(false);
                }
                rate = self.rate(phase, epoch * steps + step, epochs * steps);
                let batch: Vec<usize> = order
                    .iter()
                    .copied()
                    .skip(step * config.float.batch)
                    .take(config.float.batch)
                    .collect();
                let Step { losses, segments } = self.step(state, &batch, rate, &model)?;
                if !losses.iter().all(|loss| loss.is_finite()) {
                    return Err(TrainError::Diverged { epoch, step });
                }
                for (sum, loss) in state.position.losses.iter_mut().zip(losses) {
                    *sum += loss;
                }
                state.position.segments += segments;
                state.position.step += 1;
                let mean = |sum: f64| sum / state.position.step as f64;
                bar.set_message(format!(
                    "dense {:.3}  segments {:.3}",
                    mean(state.position.losses[0]),
                    mean(state.position.losses[1])
                ));
                bar.inc(1);
            }
            bar.finish_and_clear();
            if self.wants_segments(&state.position) && state.position.segments == 0 {
                // The head would stay as it was drawn.
                let epoch = epoch + 1;
                return Err(TrainError::NoSegment { phase, epoch });
            }
            let losses = state.position.losses.map(|sum| sum / steps as f64);
            state.position.epoch += 1;
            state.position.step = 0;
            state.position.losses = [0.0; 2];
            state.position.segments = 0;
            let last = state.position.epoch == epochs;
            let every = config.validate_every;
            let due = last || (every > 0 && state.position.epoch.is_multiple_of(every));
            // After dense epochs only, the head labels at random. The end of the run is validated by the caller.
            let elsewhere = match phase {
                Phase::Float => state.position.epoch <= config.float.dense_epochs,
                Phase::Quantized => last,
            };
            let validation = if due && !elsewhere {
                self.validate(state)?
            } else {
                None
            };
            self.log(&Entry {
                phase,
                epoch: state.position.epoch,
                rate: (rate * 1e6).round() / 1e6,
                dense_loss: rounded(losses[0]),
                segment_loss: rounded(losses[1]),
                miou: validation.as_ref().map(|v| rounded(v.miou)),
                accuracy: validation.as_ref().map(|v| rounded(v.global_accuracy)),
                seconds: (started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            })?;
            // After the log: killed in between, the run logs this pass again, in the place of the first time.
            checkpoint.save(&state.network, &state.optimizer, &state.position)?;
        }
        Ok(true)
    }

    fn order(&self, phase: Phase, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.train.len()).collect();
        let seed = self.run.config.seed;
        Stream::new(seed, Purpose::Order, phase as u64, epoch as u64).shuffle(&mut order);
        order
    }

    fn rate(&self, phase: Phase, step: usize, steps: usize) -> f64 {
        let config = self.run.config;
        match phase {
            Phase::Float => one_cycle(step, steps, config.float.lr, config.float.warmup),
            Phase::Quantized => cosine(step as f64, steps as f64, config.quantized.lr),
        }
    }

    fn sample(
        &self,
        index: usize,
        augmentation: Augmentation,
        segments: bool,
        model: &Model<'_>,
        random: &mut Stream,
    ) -> Result<Sample, ProjectionError> {
        self.source(index)
            .draw(&augmentation, segments, model, random)
    }

    fn source(&self, index: usize) -> Source<'_> {
        Source {
            photo: &self.train[index],
            candidates: &self.train_candidates[index],
            roles: self.roles.get(index),
            classes: self.classes,
            config: &self.run.config.sampling,
        }
    }

    /// What the segments of all photographs are examples of, if the sampling wants to know.
    fn roles(
        run: &Run<'_>,
        photos: &[Photo],
        candidates: &[Candidates],
    ) -> Result<Vec<Roles>, GroundTruthError> {
        let sampling = &run.config.sampling;
        if sampling.method == SamplingMethod::Share {
            return Ok(Vec::new());
        }
        let classes = &run.dataset.description().classes;
        let kinds: Vec<Kind> = classes.iter().map(|class| class.kind).collect();
        photos
            .par_iter()
            .zip(candidates)
            .map(|(photo, candidates)| {
                let objects = Objects::of(run.dataset, photo, &kinds)?;
                Ok(Roles::of(photo, candidates, &objects, &kinds, sampling))
            })
            .collect()
    }

    /// Puts support vector machines in the place of the softmax, if the head is to have them.
    fn fit_svm(&self, state: &mut State) -> Result<(), TrainError> {
        let (ClassifierConfig::Svm, Some(exponents)) = (
            self.run.config.head.classifier,
            state.position.exponents.as_ref(),
        ) else {
            return Ok(());
        };
        let bytes = self.geometry(state)?;
        let model = Model::parse(&bytes)?;
        let sources: Vec<Source<'_>> = (0..self.train.len()).map(|i| self.source(i)).collect();
        let network = state.network.valid();
        let outputs = network.head.classifier.weight.val().dims()[0];
        let bar = bar(self.run.progress, outputs as u64, "vector machines");
        let fitted = svm_head::fit(
            &network,
            exponents,
            &sources,
            &model,
            self.run.config,
            || bar.inc(1),
        );
        bar.finish_and_clear();
        let (machines, logits) = fitted?;
        state.network.head = state.network.head.clone().with_machines(&machines);
        state.position.exponents = Some(Exponents {
            logits,
            ..exponents.clone()
        });
        Ok(())
    }

    /// Whether the head is trained at this place, and not the backbone alone.
    fn wants_segments(&self, position: &Position) -> bool {
        position.phase == Phase::Quantized || position.epoch >= self.run.config.float.dense_epochs
    }

    /// One step of gradient descent.
    fn step(
        &self,
        state: &mut State,
        batch: &[usize],
        rate: f64,
        model: &Model<'_>,
    ) -> Result<Step, TrainError> {
        let config = self.run.config;
        let position = &state.position;
        let segments = self.wants_segments(position);
        let pass = match position.phase {
            Phase::Float => position.epoch,
            Phase::Quantized => config.float.epochs + position.epoch,
        };
        let samples = batch
            .par_iter()
            .map(|&index| {
                let mut random =
                    Stream::new(config.seed, Purpose::Sample, pass as u64, index as u64);
                let augmentation = Augmentation::draw(&config.augment, &mut random);
                self.sample(index, augmentation, segments, model, &mut random)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let pixels: Vec<&[u8]> = samples.iter().map(|s| s.pixels.as_slice()).collect();
        let images = image_tensor(
            &pixels,
            config.input.width.into(),
            config.input.height.into(),
            &self.device,
        );
        let network = &state.network;
        let exponents = position.exponents.as_ref();
        let features = network.features(images, exponents);
        let dense = loss::dense(
            network.side_logits(features.clone()),
            &samples,
            &self.class_weights,
        );
        let dense_value = f64::from(dense.clone().into_scalar::<f32>());
        let of_segments = segment_loss::of_samples(network, features, &samples, exponents);
        let segment_value = of_segments
            .as_ref()
            .map_or(0.0, |loss| f64::from(loss.clone().into_scalar::<f32>()));
        let loss = loss::total(of_segments, dense, segments, config.float.dense_weight);
        let mut gradients = loss.backward();
        let (pretrained, own) = network.parameters_by_origin(&config.backbone);
        let pretrained_rate = rate * config.float.pretrained_rate;
        for (parameters, rate) in [(own, rate), (pretrained, pretrained_rate)] {
            let gradients =
                GradientsParams::from_params(&mut gradients, &state.network, &parameters);
            state.network = state.optimizer.step(rate, state.network.clone(), gradients);
        }
        Ok(Step {
            losses: [dense_value, segment_value],
            segments: samples.iter().map(|sample| sample.segments.len()).sum(),
        })
    }

    /// Validates the network as it is, if there is anything to validate on.
    fn validate(&self, state: &State) -> Result<Option<Evaluation>, TrainError> {
        if self.val.is_empty() {
            return Ok(None);
        }
        let bytes = self.geometry(state)?;
        let model = Model::parse(&bytes)?;
        let exponents = state.position.exponents.as_ref();
        let network = state.network.valid();
        let evaluator = Evaluator {
            network: &network,
            exponents,
            model: &model,
            logit_exponent: exponents.map_or(self.unscaled().logits, |e| e.logits),
        };
        let bar = bar(self.run.progress, self.val.len() as u64, "validation");
        let description = self.run.dataset.description();
        let evaluation =
            evaluator.evaluate(&self.val, &self.val_candidates, description, || bar.inc(1));
        bar.finish_and_clear();
        match evaluation {
            Err(EvaluateError::Measure(cfm_sim::evaluate::EvaluateError::NoTruth)) => Ok(None),
            evaluation => Ok(Some(evaluation?)),
        }
    }

    /// A model of the network's geometry: what the core needs to project segments and to vote.
    fn geometry(&self, state: &State) -> Result<Vec<u8>, TrainError> {
        let unscaled = self.unscaled();
        let exponents = state.position.exponents.as_ref().unwrap_or(&unscaled);
        self.model_bytes(&state.network.valid().folded(), exponents)
    }

    fn model_bytes(&self, network: &Network, exponents: &Exponents) -> Result<Vec<u8>, TrainError> {
        // With all that the trained model will have, which cannot fail then what it does not fail now.
        let description = self.run.dataset.description();
        let provenance = self.run.provenance.to_vec();
        let model =
            export::float_model(network, exponents, self.run.config, description, provenance)?;
        Ok(export::to_cfm(&model)?)
    }

    /// Exponents for a network that has none: coarse activations, logits up to 128.
    fn unscaled(&self) -> Exponents {
        let residual = self.run.config.backbone.iter().filter(|l| l.residual > 0);
        Exponents {
            activations: vec![0; self.run.config.backbone.len() + residual.count()],
            hidden: 0,
            logits: -8,
        }
    }

    fn log(&self, entry: &Entry) -> Result<(), TrainError> {
        let line = log::append(self.run.folder, entry)?;
        self.say(&line);
        Ok(())
    }

    fn say(&self, line: &str) {
        if self.run.progress.is_hidden() {
            // A failure to print is no reason to stop.
            let _ = writeln!(io::stderr(), "{line}");
        } else {
            let _ = self.run.progress.println(line);
        }
    }
}

/// The network at the end of the float phase of the run in `folder`, whose backbone and side classifier a run of `config`
/// may start with.
///
/// # Errors
/// When the run cannot be read, or has another backbone or another number of classes.
pub fn first_weights(
    folder: &Path,
    config: &Config,
    classes: usize,
    device: &Device,
) -> Result<Network, TrainError> {
    let other = Config::read(Some(&folder.join("config.toml")), &[])?;
    if other.backbone != config.backbone {
        return Err(TrainError::OtherBackbone(folder.display().to_string()));
    }
    let network = Network::new(&other, classes, device);
    Ok(Checkpoint::of_float_phase(folder).load_network(network)?)
}

/// Four digits say all there is to say.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn bar(progress: &MultiProgress, length: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>14} {wide_bar} {pos}/{len} {eta} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = progress.add(ProgressBar::new(length).with_style(style));
    bar.set_prefix(what.to_owned());
    bar
}
