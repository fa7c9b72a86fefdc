# cfm for CMake: builds the static library with cargo and defines the target `cfm::cfm`.
#
#   include(path/to/crates/cfm-c/cmake/cfm.cmake)
#   target_link_libraries(my_program PRIVATE cfm::cfm)
#   cfm_model(my_program street)                     # NAME.h and NAME.c of a built-in model, or of PATH/NAME.cfm, where a
#                                                    # relative PATH begins in the folder of CMakeLists.txt
#
# In the names of the files, and of all that is in them, what is neither a letter nor a digit becomes `_`, and `model_` comes
# before what does not begin with a letter, as in `cfm export c`: `my-int8.cfm` is `my_int8.h`, `2024.v2.cfm` `model_2024_v2.h`.
#
# Any number of folders of a build may include it and call `cfm_model`. There is one library, with the settings of the folder
# that includes it first.
#
# Set before `include`, if needed, as a normal variable or with -D:
#   CFM_RUST_TARGET   Rust target, e.g. thumbv7em-none-eabihf; empty for the host. On a target without an operating
#                     system (`none` in its name) the library brings its own panic handler.
#   CFM_CARGO         the cargo to use
#   CFM_TARGET_DIR    where cargo builds, `cfm-cargo` if it is not set; a relative path begins in the build folder
cmake_minimum_required(VERSION 3.20)
include_guard(GLOBAL)

get_filename_component(CFM_C_DIR "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
get_filename_component(CFM_ROOT_DIR "${CFM_C_DIR}/../.." ABSOLUTE)

# A normal variable (`set` before `include`) counts as much as one of the cache (`-D`). By the policies of CMake 3.20 the
# commands that fill the cache would remove it.
if(NOT DEFINED CFM_RUST_TARGET)
    set(CFM_RUST_TARGET "" CACHE STRING "Rust target of the library; empty for the host")
endif()
if(NOT DEFINED CFM_TARGET_DIR)
    set(CFM_TARGET_DIR "${CMAKE_BINARY_DIR}/cfm-cargo" CACHE PATH "Where cargo builds")
endif()
if(NOT CFM_CARGO)
    find_program(CFM_CARGO cargo HINTS "$ENV{HOME}/.cargo/bin" REQUIRED)
endif()

# Cargo works in another folder than the linker.
get_filename_component(_cfm_target_dir "${CFM_TARGET_DIR}" ABSOLUTE BASE_DIR "${CMAKE_BINARY_DIR}")

set(_cfm_arguments build --release --locked --lib -p cfm-c --target-dir "${_cfm_target_dir}")
set(_cfm_library "${_cfm_target_dir}/release/libcfm_c.a")
if(CFM_RUST_TARGET)
    list(APPEND _cfm_arguments --target "${CFM_RUST_TARGET}")
    set(_cfm_library "${_cfm_target_dir}/${CFM_RUST_TARGET}/release/libcfm_c.a")
endif()
# The system is the last part (aarch64-unknown-none) or is followed by the ABI (thumbv7em-none-eabihf).
if(CFM_RUST_TARGET MATCHES "-none(-|$)")
    set(_cfm_bare TRUE)
else()
    set(_cfm_bare FALSE)
endif()
if(_cfm_bare)
    list(APPEND _cfm_arguments --no-default-features --features panic-handler)
endif()

# Cargo itself knows what is up to date, so it is always asked.
add_custom_target(cfm_cargo
    COMMAND "${CFM_CARGO}" ${_cfm_arguments}
    WORKING_DIRECTORY "${CFM_ROOT_DIR}"
    BYPRODUCTS "${_cfm_library}"
    USES_TERMINAL
    VERBATIM)
# Variables end with the folder that includes this file; targets, and the function below, are there for all others too.
set_target_properties(cfm_cargo PROPERTIES
    CFM_ROOT_DIR "${CFM_ROOT_DIR}"
    CFM_CARGO "${CFM_CARGO}"
    CFM_TARGET_DIR "${_cfm_target_dir}")

add_library(cfm::cfm STATIC IMPORTED GLOBAL)
set_target_properties(cfm::cfm PROPERTIES
    IMPORTED_LOCATION "${_cfm_library}"
    INTERFACE_INCLUDE_DIRECTORIES "${CFM_C_DIR}/include")
if(NOT _cfm_bare)
    # What the Rust standard library asks for; it is there for its panic handler only. Not the target Threads::Threads, which
    # other folders do not see.
    find_package(Threads REQUIRED)
    set_property(TARGET cfm::cfm PROPERTY INTERFACE_LINK_LIBRARIES ${CMAKE_THREAD_LIBS_INIT} ${CMAKE_DL_LIBS} m)
endif()
add_dependencies(cfm::cfm cfm_cargo)

# The name of a model in C: what `identifier` in sim/src/c_source.rs makes of the name of its file.
function(_cfm_identifier name out)
    # A letter that is not ASCII is one character, of several bytes: the first one stands for it.
    string(ASCII 128 first)
    string(ASCII 191 last)
    string(REGEX REPLACE "[${first}-${last}]" "" name "${name}")
    string(REGEX REPLACE "[^A-Za-z0-9]" "_" name "${name}")
    if(NOT name MATCHES "^[A-Za-z]")
        string(PREPEND name "model_")
    endif()
    set(${out} "${name}" PARENT_SCOPE)
endfunction()

# Adds a model to a target, as C source made by `cfm export c`.
function(cfm_model target model)
    get_target_property(root cfm_cargo CFM_ROOT_DIR)
    get_target_property(cargo cfm_cargo CFM_CARGO)
    get_target_property(target_dir cfm_cargo CFM_TARGET_DIR)
    # Without the last extension only.
    get_filename_component(name "${model}" NAME_WLE)
    _cfm_identifier("${name}" name)
    set(folder "${CMAKE_CURRENT_BINARY_DIR}/cfm-models/${target}")
    set(depends "")
    # A built-in model is a name, and a part of the exporter.
    if(model MATCHES "[/.]")
        get_filename_component(model "${model}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
        set(depends "${model}")
    endif()
    # What the exporter is made of, cargo knows, so it is always asked; the files are only touched when they change.
    add_custom_target(${target}_cfm_${name}
        COMMAND "${cargo}" run --release --locked --quiet --target-dir "${target_dir}" -p cfm-sim --bin cfm --
                export c --model "${model}" --name "${name}" --out "${folder}/new"
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${folder}/new/${name}.c" "${folder}/new/${name}.h" "${folder}"
        BYPRODUCTS "${folder}/${name}.c" "${folder}/${name}.h"
        WORKING_DIRECTORY "${root}"
        DEPENDS ${depends}
        USES_TERMINAL
        VERBATIM)
    add_dependencies(${target} ${target}_cfm_${name})
    set_source_files_properties("${folder}/${name}.c" "${folder}/${name}.h" PROPERTIES GENERATED TRUE)
    target_sources(${target} PRIVATE "${folder}/${name}.c" "${folder}/${name}.h")
    target_include_directories(${target} PRIVATE "${folder}")
endfunction()
