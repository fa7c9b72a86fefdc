#!/usr/bin/env bash
# What the scripts do where something is missing, and that they leave alone what is not theirs; with stand-ins for the commands
# that install.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)/scripts-check
rm -rf "$OUT"
mkdir -p "$OUT/bin" "$OUT/folder"
LOG=$OUT/log

# stand_in COMMAND LINE: a command that is found before all others; the line may look at its arguments.
stand_in() {
    printf '#!/bin/bash\n%s\n' "$2" >"$OUT/bin/$1"
    chmod +x "$OUT/bin/$1"
}

# in_need STATUS COMMAND...: runs a command of need.sh with the stand-ins, which has to end so; what it says is in the log.
in_need() {
    local status=0 expected=$1
    shift
    PATH=$OUT/bin:$PATH bash -c 'set -euo pipefail; . tests/need.sh; "$@"' - "$@" >"$LOG" 2>&1 || status=$?
    if [ "$status" != "$expected" ]; then
        cat "$LOG" >&2
        echo "$*: status $status, not $expected" >&2
        exit 1
    fi
}

# says TEXT: the log does.
says() {
    grep -qF -e "$1" "$LOG" && return
    cat "$LOG" >&2
    echo "'$1' is not said" >&2
    exit 1
}

# Installs nothing, or what the test has it install.
# shellcheck disable=SC2016 # of the stand-in
stand_in apt-get 'echo "apt-get $*"; [ -e "$0.brings" ] && . "$0.brings"; exit 0'
# shellcheck disable=SC2016
stand_in sudo 'shift; exec "$@"'

# A command: one of several, from a package, or missing.
in_need 0 need_any some-package no-such-command sh
says sh
in_need 1 need_any some-package no-such-command neither-this
says 'apt-get install --yes --quiet some-package'
says 'missing: one of no-such-command neither-this (Debian package some-package)'
echo 'ln -sf /bin/true "$(dirname "$0")/neither-this"' >"$OUT/bin/apt-get.brings"
in_need 0 need_any some-package no-such-command neither-this
says neither-this

# A Python without what virtual environments are made of: it gets it, and is asked again.
# shellcheck disable=SC2016
stand_in python-of-debian 'case $* in
*ensurepip*) [ -e "$0.venv" ] ;;
"-m venv "*) [ -e "$0.venv" ] && mkdir -p "$3/bin" ;;
esac'
echo 'touch "$(dirname "$0")/python-of-debian.venv"' >"$OUT/bin/apt-get.brings"
PYTHON=python-of-debian in_need 0 make_venv "$OUT/venv"
says 'apt-get install --yes --quiet python3-venv'
test -d "$OUT/venv/bin"
rm "$OUT/bin/apt-get.brings"

# A minimal toolchain gets its components, or the script fails.
# shellcheck disable=SC2016
stand_in cargo 'exit 1'
stand_in rustup 'echo "rustup $*"'
in_need 0 need_components rustfmt clippy
says 'rustup component add rustfmt'
says 'rustup component add clippy'
stand_in rustup 'exit 1'
in_need 1 need_components clippy
says 'missing: clippy'
rm "$OUT/bin/cargo" "$OUT/bin/rustup"

# An emulator without plugins.
stand_in qemu-none 'echo "-cpu model"'
stand_in qemu-some 'echo "-plugin file"'
in_need 0 need_plugins qemu-some
in_need 1 need_plugins qemu-none
says 'missing: qemu-none with plugins'

# A folder with files of somebody else, named relative to the caller's folder.
touch "$OUT/folder/precious"
status=0
(cd "$OUT" && bash "$OLDPWD/boards/mps2-an386-c/run.sh" folder) >"$LOG" 2>&1 || status=$?
[ "$status" = 2 ]
says "$OUT/folder is not empty, and not made by this script"
test -e "$OUT/folder/precious"

echo "scripts: what is missing is installed or said; nothing of anybody else's is removed"
