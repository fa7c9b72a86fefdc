//! The candidate segments of the photographs, made once and kept in memory.

use cfm_core::image::ImageView;
use cfm_proposals::Params;
use cfm_sim::pipeline::ProposalMemory;
use rayon::prelude::*;

use crate::config::InputSize;
use crate::data::Photo;

/// A superpixel map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Superpixel of every pixel, row-major.
    pub labels: Vec<u16>,
    /// Superpixels.
    pub count: u16,
}

/// A candidate segment: a set of superpixels of one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which map.
    pub map: usize,
    /// Which superpixels.
    pub members: Vec<u16>,
}

/// The candidate segments of one photograph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// The superpixel maps.
    pub maps: Vec<Map>,
    /// The segments.
    pub segments: Vec<Candidate>,
}

/// Why no segments could be proposed.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// The photograph does not have the input's size.
    #[error("{id}: {source}")]
    Image {
        /// The photograph.
        id: String,
        /// What is wrong.
        source: cfm_core::image::ImageError,
    },
    /// The proposals failed.
    #[error("{id}: {source}")]
    Proposals {
        /// The photograph.
        id: String,
        /// What is wrong.
        source: cfm_proposals::ProposalError,
    },
}

/// Proposes segments for all photographs, calling `done` after each.
///
/// # Errors
/// The first photograph that does not have the input's size, or is too large.
pub fn candidates(
    photos: &[Photo],
    size: InputSize,
    params: &Params,
    done: impl Fn() + Sync,
) -> Result<Vec<Candidates>, CandidateError> {
    photos
        .par_iter()
        .map(|photo| {
            let found = of_photo(photo, size, params);
            done();
            found
        })
        .collect()
}

fn of_photo(photo: &Photo, size: InputSize, params: &Params) -> Result<Candidates, CandidateError> {
    let image = ImageView::rgb(&photo.pixels, size.width, size.height).map_err(|source| {
        CandidateError::Image {
            id: photo.id.clone(),
            source,
        }
    })?;
    let mut memory = ProposalMemory::default();
    let found = memory
        .propose(image, params)
        .map_err(|source| CandidateError::Proposals {
            id: photo.id.clone(),
            source,
        })?;
    Ok(Candidates {
        maps: found
            .maps()
            .iter()
            .map(|map| Map {
                labels: map.labels().to_vec(),
                count: map.count(),
            })
            .collect(),
        segments: found
            .iter()
            .map(|proposal| Candidate {
                map: proposal.map,
                members: proposal.members.to_vec(),
            })
            .collect(),
    })
}
