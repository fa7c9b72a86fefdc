#!/usr/bin/env bash
# Builds the firmware of every board, runs in emulation what has an emulator, and fails on the first mismatch.
# Without arguments all boards; with names of boards only those. What is missing is installed where that is possible.
set -euo pipefail
cd "$(dirname "$0")"

OUT=${CARGO_TARGET_DIR:-$PWD/../target}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export CARGO_TARGET_DIR=$OUT/boards
# Flags of the caller's environment would take the place of the boards' linker flags.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET

ALL="mps2-an386 mps3-an547 zynq-7000 pynq-z2 aarch64-linux rp2350 stm32h7"
BOARDS=${*:-$ALL}

step() { printf '\n== %s\n' "$*"; }

. ../tests/need.sh

# in_board BOARD COMMAND...: runs a command in a board's folder, where its target and runner are set.
in_board() {
    local board=$1
    shift
    (cd "$board" && "$@")
}

# run_program BOARD TARGET PROGRAM LOG: runs a program where its files are and keeps what it prints.
run_program() {
    local board=$1 target=$2 program=$3 log=$4 folder=$CARGO_TARGET_DIR/run/$1 runner
    mkdir -p "$folder"
    cp "$CARGO_TARGET_DIR/run/scene.rgb" "$folder/"
    # The runner that cargo would use, in another folder than the board's.
    runner=$(sed -n 's/^runner = "\(.*\)"$/\1/p' "$board/.cargo/config.toml")
    (cd "$folder" && timeout 900 $runner "$CARGO_TARGET_DIR/$target/release/$program") >"$log" 2>&1 || {
        cat "$log" >&2
        echo "$board: $program failed" >&2
        exit 1
    }
}

# emulate BOARD TARGET: the suite and the whole image, compared with the host's.
emulate() {
    local board=$1 target=$2 folder=$CARGO_TARGET_DIR/run/$1
    mkdir -p "$folder"
    rm -f "$folder"/labels.bin "$folder"/*.log
    step "$board: conformance suite"
    run_program "$board" "$target" suite "$folder/suite.log"
    grep -E '^(suite|stack)' "$folder/suite.log"
    # The exit status says so already; a program that exits early must not pass either.
    grep -q '^suite passed: .* 0 with mismatches' "$folder/suite.log"
    step "$board: a whole image"
    run_program "$board" "$target" demo "$folder/demo.log"
    cat "$folder/demo.log"
    # Ten million multiply-accumulates and more take their time: a clock that went back would say zero.
    grep -qE '^stage convolution: [0-9]{4,} us' "$folder/demo.log"
    cmp "$folder/labels.bin" "$CARGO_TARGET_DIR/run/labels.expected" || {
        echo "$board: the label map differs from the host's" >&2
        exit 1
    }
    echo "label map: $(wc -c <"$folder/labels.bin") bytes, equal to the host's"
}

# check_defmt BOARD TARGET: the same suite, reporting by defmt frames over semihosting.
check_defmt() {
    local board=$1 target=$2 log=$CARGO_TARGET_DIR/run/$1/defmt.log tools=$CARGO_TARGET_DIR/tools print
    step "$board: defmt frames"
    in_board "$board" env CARGO_TARGET_DIR="$CARGO_TARGET_DIR/defmt" \
        cargo build --release --locked --features defmt
    print=$(command -v defmt-print || echo "$tools/bin/defmt-print")
    if ! command -v "$print" >/dev/null; then
        cargo install --locked --root "$tools" --target-dir "$tools/target" defmt-print@1.2.0 || {
            echo "missing: defmt-print (cargo install defmt-print)" >&2
            exit 1
        }
    fi
    for program in suite demo; do
        local elf=$CARGO_TARGET_DIR/defmt/$target/release/$program runner
        runner=$(sed -n 's/^runner = "\(.*\)"$/\1/p' "$board/.cargo/config.toml")
        (cd "$CARGO_TARGET_DIR/run/$board" && timeout 900 $runner "$elf" | "$print" -e "$elf") >"$log"
        cat "$log"
        case $program in
            suite) grep -q 'suite passed' "$log" ;;
            demo) grep -q 'Total: ' "$log" ;;
        esac
    done
}

# check_engine BOARD TARGET: the whole image with the hardware engine, whose RTL is simulated at its SPI pins, also after
# faults on the wires.
check_engine() {
    local board=$1 target=$2 folder=$CARGO_TARGET_DIR/run/$1-engine project simulator pid
    step "$board: a whole image by the engine, simulated at its pins, with faults"
    rm -rf "$folder"
    mkdir -p "$folder"
    project=$folder/project
    (
        cd ..
        export CARGO_TARGET_DIR=$OUT
        # The model in the order that this board's kernels read, for they take over when the engine fails.
        cargo run --release --locked --quiet -p cfm-sim -- pack street --order quads --out "$folder/street.cfm"
        cargo run --release --locked --quiet -p cfm-sim -- export rtl --model "$folder/street.cfm" --pe 8 --lanes 5 \
            --max-segments 1 --out "$project"
    )
    simulator=$(CARGO_TARGET_DIR=$OUT bash ../hls/rtl/run.sh pins "$project")
    CFM_ENGINE=$project in_board "$board" cargo clippy --release --locked --features engine -- -D warnings
    CFM_ENGINE=$project in_board "$board" cargo build --release --locked --features engine --bin engine
    cp "$CARGO_TARGET_DIR/run/scene.rgb" "$folder/"
    mkfifo "$folder/engine.request" "$folder/engine.answer"
    # A firmware that does not open the pipes must not leave the simulation waiting for ever.
    timeout 1200 sh -c '"$1" <"$2/engine.request" >"$2/engine.answer"' - "$simulator" "$folder" &
    pid=$!
    runner=$(sed -n 's/^runner = "\(.*\)"$/\1/p' "$board/.cargo/config.toml")
    (cd "$folder" && timeout 1200 $runner "$CARGO_TARGET_DIR/$target/release/engine") >"$folder/engine.log" 2>&1 || {
        cat "$folder/engine.log" >&2
        kill "$pid" 2>/dev/null || true
        echo "$board: engine failed" >&2
        exit 1
    }
    wait "$pid"
    grep '^computed by' "$folder/engine.log"
    for map in clean bits reset after-reset stuck after-stuck; do
        cmp "$folder/labels-$map.bin" "$CARGO_TARGET_DIR/run/labels.expected" || {
            echo "$board: the label map ($map) differs from the host's" >&2
            exit 1
        }
    done
    echo "six label maps: equal to the host's"
}

# build_with_engine BOARD TARGET: the program for the engine beside the processor; there is no emulator that has one.
build_with_engine() {
    local board=$1 target=$2 project=$CARGO_TARGET_DIR/run/$1-engine/project
    step "$board: program for the engine"
    (
        cd ..
        export CARGO_TARGET_DIR=$OUT
        cargo run --release --locked --quiet -p cfm-sim -- export rtl --budget boards/pynq-z2/budget.json --max-segments 1 \
            --out "$project"
    )
    CFM_ENGINE=$project in_board "$board" cargo clippy --release --locked --features engine -- -D warnings
    CFM_ENGINE=$project in_board "$board" cargo build --release --locked --features engine
    echo "$board: built; there is no emulator for it"
}

# check_kernels TARGET: random layers on all kernels of the target, and that the suite left none of them out.
check_kernels() {
    local target=$1
    step "aarch64-linux: all kernels, random layers"
    grep '^kernels: ' "$CARGO_TARGET_DIR/run/aarch64-linux/suite.log"
    grep -q '^kernels: NEON with dot products$' "$CARGO_TARGET_DIR/run/aarch64-linux/suite.log"
    (
        cd ..
        export CARGO_TARGET_DIR=$OUT CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
        export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
        cargo test --release --locked -p cfm-soundness --target "$target"
    )
}

# compare_command: the cfm command, cross-compiled, labels a scene as the native one does.
compare_command() {
    local target=$1 folder=$CARGO_TARGET_DIR/run/command
    step "aarch64-linux: the cfm command"
    mkdir -p "$folder"
    rm -f "$folder"/*.png
    (
        cd ..
        export CARGO_TARGET_DIR=$OUT CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
        cargo build --release --locked -p cfm-core -p cfm-proposals -p cfm-sim --target "$target"
        cargo run --release --locked --quiet -- segment --out "$folder/o.png" --labels "$folder/native.png" >/dev/null
        qemu-aarch64 -L /usr/aarch64-linux-gnu "$OUT/$target/release/cfm" segment --out "$folder/o.png" \
            --labels "$folder/cross.png"
    )
    cmp "$folder/native.png" "$folder/cross.png"
    echo "labels: equal to the native command's"
}

need_components rustfmt clippy

step "cargo fmt"
cargo fmt --all --check

step "tests of what the boards share, on the host"
cargo clippy --locked -p cfm-boards --all-targets -- -D warnings
cargo test --locked -p cfm-boards

step "the scene, and the host's labels for it"
(cd .. && CARGO_TARGET_DIR=$OUT cargo run --release --locked --quiet -p cfm-sim --example board_scene -- \
    "$CARGO_TARGET_DIR/run")

for board in $BOARDS; do
    step "$board: build"
    case $board in
        mps2-an386 | stm32h7) target=thumbv7em-none-eabihf ;;
        mps3-an547 | rp2350) target=thumbv8m.main-none-eabihf ;;
        aarch64-linux) target=aarch64-unknown-linux-gnu ;;
        zynq-7000 | pynq-z2) target=armv7a-none-eabihf ;;
        *)
            echo "$board is no board: $ALL" >&2
            exit 2
            ;;
    esac
    # The Cortex-A9's core library is built from source.
    if [ "$target" = armv7a-none-eabihf ]; then need_nightly rust-src clippy; else need_target "$target"; fi
    if [ "$board" = aarch64-linux ]; then
        need qemu-aarch64 qemu-user
        need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
    fi
    in_board "$board" cargo clippy --release --locked -- -D warnings
    in_board "$board" cargo build --release --locked
    case $board in
        mps2-an386)
            need qemu-system-arm qemu-system-arm
            # For what Verilator makes.
            need c++ g++
            need make make
            # For check-firmware.sh.
            need_any binutils-arm-none-eabi arm-none-eabi-nm rust-nm llvm-nm >/dev/null
            need_any binutils-arm-none-eabi arm-none-eabi-size rust-size llvm-size >/dev/null
            emulate "$board" "$target"
            check_engine "$board" "$target"
            check_defmt "$board" "$target"
            step "$board: size and panics"
            bash check-firmware.sh "$CARGO_TARGET_DIR/$target/release/demo"
            ;;
        mps3-an547 | zynq-7000)
            need qemu-system-arm qemu-system-arm
            in_board "$board" cargo clippy --release --locked --features defmt -- -D warnings
            emulate "$board" "$target"
            ;;
        pynq-z2) build_with_engine "$board" "$target" ;;
        aarch64-linux)
            emulate "$board" "$target"
            check_kernels "$target"
            compare_command "$target"
            ;;
        *) echo "$board: built; there is no emulator for it" ;;
    esac
done

step "boards: all passed"
