#!/usr/bin/env bash
# Runs every fuzz target for SECONDS each (default 60), adds what it did to log.csv, prints a table of all runs in it, and
# fails on a finding.
#
#     bash tests/fuzz/run.sh [SECONDS] [TARGET...]
#
# What is found on the way is kept in grown/ for the next run; a finding is kept in artifacts/TARGET/.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || {
    echo "usage: bash tests/fuzz/run.sh [SECONDS] [TARGET...]" >&2
    exit 2
}
shift || true

missing=0
cargo +nightly --version >/dev/null 2>&1 || {
    echo "missing: a nightly compiler (rustup toolchain install nightly)" >&2
    missing=1
}
cargo fuzz --version >/dev/null 2>&1 || {
    echo "missing: cargo-fuzz (cargo install cargo-fuzz --locked)" >&2
    missing=1
}
[ "$missing" = 0 ] || exit 2

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list --fuzz-dir .)

# The targets' temporary files go, too, when one of them is stopped.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work

for target in "${targets[@]}"; do
    cargo +nightly fuzz build --fuzz-dir . "$target"
done

findings=0
failures=0
for target in "${targets[@]}"; do
    mkdir -p "grown/$target" "artifacts/$target"
    folders=("grown/$target" "corpus/$target")
    # What other programs write.
    [ "$target" != onnx_import ] || folders+=(../onnx)
    printf '\n== %s, %d s\n' "$target" "$seconds"
    status=0
    # In seconds of a processor, because others may be at work on the machine.
    TIMEFORMAT='%U %S'
    { time cargo +nightly fuzz run --fuzz-dir . "$target" "${folders[@]}" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=30 -max_len=65536 \
        -print_final_stats=1 >"$work/log" 2>&1 || status=$?; } 2>"$work/time"
    [ "$status" = 0 ] || tail -n 60 "$work/log"
    found=$(grep -cE 'Test unit written to .*/(crash|leak|oom|timeout)-' "$work/log" || true)
    findings=$((findings + found))
    # Whoever stops the fuzzer has found nothing.
    [ "$status" = 0 ] || [ "$found" -gt 0 ] || failures=$((failures + 1))
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log" | tail -n 1)
    corpus=$(find "grown/$target" "corpus/$target" -type f | wc -l)
    awk -v OFS=, -v date="$(date -u +%F)" -v target="$target" -v executions="${executions:-0}" -v corpus="$corpus" \
        -v found="$found" '{ print date, target, int($1 + $2 + 0.5), executions, corpus, found }' "$work/time" >>log.csv
done

bash log.sh
[ "$findings" = 0 ] || {
    echo "findings are in tests/fuzz/artifacts" >&2
    exit 1
}
[ "$failures" = 0 ] || {
    echo "$failures targets did not run to the end" >&2
    exit 1
}
