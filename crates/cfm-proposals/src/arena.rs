//! Carving the caller's memory.

use crate::error::ProposalError;

/// Takes the first `count` words off `words`.
pub(crate) fn take<'a>(
    words: &mut &'a mut [u32],
    count: usize,
) -> Result<&'a mut [u32], ProposalError> {
    let (head, tail) = core::mem::take(words)
        .split_at_mut_checked(count)
        .ok_or(ProposalError::Words)?;
    *words = tail;
    Ok(head)
}
