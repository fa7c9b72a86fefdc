//! The heads of tables.

use maud::{Markup, html};

/// The title of a column.
pub(super) enum Column {
    /// Text, on the left.
    Text(&'static str),
    /// Numbers, on the right.
    Number(&'static str),
}

/// What a table shows, and the titles of its columns.
pub(super) fn head(caption: &str, columns: &[Column]) -> Markup {
    html! {
        caption { (caption) }
        thead {
            tr {
                @for column in columns {
                    @match column {
                        Column::Text(title) => { th scope="col" { (title) } }
                        Column::Number(title) => { th.number scope="col" { (title) } }
                    }
                }
            }
        }
    }
}
