# What scripts need, installed where that is possible; otherwise they say what is missing and fail. To be sourced.
# shellcheck shell=bash

# need COMMAND PACKAGE: the command, from the Debian package if it is not there.
need() {
    command -v "$1" >/dev/null && return
    apt_install "$2"
    command -v "$1" >/dev/null && return
    echo "missing: $1 (Debian package $2)" >&2
    exit 1
}

# need_any PACKAGE COMMAND...: prints the first of these commands that is there, from the Debian package if none is.
need_any() {
    local package=$1
    shift
    first_of "$@" && return
    apt_install "$package"
    first_of "$@" && return
    echo "missing: one of $* (Debian package $package)" >&2
    exit 1
}

first_of() {
    local command
    for command; do
        if command -v "$command" >/dev/null; then
            echo "$command"
            return
        fi
    done
    return 1
}

# need_header COMPILER HEADER PACKAGE: a header that the compiler finds, from the Debian package if it does not.
need_header() {
    if ! finds_header "$1" "$2"; then apt_install "$3"; fi
    finds_header "$1" "$2" && return
    echo "missing: <$2> for $1 (Debian package $3)" >&2
    exit 1
}

finds_header() {
    echo "#include <$2>" | "$1" -E - >/dev/null 2>&1
}

# apt_install PACKAGE: tries to; the caller looks whether it helped.
apt_install() {
    echo "apt-get install $1" >&2
    command -v apt-get >/dev/null || return 0
    local root=()
    [ "$(id -u)" = 0 ] || root=(sudo -n)
    # Lists of packages may be old, or not there.
    "${root[@]}" apt-get install --yes --quiet "$1" >&2 ||
        { "${root[@]}" apt-get update --quiet && "${root[@]}" apt-get install --yes --quiet "$1"; } >&2 || true
}

# need_python FOLDER "MODULE, ..." PACKAGE...: prints a Python with these modules: $PYTHON, or one in a virtual environment in
# FOLDER, into which the packages are installed.
need_python() {
    local folder=$1 modules=$2 python
    shift 2
    for python in "${PYTHON:-python3}" "$folder/bin/python"; do
        if "$python" -c "import $modules" 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    pip_install "$folder" "$@"
    echo "$folder/bin/python"
}

# need_program FOLDER PROGRAM PACKAGE...: prints where a program is: in PATH, or in a virtual environment in FOLDER, into which
# the packages are installed.
need_program() {
    local folder=$1 program=$2
    shift 2
    command -v "$program" && return
    [ -x "$folder/bin/$program" ] || pip_install "$folder" "$@"
    echo "$folder/bin/$program"
}

pip_install() {
    local folder=$1
    shift
    echo "pip install $*" >&2
    # One that does not work any more, because Python is another or the folder has moved, is made anew.
    { "$folder/bin/python" -m pip --version >/dev/null 2>&1 || make_venv "$folder"; } >&2 &&
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 && return
    echo "missing: Python 3 with venv, and from PyPI: $*" >&2
    exit 1
}

# make_venv FOLDER: a virtual environment. Debian's Python can make one only with another package.
make_venv() {
    local python=${PYTHON:-python3}
    command -v "$python" >/dev/null || apt_install python3
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    "$python" -m venv "$1"
}

# need_components COMPONENT...: rustfmt and clippy for the compiler in use; a minimal toolchain has neither.
need_components() {
    local component
    for component; do
        # Their commands are those of cargo, the one without its first four letters.
        cargo "${component#rust}" --version >/dev/null 2>&1 && continue
        echo "rustup component add $component" >&2
        rustup component add "$component" && continue
        echo "missing: $component (rustup component add $component)" >&2
        exit 1
    done
}

# need_plugins EMULATOR: the emulator takes plugins, which count instructions.
need_plugins() {
    local help
    # Through a variable: grep -q would leave early.
    help=$("$1" --help)
    grep -q -e '-plugin' <<<"$help" && return
    echo "missing: $1 with plugins (QEMU configured with --enable-plugins; Debian's qemu-user 10.0 is built without)" >&2
    exit 1
}

# need_target TARGET: compiled libraries for a target.
need_target() {
    rustc --print target-libdir --target "$1" 2>/dev/null | xargs -r test -d && return
    echo "rustup target add $1" >&2
    rustup target add "$1" && return
    echo "missing: the Rust target $1 (rustup target add $1)" >&2
    exit 1
}

# need_nightly COMPONENT...: a nightly compiler with these components.
need_nightly() {
    local component sysroot missing=()
    if sysroot=$(rustc +nightly --print sysroot 2>/dev/null); then
        for component in "$@"; do
            case $component in
                rust-src) test -e "$sysroot/lib/rustlib/src/rust/library/core/src/lib.rs" ;;
                *) cargo +nightly "$component" --version >/dev/null 2>&1 ;;
            esac || missing+=("$component")
        done
        [ ${#missing[@]} -gt 0 ] || return 0
        echo "rustup component add --toolchain nightly ${missing[*]}" >&2
        rustup component add --toolchain nightly "${missing[@]}" && return
    else
        echo "rustup toolchain install nightly, with $*" >&2
        rustup toolchain install nightly --profile minimal "${@/#/--component=}" && return
    fi
    echo "missing: a nightly Rust compiler with $*" \
        "(rustup toolchain install nightly --profile minimal ${*/#/--component=})" >&2
    exit 1
}

# note_kernels: says which of the kernels for x86-64 a test has not run, because this processor cannot.
note_kernels() {
    local extension
    [ "$(uname -m)" = x86_64 ] && [ -r /proc/cpuinfo ] || return 0
    for extension in avx2 avx512_vnni; do
        if ! grep -qw "$extension" /proc/cpuinfo; then
            echo "note: this processor has no $extension; its kernels were not run"
        fi
    done
}
