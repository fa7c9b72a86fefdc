//! Writes the golden cases: `tests/data/*.case`, and the list of them in `tests/src/cases.rs`.

#[path = "../tests/golden/mod.rs"]
mod golden;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = root.join("data");
    fs::create_dir_all(&data)?;
    for entry in fs::read_dir(&data)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "case") {
            fs::remove_file(path)?;
        }
    }
    let mut list = String::from(
        "//! All golden cases, embedded: name and bytes. Written by `--example make_cases`.\n\n\
         /// Every case, by name.\npub const CASES: &[(&str, &[u8])] = &[\n",
    );
    let cases = golden::make();
    for (name, bytes) in &cases {
        fs::write(data.join(format!("{name}.case")), bytes)?;
        let _ = writeln!(
            list,
            "    (\"{name}\", include_bytes!(\"../data/{name}.case\")),"
        );
    }
    list.push_str("];\n");
    fs::write(root.join("src/cases.rs"), list)?;
    let total: usize = cases.iter().map(|(_, bytes)| bytes.len()).sum();
    println!("{} cases, {total} bytes", cases.len());
    Ok(())
}
