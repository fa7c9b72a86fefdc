//! Parameters with a name.

use cfm_proposals::Params;

use super::{ProposalConfig, RankingConfig, ScaleConfig, SlicConfig, SmoothingConfig, SpaceConfig};

/// Ready-made parameters, at most 1000 proposals each; [`Street`](Self::Street) has at most 1024, [`Board`](Self::Board) 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Felzenszwalb-Huttenlocher superpixels of four scales, not grouped.
    Graph,
    /// SLIC superpixels of four spacings, not grouped.
    Slic,
    /// Selective search: superpixels by graph in RGB, Lab and HSV, hierarchies by all four similarities in the same
    /// three spaces and by texture, size and fill, ranked by level.
    SelectiveSearch,
    /// Combinatorial grouping: hierarchies by boundary strength over four maps, and pairs and triples of their
    /// regions, ranked by level.
    Combinatorial,
    /// [`Params::SCENE`].
    Scene,
    /// [`Params::DEFAULT`].
    Street,
    /// What fits on a microcontroller: one map of at most 256 superpixels, two hierarchies and pairs. With an RGB image
    /// of 160 x 120 pixels, image and proposals take less than 300 kB.
    Board,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Graph,
        Self::Slic,
        Self::SelectiveSearch,
        Self::Combinatorial,
        Self::Scene,
        Self::Street,
        Self::Board,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Slic => "slic",
            Self::SelectiveSearch => "selective-search",
            Self::Combinatorial => "combinatorial",
            Self::Scene => "scene",
            Self::Street => "street",
            Self::Board => "board",
        }
    }

    /// All names, for people.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The parameters in the form of a file.
    #[must_use]
    pub fn config(self) -> ProposalConfig {
        let graph = |k, min_size, space| ScaleConfig {
            k: Some(k),
            slic: None,
            min_size,
            space,
        };
        let slic = |spacing, min_size| ScaleConfig {
            k: None,
            slic: Some(SlicConfig {
                spacing,
                compactness: 20,
                iterations: 5,
            }),
            min_size,
            space: SpaceConfig::Lab,
        };
        let plain = ProposalConfig {
            smoothing: SmoothingConfig::Binomial3,
            mixes: Vec::new(),
            max_segments: 1000,
            min_growth: 24,
            ..ProposalConfig::default()
        };
        match self {
            Self::Graph => ProposalConfig {
                scales: [(100, 40), (300, 100), (1000, 300), (3000, 1000)]
                    .map(|(k, min_size)| graph(k, min_size, SpaceConfig::Rgb))
                    .to_vec(),
                ..plain
            },
            Self::Slic => ProposalConfig {
                scales: [(12, 30), (20, 80), (40, 300), (80, 1200)]
                    .map(|(spacing, min_size)| slic(spacing, min_size))
                    .to_vec(),
                ..plain
            },
            Self::SelectiveSearch => ProposalConfig {
                scales: vec![
                    graph(100, 40, SpaceConfig::Rgb),
                    graph(100, 40, SpaceConfig::Lab),
                    graph(100, 40, SpaceConfig::Hsv),
                    graph(300, 100, SpaceConfig::Lab),
                ],
                mixes: vec![[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]],
                mix_spaces: vec![SpaceConfig::Lab, SpaceConfig::Hsv],
                ranking: RankingConfig::Level,
                ..plain
            },
            Self::Combinatorial => ProposalConfig {
                scales: vec![
                    graph(100, 40, SpaceConfig::Rgb),
                    graph(100, 40, SpaceConfig::Lab),
                    graph(300, 100, SpaceConfig::Lab),
                    slic(20, 50),
                ],
                contours: true,
                pairs: 20,
                triples: 10,
                ranking: RankingConfig::Level,
                ..plain
            },
            Self::Scene => (&Params::SCENE).into(),
            Self::Street => (&Params::DEFAULT).into(),
            Self::Board => ProposalConfig {
                scales: vec![graph(100, 16, SpaceConfig::Lab)],
                mixes: vec![[1, 1, 1, 1]],
                mix_spaces: vec![SpaceConfig::Lab],
                contours: true,
                pairs: 10,
                ranking: RankingConfig::Level,
                max_superpixels: 256,
                max_segments: 256,
                ..plain
            },
        }
    }
}
