//! What a run is given besides its configuration.

use std::path::Path;

use anyhow::{Context, Result};
use cfm_model::{bounded_file, output};
use cfm_sim::dataset::Dataset;
use cfm_sim::eval_part::{Fingerprint, Photographs};
use cfm_train::checkpoint::Checkpoint;
use cfm_train::config::Config;
use cfm_train::data;
use cfm_train::device::Backend;
use cfm_train::train_loop::first_weights;
use serde::{Deserialize, Serialize};

/// The photographs and the first weights; with others it would be another run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// What is trained on.
    train: Photographs,
    /// What is validated on.
    val: Photographs,
    /// What is taken of the network at the end of the float phase of another run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<Fingerprint>,
}

/// The file in a run's folder.
const FILE: &str = "inputs.json";
/// Most bytes of it.
const MAX_FILE: u64 = 1 << 20;

impl Inputs {
    /// Those of a run in `folder` that starts with the backbone of the run in `init`. One that goes on needs not be told
    /// what it started with.
    pub fn of(
        dataset: &Dataset,
        config: &Config,
        folder: &Path,
        init: Option<&Path>,
    ) -> Result<Self> {
        let [train, val] = data::ids(dataset, config)?;
        let photographs = |split, ids| Photographs::new(dataset.description(), split, ids);
        let init = init.map(|folder| {
            let classes = dataset.description().classes.len();
            let network = first_weights(folder, config, classes, &Backend::default().device())?;
            // Not the file, in which repeats of one run differ.
            anyhow::Ok(Fingerprint::of(&network.backbone_bytes()))
        });
        let init = match init.transpose()? {
            None if Checkpoint::of(folder).exists() => Self::read(folder)?.init,
            init => init,
        };
        Ok(Self {
            train: photographs(&config.data.train, &train),
            val: photographs(&config.data.val, &val),
            init,
        })
    }

    /// Those that the folder's run was begun with.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = bounded_file::read_text(&path, MAX_FILE).with_context(|| {
            format!(
                "cannot read {}, which says what the run was begun with",
                path.display()
            )
        })?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Writes them into the folder of a run.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        output::write(&path, &serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
