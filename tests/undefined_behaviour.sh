#!/usr/bin/env bash
# Undefined behaviour, which no test can see by itself: the code that is unsafe in Miri and under AddressSanitizer.
#
#     bash tests/undefined_behaviour.sh          a part, in some minutes
#     bash tests/undefined_behaviour.sh full     all that Miri can run, for big-endian and 32-bit targets as well; takes hours
#
# Miri checks every access with strict provenance, the kernels for AVX2 included. It knows no AVX-512: these kernels, where the
# processor has them, and all others run under AddressSanitizer. There is no third run with a checked standard library:
# tests are compiled with assertions, so the preconditions of its unsafe functions are checked anyway.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
    '') FULL= ;;
    full) FULL=yes ;;
    *)
        echo "usage: bash tests/undefined_behaviour.sh [full]" >&2
        exit 2
        ;;
esac

OUT=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)/undefined-behaviour
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET
# Miri interprets any target, wherever it runs.
X86=x86_64-unknown-linux-gnu
HOST=$(rustc -vV | sed -n 's/^host: //p')

step() { printf '\n== %s [%d s]\n' "$*" "$SECONDS"; }

. tests/need.sh
need_nightly miri rust-src

# Cases of a property. A failure is not kept in a file.
export PROPTEST_CASES=2 PROPTEST_DISABLE_FAILURE_PERSISTENCE=true
if [ -n "$FULL" ]; then export PROPTEST_CASES=16 CFM_FULL=yes; fi

# miri TARGET FLAGS ARGUMENT...: tests in Miri, compiled for a target with these flags of the compiler.
miri() {
    local target=$1 flags=$2
    shift 2
    # Not isolated, as tests read variables of the environment.
    RUSTFLAGS=$flags CARGO_TARGET_DIR=$OUT MIRIFLAGS="-Zmiri-strict-provenance -Zmiri-disable-isolation" \
        cargo +nightly miri test --quiet --locked --target "$target" "$@"
}

# sanitized ARGUMENT...: tests under AddressSanitizer. The optimizer takes many minutes for vector kernels that are
# instrumented; without it their frames take megabytes of the stack.
sanitized() {
    RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$OUT/address RUST_MIN_STACK=$((256 << 20)) \
        cargo +nightly test --quiet --locked --target "$HOST" --config 'profile.test.opt-level=1' \
        --config 'profile.test.package.cfm-core.opt-level=0' --tests "$@"
}

step "Miri: C library, AVX2 kernels"
# The native kernels are the same.
miri "$X86" -Ctarget-feature=+avx2 -p cfm-soundness --tests -- --skip the_native_kernels
step "Miri: registers"
miri "$X86" -Ctarget-feature=+avx2 -p cfm-device --test mmio
if [ -n "$FULL" ]; then
    step "Miri: the core, and the driver"
    miri "$X86" -Ctarget-feature=+avx2 -p cfm-core --lib --features x86
    miri "$X86" -Ctarget-feature=+avx2 -p cfm-device --test driver
    step "Miri: golden cases on the AVX2 kernels"
    # An interpreter uses one processor.
    parts=$(getconf _NPROCESSORS_ONLN)
    parts=$((parts < 8 ? parts : 8))
    running=()
    for ((part = 1; part <= parts; part++)); do
        CFM_CASES=$part/$parts miri "$X86" -Ctarget-feature=+avx2 -p cfm-conformance --test host -- every_x86 &
        running+=($!)
    done
    failed=
    for process in "${running[@]}"; do wait "$process" || failed=yes; done
    [ -z "$failed" ]
    step "Miri: parameters of proposals"
    miri "$X86" -Ctarget-feature=+avx2 -p cfm-proposals --test params --test colour
    for target in s390x-unknown-linux-gnu i686-unknown-linux-gnu; do
        step "Miri: $target"
        miri "$target" '' -p cfm-core --lib
        # The rest of the driver is safe, and takes most of an hour.
        miri "$target" '' -p cfm-device --test mmio
        miri "$target" '' -p cfm-soundness --tests
        miri "$target" '' -p cfm-proposals --test params --test colour
    done
fi

step "AddressSanitizer: C library, kernels of this processor"
sanitized -p cfm-soundness
note_kernels
if [ -n "$FULL" ]; then
    step "AddressSanitizer: the core, proposals, driver, conformance suite"
    sanitized -p cfm-core --features x86
    # One test calls the compiler, for which the flags are not meant.
    sanitized -p cfm-proposals -p cfm-device -p cfm-conformance -- --skip a_broken_model_does_not_compile
fi

step "undefined behaviour: none found"
