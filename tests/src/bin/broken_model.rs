//! Does not compile: the embedded model has a flipped bit. A test builds this program and expects the error.

use cfm_core::include_model;
use cfm_core::model::Model;

const MODEL: Model<'static> = include_model!("../../data/flipped_bit.cfm");

fn main() {
    println!("{}", MODEL.arena_bytes());
}
