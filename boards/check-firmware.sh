#!/usr/bin/env bash
# Checks a firmware of a Cortex-M without floating point libraries: it holds no panic handler, at most 64 KiB of code
# and constants besides the model, and no function of a float library.
set -euo pipefail
ELF=${1:?usage: check-firmware.sh ELF}
MODEL=$(dirname "$0")/../sim/models/street.cfm
LIMIT=$((64 * 1024))

. "$(dirname "$0")/../tests/need.sh"
# Any of the binary utilities that know Arm.
NM=$(need_any binutils-arm-none-eabi arm-none-eabi-nm rust-nm llvm-nm)
SIZE=$(need_any binutils-arm-none-eabi arm-none-eabi-size rust-size llvm-size)

symbols=$("$NM" "$ELF")
# The check must not pass because there are no symbols to look at.
if ! grep -q ' T main$\| T Reset$' <<<"$symbols"; then
    echo "$ELF: no symbols" >&2
    exit 1
fi
failed=0

if panics=$(grep -E 'rust_begin_unwind|core.*panicking' <<<"$symbols"); then
    echo "a panicking path is linked in:" >&2
    echo "$panics" >&2
    failed=1
else
    echo "panic handler: absent"
fi

# Soft float (run-time ABI of Arm), double precision conversions, and the C library's functions.
if floats=$(grep -E ' (T|t|W) (__aeabi_[fd](add|sub|rsub|mul|div|cmp.*|2.*|neg)|__aeabi_(i|ui|l|ul)2[fd]|__(add|sub|mul|div)[sd]f3|__(fix|float).*|(sin|cos|exp|log|pow|sqrt|floor|ceil|round)f?)$' <<<"$symbols"); then
    echo "float functions are linked in:" >&2
    echo "$floats" >&2
    failed=1
else
    echo "float functions: none"
fi

# Everything that lies in flash, less the model, of which there is one copy.
flash=$("$SIZE" -A "$ELF" | awk '$1 ~ /^\.(vector_table|text|rodata|data|start_block)$/ { sum += $2 } END { print sum + 0 }')
rest=$((flash - $(wc -c <"$MODEL")))
echo "code and constants: $rest bytes of $LIMIT"
if [ "$rest" -le 0 ] || [ "$rest" -gt "$LIMIT" ]; then
    echo "that is too much, or not what it should be" >&2
    failed=1
fi
exit $failed
