# cfm for CMake: builds the static library with cargo and defines the target `cfm::cfm`.
#
#   include(path/to/crates/cfm-c/cmake/cfm.cmake)
#   target_link_libraries(my_program PRIVATE cfm::cfm)
#   cfm_model(my_program street)                     # NAME.h and NAME.c of a built-in model, or of PATH/NAME.cfm, where a
#                                                    # relative PATH begins in the folder of CMakeLists.txt
#
# Set before `include`, if needed, as a normal variable or with -D:
#   CFM_RUST_TARGET   Rust target, e.g. thumbv7em-none-eabihf; empty for the host. On a target without an operating
#                     system (`-none-` in its name) the library brings its own panic handler.
#   CFM_CARGO         the cargo to use
#   CFM_TARGET_DIR    where cargo builds; a folder in the build folder
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

set(_cfm_arguments build --release --locked --lib -p cfm-c --target-dir "${CFM_TARGET_DIR}")
set(_cfm_library "${CFM_TARGET_DIR}/release/libcfm_c.a")
if(CFM_RUST_TARGET)
    list(APPEND _cfm_arguments --target "${CFM_RUST_TARGET}")
    set(_cfm_library "${CFM_TARGET_DIR}/${CFM_RUST_TARGET}/release/libcfm_c.a")
endif()
if(CFM_RUST_TARGET MATCHES "-none-")
    list(APPEND _cfm_arguments --no-default-features --features panic-handler)
endif()

# Cargo itself knows what is up to date, so it is always asked.
add_custom_target(cfm_cargo
    COMMAND "${CFM_CARGO}" ${_cfm_arguments}
    WORKING_DIRECTORY "${CFM_ROOT_DIR}"
    BYPRODUCTS "${_cfm_library}"
    USES_TERMINAL
    VERBATIM)

add_library(cfm::cfm STATIC IMPORTED GLOBAL)
set_target_properties(cfm::cfm PROPERTIES
    IMPORTED_LOCATION "${_cfm_library}"
    INTERFACE_INCLUDE_DIRECTORIES "${CFM_C_DIR}/include")
if(NOT CFM_RUST_TARGET MATCHES "-none-")
    # What the Rust standard library asks for; it is there for its panic handler only.
    find_package(Threads REQUIRED)
    set_property(TARGET cfm::cfm PROPERTY INTERFACE_LINK_LIBRARIES Threads::Threads ${CMAKE_DL_LIBS} m)
endif()
add_dependencies(cfm::cfm cfm_cargo)

# Adds a model to a target, as C source made by `cfm export c`.
function(cfm_model target model)
    get_filename_component(name "${model}" NAME_WE)
    set(folder "${CMAKE_CURRENT_BINARY_DIR}/cfm-models/${target}")
    set(depends "")
    # A built-in model is a name, and a part of the exporter.
    if(model MATCHES "[/.]")
        get_filename_component(model "${model}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
        set(depends "${model}")
    endif()
    # What the exporter is made of, cargo knows, so it is always asked; the files are only touched when they change.
    add_custom_target(${target}_cfm_${name}
        COMMAND "${CFM_CARGO}" run --release --locked --quiet --target-dir "${CFM_TARGET_DIR}" -p cfm-sim --bin cfm --
                export c --model "${model}" --name "${name}" --out "${folder}/new"
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${folder}/new/${name}.c" "${folder}/new/${name}.h" "${folder}"
        BYPRODUCTS "${folder}/${name}.c" "${folder}/${name}.h"
        WORKING_DIRECTORY "${CFM_ROOT_DIR}"
        DEPENDS ${depends}
        USES_TERMINAL
        VERBATIM)
    add_dependencies(${target} ${target}_cfm_${name})
    set_source_files_properties("${folder}/${name}.c" "${folder}/${name}.h" PROPERTIES GENERATED TRUE)
    target_sources(${target} PRIVATE "${folder}/${name}.c" "${folder}/${name}.h")
    target_include_directories(${target} PRIVATE "${folder}")
endfunction()
