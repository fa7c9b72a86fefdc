#!/usr/bin/env bash
# The C firmware for Arm MPS2 AN386 (Cortex-M4F): compiled, linked with the static library, run in QEMU, and its labels
# compared byte for byte with those of the host. Everything goes to target/mps2-an386-c, or to the folder given, which is
# new, empty, or one that this script has made.
set -euo pipefail
GIVEN=${1:+$(realpath -m -- "$1")}
cd "$(dirname "$0")"
HERE=$PWD
ROOT=$(cd ../.. && pwd)
TARGET=thumbv7em-none-eabihf
TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
# Says whose folder it is.
MARKER=.made-by-mps2-an386-c
SEED=${SEED:-3}
# Seconds that QEMU may take: it interprets some billion instructions.
LIMIT=${LIMIT:-1800}

cd "$ROOT"
mkdir -p "$TARGET_DIR"
TARGET_DIR=$(cd "$TARGET_DIR" && pwd)
OUT=${GIVEN:-$TARGET_DIR/mps2-an386-c}
if [ -n "$GIVEN" ] && [ -e "$OUT" ] && [ ! -e "$OUT/$MARKER" ] && { [ ! -d "$OUT" ] || [ -n "$(ls -A "$OUT")" ]; }; then
    echo "$OUT is not empty, and not made by this script" >&2
    exit 2
fi

. "$ROOT/tests/need.sh"
need arm-none-eabi-gcc gcc-arm-none-eabi
# Its headers, for <string.h>; the C library itself is not linked.
need_header arm-none-eabi-gcc string.h libnewlib-arm-none-eabi
need qemu-system-arm qemu-system-arm
need_target "$TARGET"

mkdir -p "$OUT"
touch "$OUT/$MARKER"
(cd "$OUT" && rm -f street.h street.c image.ppm image.rgb overlay.png host.pgm host.txt host.labels firmware.elf symbols.txt \
    target.labels)

echo "-- host: model as C, image, and the labels to expect"
cargo build --release --locked --quiet -p cfm-sim --bin cfm --example render_scene
CFM=$TARGET_DIR/release/cfm
"$CFM" export c --model street --out "$OUT"
constant() { sed -n "s/^#define STREET_$1 //p" "$OUT/street.h"; }
"$TARGET_DIR/release/examples/render_scene" "$(constant WIDTH)" "$(constant HEIGHT)" "$SEED" "$OUT/image.ppm"
"$CFM" segment "$OUT/image.ppm" --model street --out "$OUT/overlay.png" --labels "$OUT/host.pgm" >"$OUT/host.txt"
# Without their headers, both are raw bytes.
tail -c "$(constant IMAGE_BYTES)" "$OUT/image.ppm" >"$OUT/image.rgb"
tail -c "$(constant PIXELS)" "$OUT/host.pgm" >"$OUT/host.labels"
if [ "$(od -An -v -tu1 -w1 "$OUT/host.labels" | sort -u | wc -l)" -lt 5 ]; then
    echo "the image shows fewer than five classes, which would prove little" >&2
    exit 1
fi

echo "-- target: static library and firmware"
cargo build --release --locked --quiet -p cfm-c --lib --target "$TARGET" --no-default-features --features panic-handler
arm-none-eabi-gcc -std=c11 -Wall -Wextra -Werror -pedantic -Os -ffreestanding -ffunction-sections -fdata-sections \
    -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 \
    -I "$OUT" -I crates/cfm-c/include -I crates/cfm-c/examples/label -I crates/cfm-c/tests/c \
    -nostdlib -nostartfiles -Wl,--gc-sections -Wl,--fatal-warnings -Wl,-z,noexecstack -T "$HERE/mps2-an386.ld" -Wa,-I,"$OUT" \
    "$HERE/startup.c" "$HERE/semihosting.c" "$HERE/main.c" "$HERE/image.S" "$OUT/street.c" \
    crates/cfm-c/examples/label/label.c crates/cfm-c/tests/c/misuse.c \
    "$TARGET_DIR/$TARGET/release/libcfm_c.a" -lgcc -o "$OUT/firmware.elf"
arm-none-eabi-size "$OUT/firmware.elf"
# No path to a panic is left, or the library's panic handler would be in the program.
arm-none-eabi-nm "$OUT/firmware.elf" >"$OUT/symbols.txt"
grep -q ' T cfm_image_push_row$' "$OUT/symbols.txt"
if grep -E 'rust_begin_unwind|panick' "$OUT/symbols.txt" >&2; then
    echo "a path to a panic is linked in" >&2
    exit 1
fi

echo "-- QEMU: mps2-an386"
# Semihosting opens files relative to QEMU's folder.
(cd "$OUT" && timeout "$LIMIT" qemu-system-arm -M mps2-an386 -display none -serial none -monitor none \
    -semihosting-config enable=on,target=native -kernel firmware.elf)
cmp "$OUT/host.labels" "$OUT/target.labels"
echo "mps2-an386-c: $(wc -c <"$OUT/target.labels") labels, the same on target and host"
