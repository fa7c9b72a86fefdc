#!/usr/bin/env bash
# What log.csv says, added up: how long each target ran, and what came of it.
set -euo pipefail
cd "$(dirname "$0")"
awk -F, '
    NR == 1 { next }
    { seconds[$2] += $3; executions[$2] += $4; corpus[$2] = $5; findings[$2] += $6 }
    END {
        print "| target | processor time | executions | corpus | findings |"
        print "|---|---|---|---|---|"
        for (target in seconds) {
            row = "| `%s` | %.2f h | %d | %d | %d |\n"
            printf row, target, seconds[target] / 3600, executions[target], corpus[target], findings[target] | "sort"
            all += seconds[target]; runs += executions[target]; found += findings[target]
        }
        close("sort")
        printf "| all | %.2f h | %d | | %d |\n", all / 3600, runs, found
    }' log.csv
