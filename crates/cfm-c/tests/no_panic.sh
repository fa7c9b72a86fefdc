#!/usr/bin/env bash
# No function of the C library can panic: all of them are linked, without the standard library and so without a panic
# handler. What the linker finds no way to is dropped first; a path to a panic that is left is an undefined reference.
# At the end the same is tried with a function that can panic, which has to be noticed.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}
mkdir -p "$TARGET_DIR"
OUT=$(cd "$TARGET_DIR" && pwd)/no-panic
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET

. ../../tests/need.sh
need cc gcc
need ar binutils

# What a panic ends in.
HANDLER=rust_begin_unwind
# Crates of the standard library that are left out; `core` and `compiler_builtins` are not.
STANDARD="std alloc panic_abort panic_unwind std_detect unwind libc addr2line gimli object memchr miniz_oxide adler2
    rustc_demangle hashbrown rustc_std_workspace_alloc rustc_std_workspace_core"

# link ARCHIVE FUNCTION...: whether these functions and all that they call link without a panic handler. What the linker
# says goes to $OUT/link.log.
link() {
    local archive=$1 objects=$OUT/objects crate function roots=()
    shift
    rm -rf "$objects"
    mkdir "$objects"
    # What a plugin for other compilers' objects says is of no interest.
    (cd "$objects" && ar x "$archive" 2>"$OUT/ar.log") || {
        cat "$OUT/ar.log" >&2
        exit 1
    }
    for crate in $STANDARD; do rm -f "$objects/$crate"-*.o; done
    for function in "$@"; do roots+=("-Wl,--undefined=$function"); done
    echo 'int main(void) { return 0; }' >"$OUT/main.c"
    cc -fno-lto -o "$OUT/linked" "$OUT/main.c" -Wl,--gc-sections -Wl,--no-demangle "${roots[@]}" "$objects"/*.o \
        >"$OUT/link.log" 2>&1 || return 1
    # The functions must be there, or nothing was shown.
    nm "$OUT/linked" >"$OUT/symbols.txt"
    for function in "$@"; do
        grep -q " T $function\$" "$OUT/symbols.txt" || {
            echo "$function is not in the linked program" >&2
            exit 1
        }
    done
}

# callers: where panics come from, after `link` has failed for want of a handler: the lines of source that call into it.
callers() {
    local handler target slot address
    handler=$(sed -nE "s/.*undefined reference to \`(.*$HANDLER)'/\1/p" "$OUT/link.log" | head -1)
    [ -n "$handler" ] && command -v addr2line objdump readelf >/dev/null || return 0
    cc -fno-lto -o "$OUT/linked" "$OUT/main.c" -Wl,"--defsym=$handler=main" -Wl,--gc-sections \
        "${functions[@]/#/-Wl,--undefined=}" "$OUT"/objects/*.o >"$OUT/link.log" 2>&1 || return 0
    objdump -d --no-show-raw-insn "$OUT/linked" >"$OUT/linked.s" 2>/dev/null
    # Calls are direct, or through a slot of the table of addresses.
    nm "$OUT/linked" 2>/dev/null | sed -nE 's/^0*([0-9a-f]+) T .*(panicking|_failed?)([0-9].*)?$/\1/p' | while read -r target; do
        slot=$(readelf -rW "$OUT/linked" | awk -v target="$target" '$NF == target { sub(/^0*/, "", $1); print $1 }')
        { grep -E "(call|jmp) +$target |# ${slot:-none} " "$OUT/linked.s" || true; } | while read -r address _; do
            addr2line -pifC -e "$OUT/linked" "0x${address%:}"
        done
    done
}

mkdir -p "$OUT"
# Without unwinding, as on bare metal: else every call into another crate has a landing pad.
CARGO_PROFILE_RELEASE_PANIC=abort cargo build --release --locked --quiet -p cfm-c --lib --target-dir "$OUT"
mapfile -t functions < <(sed -nE 's/^(.*[ *])?(cfm_[a-z_]+)\(.*/\2/p' include/cfm.h | sort -u)
[ "${#functions[@]}" -gt 10 ] || {
    echo "only ${#functions[@]} functions in the header" >&2
    exit 1
}
if ! link "$OUT/release/libcfm_c.a" "${functions[@]}"; then
    echo "a function of the C library can panic, or does not link:" >&2
    grep -v 'bfd plugin' "$OUT/link.log" >&2
    callers >&2
    exit 1
fi
echo "${#functions[@]} functions of the C library: no path to a panic"

cat >"$OUT/planted.rs" <<'RUST'
#[unsafe(no_mangle)]
pub extern "C" fn planted(index: usize) -> u8 {
    [1, 2, 3][index]
}
RUST
rustc --edition 2024 --crate-type staticlib -O -C panic=abort -o "$OUT/libplanted.a" "$OUT/planted.rs"
if link "$OUT/libplanted.a" planted || ! grep -q "$HANDLER" "$OUT/link.log"; then
    echo "a function that can panic is not noticed" >&2
    exit 1
fi
echo "a function that can panic: noticed"
