//! Core against reference.

use maud::{Markup, html};

use super::format::count;
use super::table::Column::{Number, Text};
use super::table::head;
use crate::report::Report;

pub(super) fn content(report: &Report) -> Markup {
    let parity = &report.parity;
    let (elements, mismatches) = (parity.elements(), parity.mismatches());
    html! {
        p {
            "Everything was computed twice: by the integer core that runs on the target, and in 64-bit floating point by a reference that shares no kernel with it. "
            "All operations of the reference are exact, so that a single different number is an error."
        }
        @match parity.first_mismatch() {
            None => {
                p.verdict.good { "✓ " (count(elements)) " numbers in " (parity.tensors.len()) " tensors compared: 0 differ." }
            }
            Some(tensor) => {
                p.verdict.bad {
                    "✗ " (count(mismatches)) " of " (count(elements)) " numbers differ. The first tensor that does: "
                    (tensor.name) @if let Some(first) = &tensor.first { ", " (first) } "."
                }
            }
        }
        details {
            summary { "All " (parity.tensors.len()) " tensors" }
            table {
                (head(
                    "Numbers compared, in the order of computation; the tensors of all segments together.",
                    &[Text("Tensor"), Number("Compared"), Number("Differ")],
                ))
                tbody {
                    @for tensor in &parity.tensors {
                        tr {
                            th scope="row" { (tensor.name) @if let Some(first) = &tensor.first { br; small { (first) } } }
                            td.number { (count(tensor.elements)) }
                            td.number { (count(tensor.mismatches)) }
                        }
                    }
                }
            }
        }
    }
}
