#!/usr/bin/env bash
# Reports of the rendered scene, by every built-in model, opened in a real browser (tests/browser_check.py).
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${CARGO_TARGET_DIR:-$PWD/target}/browser
VENV=$OUT/venv
mkdir -p "$OUT"

has_chromium() {
    local name
    for name in "${CHROMIUM:-chromium}" chromium chromium-browser google-chrome; do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    return 1
}
if ! has_chromium; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
        >"$OUT/install.log" 2>&1 || {
        cat "$OUT/install.log" >&2
        echo "missing: Chromium (apt-get install chromium)" >&2
        exit 1
    }
fi
if ! "$VENV/bin/python" -c 'import playwright, axe_playwright_python' 2>/dev/null; then
    "${PYTHON:-python3}" -m venv "$VENV" &&
        "$VENV/bin/python" -m pip install --quiet playwright==1.65.2 axe-playwright-python==0.1.8 || {
        echo "missing: playwright and axe-playwright-python (pip install playwright==1.65.2 axe-playwright-python==0.1.8)" >&2
        exit 1
    }
fi

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
"$VENV/bin/python" tests/browser_check.py "${PAGES[@]}"
