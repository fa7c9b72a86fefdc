#!/usr/bin/env bash
# The whole test suite: format, lints, tests, docs, cross builds, and the independent check in numpy.
# What is missing is installed where that is possible; otherwise the script says what to install and fails.
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${CARGO_TARGET_DIR:-$PWD/target}
# What is built once needs no incremental state, which takes gigabytes.
if [ "${CI:-}" = true ]; then export CARGO_INCREMENTAL=0; fi
mkdir -p "$OUT"
# All golden cases, whatever share somebody has run before.
unset CFM_CASES

# With the seconds that have passed.
step() { printf '\n== %s [%d s]\n' "$*" "$SECONDS"; }

. tests/need.sh
TARGET=thumbv7em-none-eabihf
need_target "$TARGET"
need_target aarch64-unknown-linux-gnu
# 64-bit Arm without NEON.
SOFT_FLOAT=aarch64-unknown-none-softfloat
need_target "$SOFT_FLOAT"
# The C library is tested from both languages.
need cc gcc
need c++ g++
need_components rustfmt clippy
# Used last, but nothing can install it.
need qemu-system-arm qemu-system-arm
need qemu-aarch64 qemu-user
need_plugins qemu-system-arm
need_plugins qemu-aarch64

# The last that knows Python 3.10, and the first line that knows 3.14.
NUMPY=('numpy==2.2.6; python_version < "3.14"' 'numpy==2.3.5; python_version >= "3.14"')
PYTHON=$(need_python "$OUT/numpy-venv" numpy "${NUMPY[@]}")
export PYTHON
ONNX_PYTHON=$(need_python "$OUT/onnx-venv" 'numpy, onnx, onnxruntime' "${NUMPY[@]}" onnx==1.23.2 onnxruntime==1.32.0)

step "cargo fmt"
cargo fmt --all --check
cargo fmt --manifest-path tests/fuzz/Cargo.toml --check

step "what the scripts do where something is missing"
bash tests/scripts_check.sh

step "cargo clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings

step "cargo test"
cargo test --workspace --locked
note_kernels

step "inputs of the fuzz targets"
CARGO_TARGET_DIR=$OUT cargo test --manifest-path tests/fuzz/Cargo.toml --locked

step "cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
# As on docs.rs: kernels are documented on their own architectures.
for target in "$TARGET" aarch64-unknown-linux-gnu; do
    RUSTDOCFLAGS="-D warnings" cargo doc -p cfm-core --all-features --target "$target" --no-deps --locked --quiet
done

step "dependencies and packages"
bash tests/supply_chain.sh

step "cross build for $TARGET, plain and with defmt"
cargo build -p cfm-core -p cfm-proposals -p cfm-device -p cfm-conformance --lib --target "$TARGET" --locked --release
cargo build -p cfm-core -p cfm-proposals -p cfm-device --target "$TARGET" --locked --release \
    --features cfm-core/defmt,cfm-proposals/defmt,cfm-device/defmt

step "C library for $SOFT_FLOAT"
cargo check -p cfm-c --lib --target "$SOFT_FLOAT" --no-default-features --features panic-handler --locked --release

step "random parity, and every intermediate tensor recomputed in numpy"
cargo run --release --locked --quiet -- parity --random 300 --seed 7
# Any picture will do; this one is the overlay that `segment` paints.
cargo run --release --locked --quiet -- segment --out "$OUT/overlay.png"
rm -rf "$OUT/vectors"
cargo run --release --locked --quiet -- export vectors "$OUT/overlay.png" --out "$OUT/vectors"
"$PYTHON" tests/numpy_check.py "$OUT/vectors"

step "commands of the documents, and what they point to"
"$PYTHON" tests/docs_check.py --cfm "$OUT/release/cfm" --cfm-train "$OUT/debug/cfm-train"

step "exported ONNX files in ONNX Runtime"
rm -rf "$OUT/onnx"
cargo run --release --locked --quiet -p cfm-sim --example onnx_cases -- "$OUT/onnx" 48
for model in street scene; do
    cargo run --release --locked --quiet -- export vectors "$OUT/overlay.png" --model $model --out "$OUT/onnx/$model" \
        --max-segments 48
    for format in qdq qlinear integer; do
        cargo run --release --locked --quiet -- export onnx --model $model --out "$OUT/onnx/$model/$format" \
            --format $format >/dev/null
    done
done
"$ONNX_PYTHON" tests/onnx_check.py --require-coverage "$OUT"/onnx/*

step "timed beside ONNX Runtime"
cargo run --release --locked --quiet -- bench --rounds 1 --segments 20 --peers "$ONNX_PYTHON" | tee "$OUT/bench.log"
# Every network in every form has to run there; another program may be missing.
[ "$(grep -c '^  ONNX Runtime' "$OUT/bench.log")" = 6 ] || {
    echo "ONNX Runtime does not run every exported network" >&2
    exit 1
}

step "reports in a browser"
bash tests/browser_check.sh

step "C library through CMake"
bash crates/cfm-c/tests/cmake.sh

step "C firmware in QEMU, its labels compared with the host's"
bash boards/mps2-an386-c/run.sh

step "engine: C++ and RTL"
bash hls/run.sh

step "boards"
bash boards/run.sh

step "instructions of the kernels, counted"
bash boards/bench/run.sh

step "undefined behaviour: Miri, AddressSanitizer"
bash tests/undefined_behaviour.sh

step "all passed"
