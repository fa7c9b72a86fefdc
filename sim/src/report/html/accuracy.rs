//! The model on a data set.

use maud::{Markup, html};

use super::figure::measure;
use super::format::percent;
use super::result::swatch;
use super::table::Column::Text;
use super::table::head;
use crate::report::{ClassShare, OnDataset};

pub(super) fn content(on: &OnDataset, classes: &[ClassShare]) -> Markup {
    let evaluation = &on.evaluation;
    let color = |name: &str| {
        let class = classes
            .iter()
            .find(|class| class.name.eq_ignore_ascii_case(name));
        class.map(|class| class.color)
    };
    html! {
        p {
            "Measured on " (evaluation.images) " images of " strong { (on.dataset) } ", split " strong { (on.split) }
            ", at the resolution of their label images."
        }
        dl.facts {
            @for (name, value, meaning) in [
                ("Mean IoU", evaluation.miou, "over the classes below"),
                ("Pixels right", evaluation.global_accuracy, "of all pixels with a class"),
                ("Class average", evaluation.class_accuracy, "share of a class that is found, averaged"),
                ("Weighted IoU", evaluation.fwiou, "by the classes' frequency"),
            ] {
                div { dt { (name) } dd { (percent(value)) small { (meaning) } } }
            }
        }
        table {
            (head(
                "Intersection over union (IoU) of every class: 100 % where labels and truth agree.",
                &[Text("Class"), Text("IoU")],
            ))
            tbody {
                @for (name, iou) in &evaluation.class_iou.0 {
                    tr {
                        th scope="row" { @if let Some(color) = color(name) { (swatch(color)) " " } (name) }
                        td {
                            @match iou {
                                Some(iou) => { (measure(*iou, &percent(*iou))) }
                                None => { "not in these images" }
                            }
                        }
                    }
                }
            }
        }
    }
}
