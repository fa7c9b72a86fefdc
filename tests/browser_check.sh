#!/usr/bin/env bash
# Reports of the rendered scene, by every built-in model, opened in a real browser (tests/browser_check.py).
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${CARGO_TARGET_DIR:-$PWD/target}/browser
mkdir -p "$OUT"

has_chromium() {
    local name
    for name in "${CHROMIUM:-chromium}" chromium chromium-browser google-chrome; do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    return 1
}
. tests/need.sh
has_chromium || need chromium chromium
PYTHON=$(need_python "$OUT/venv" 'playwright, axe_playwright_python' playwright==1.65.2 axe-playwright-python==0.1.8)

cargo build --release --locked --quiet
CFM=${CARGO_TARGET_DIR:-$PWD/target}/release/cfm
PAGES=()
for model in street scene; do
    "$CFM" report --model "$model" --out "$OUT/$model.html"
    PAGES+=("$OUT/$model.html")
done
if [ "$(stat -c %s "${PAGES[0]}")" -gt 3000000 ]; then
    echo "the default report has more than 3 MB" >&2
    exit 1
fi
"$PYTHON" tests/browser_check.py "${PAGES[@]}"
