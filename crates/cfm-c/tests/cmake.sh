#!/usr/bin/env bash
# The example in CMake: built for the host and run, its labels compared with those of `cfm segment`; and built, but not
# run, for a Cortex-M4F with newlib. Models: from a path, and made anew when, and only when, they have changed. Settings:
# by -D, and by `set`. Names of models that C does not allow, and two folders of one build.
set -euo pipefail
cd "$(dirname "$0")/../../.."
TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$TARGET_DIR"
TARGET_DIR=$(cd "$TARGET_DIR" && pwd)
OUT=$TARGET_DIR/cfm-cmake

. tests/need.sh
need cmake cmake
need make make
need cc gcc
need_target thumbv7em-none-eabihf
need arm-none-eabi-gcc gcc-arm-none-eabi
need_header arm-none-eabi-gcc string.h libnewlib-arm-none-eabi

rm -rf "$OUT"
mkdir -p "$OUT"
cmake -S crates/cfm-c/examples/label -B "$OUT/host" -DCFM_TARGET_DIR="$TARGET_DIR"
cmake --build "$OUT/host"
cargo build --release --locked --quiet -p cfm-sim --bin cfm --example render_scene
"$TARGET_DIR/release/examples/render_scene" 240 180 8 "$OUT/image.ppm"
"$TARGET_DIR/release/cfm" segment "$OUT/image.ppm" --out "$OUT/overlay.png" --labels "$OUT/cfm.pgm" >"$OUT/cfm.txt"
tail -c $((240 * 180 * 3)) "$OUT/image.ppm" >"$OUT/image.rgb"
"$OUT/host/label" "$OUT/image.rgb" "$OUT/c.labels"
tail -c $((240 * 180)) "$OUT/cfm.pgm" | cmp - "$OUT/c.labels"

# An old file of a built-in model gives way to the new one, which then stays as it is.
made=$OUT/host/cfm-models/label/street.c
cp -p "$made" "$OUT/street.c"
echo "/* old */" >"$made"
cmake --build "$OUT/host" >/dev/null
cmp "$made" "$OUT/street.c"
touch -d 2001-01-01 "$made"
cmake --build "$OUT/host" >/dev/null
[ "$(date -r "$made" +%Y)" = 2001 ] || {
    echo "a model that has not changed is made anew" >&2
    exit 1
}

# Of a file beside CMakeLists.txt, and of another one in its place.
mkdir -p "$OUT/path/models"
cp crates/cfm-c/examples/label/*.[ch] "$OUT/path"
sed -e "s|\.\./\.\./cmake|$PWD/crates/cfm-c/cmake|" -e 's|label street|label models/street.cfm|' \
    crates/cfm-c/examples/label/CMakeLists.txt >"$OUT/path/CMakeLists.txt"
grep -q 'models/street.cfm' "$OUT/path/CMakeLists.txt"
cp sim/models/scene.cfm "$OUT/path/models/street.cfm"
cmake -S "$OUT/path" -B "$OUT/path/build" -DCFM_TARGET_DIR="$TARGET_DIR" >/dev/null
cmake --build "$OUT/path/build" >/dev/null
made=$OUT/path/build/cfm-models/label/street.c
cp "$made" "$OUT/street.c"
cp sim/models/street.cfm "$OUT/path/models/street.cfm"
cmake --build "$OUT/path/build" >/dev/null
if cmp -s "$made" "$OUT/street.c"; then
    echo "a model that has changed is not made anew" >&2
    exit 1
fi
"$OUT/path/build/label" "$OUT/image.rgb" "$OUT/path.labels"
cmp "$OUT/path.labels" "$OUT/c.labels"

# From two folders beside each other, both of which include the file; with a folder for cargo that is relative to the build's;
# of files whose names are none in C. The names are those that the command gives.
two=$OUT/two
models=(my-int8.cfm street.v2.cfm 2024.cfm größe.cfm)
mkdir -p "$two/first" "$two/second" "$OUT/named"
for model in "${models[@]}"; do
    cp sim/models/scene.cfm "$two/second/$model"
    "$TARGET_DIR/release/cfm" export c --model "$two/second/$model" --out "$OUT/named" >/dev/null
done
cat >"$two/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.20)
project(two C)
add_subdirectory(first)
add_subdirectory(second)
CMAKE
cat >"$two/first/CMakeLists.txt" <<CMAKE
set(CFM_TARGET_DIR "$(realpath --relative-to "$two/build" "$TARGET_DIR")")
include($PWD/crates/cfm-c/cmake/cfm.cmake)
add_executable(first $PWD/crates/cfm-c/examples/label/main.c $PWD/crates/cfm-c/examples/label/label.c)
target_link_libraries(first PRIVATE cfm::cfm)
cfm_model(first street)
CMAKE
cat >"$two/second/CMakeLists.txt" <<CMAKE
include($PWD/crates/cfm-c/cmake/cfm.cmake)
add_executable(second main.c)
target_link_libraries(second PRIVATE cfm::cfm)
foreach(model ${models[*]})
    cfm_model(second \${model})
endforeach()
CMAKE
(cd "$OUT/named" && printf '#include "%s"\n' *.h) >"$two/second/main.c"
cat >>"$two/second/main.c" <<C
#include "cfm.h"
int main(void) { return cfm_error_message(0) == 0; }
C
(cd "$two" && cmake -S . -B build >/dev/null && cmake --build build >/dev/null)
"$two/build/first/first" "$OUT/image.rgb" "$OUT/two.labels"
cmp "$OUT/two.labels" "$OUT/c.labels"
"$two/build/second/second"
for made in "$OUT"/named/*; do
    cmp "$made" "$two/build/second/cfm-models/second/$(basename "$made")"
done

# A target without a system after whose name nothing follows: no threads, which would need a compiler, and no libstd.
cat >"$OUT/path/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.20)
project(bare NONE)
include($PWD/crates/cfm-c/cmake/cfm.cmake)
CMAKE
cmake -S "$OUT/path" -B "$OUT/bare" -DCFM_RUST_TARGET=aarch64-unknown-none >/dev/null
grep -rq -e '--features panic-handler' "$OUT/bare/CMakeFiles/cfm_cargo.dir" || {
    echo "the library for aarch64-unknown-none has no panic handler" >&2
    exit 1
}

cmake -S crates/cfm-c/examples/label -B "$OUT/arm" -DCFM_TARGET_DIR="$TARGET_DIR" \
    -DCFM_RUST_TARGET=thumbv7em-none-eabihf -DCMAKE_SYSTEM_NAME=Generic -DCMAKE_SYSTEM_PROCESSOR=arm \
    -DCMAKE_C_COMPILER=arm-none-eabi-gcc -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY \
    -DCMAKE_C_FLAGS="-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -Os" \
    -DCMAKE_EXE_LINKER_FLAGS="--specs=rdimon.specs"
cmake --build "$OUT/arm"
# Through a file: grep -q would leave before nm has written everything, and pipefail takes that for a failure.
arm-none-eabi-nm "$OUT/arm/label" >"$OUT/arm/symbols.txt"
grep -q ' T cfm_image_push_row$' "$OUT/arm/symbols.txt"

# What `set` says before `include` counts as well, the first time and when CMake runs again.
library=$TARGET_DIR/thumbv7em-none-eabihf/release/libcfm_c.a
cargo=$(command -v cargo)
cat >"$OUT/path/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.20)
project(set NONE)
set(CFM_RUST_TARGET thumbv7em-none-eabihf)
set(CFM_TARGET_DIR "$TARGET_DIR")
set(CFM_CARGO "$cargo")
include($PWD/crates/cfm-c/cmake/cfm.cmake)
get_target_property(library cfm::cfm IMPORTED_LOCATION)
file(WRITE "\${CMAKE_BINARY_DIR}/library.txt" "\${library} \${CFM_CARGO}")
CMAKE
for time in first second; do
    cmake -S "$OUT/path" -B "$OUT/set" >/dev/null
    [ "$(cat "$OUT/set/library.txt")" = "$library $cargo" ] || {
        echo "a variable that is set before include is lost the $time time: $(cat "$OUT/set/library.txt")" >&2
        exit 1
    }
done
rm -f "$library"
cmake --build "$OUT/set" --target cfm_cargo >/dev/null
[ -e "$library" ] || {
    echo "with CFM_RUST_TARGET set before include, another library than $library is built" >&2
    exit 1
}
echo "cmake: the same labels on the host; linked for Arm, with -D and with set"

bash crates/cfm-c/tests/no_panic.sh
