# The build options, and the target clmoe_options that carries warnings and sanitizers to everything built here.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo, Debug" FORCE)
endif()

# Linking is right where every system has a loader package; elsewhere the library should start without OpenCL.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    set(load_by_default OFF)
else()
    set(load_by_default ON)
endif()
option(CLMOE_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(CLMOE_BUILD_BENCH "Build clmoe-bench" ${PROJECT_IS_TOP_LEVEL})
option(CLMOE_BUILD_MODEL "Build clmoe::model, the readers of model files, and clmoe-run" ON)
option(CLMOE_BUILD_FUZZ "Build tests/fuzz, which needs clang (preset: fuzz)" OFF)
option(CLMOE_TEST_PACKAGE "Register the slow tests that build the project in other ways (label: package)" OFF)
option(CLMOE_LOAD_OPENCL "Open the OpenCL loader at run time instead of linking it" ${load_by_default})
option(CLMOE_CLBLAST "Let CLBlast multiply where it is asked for: looked for at run time, never linked" ON)
option(CLMOE_WERROR "Treat warnings as errors" OFF)
option(CLMOE_COVERAGE "Count executed lines with gcov" OFF)
set(CLMOE_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_library(CLMOE_LIBM m)
mark_as_advanced(CLMOE_LIBM)
if(NOT CLMOE_LIBM)
    set(CLMOE_LIBM "")
else()
    set(CLMOE_LIBM m)
endif()

add_library(clmoe_options INTERFACE)
target_compile_definitions(clmoe_options INTERFACE CL_TARGET_OPENCL_VERSION=120)
# In one bit-exact library the compiler may not fuse a * b + c on its own.
# Rows of data leave out the fields that are 0.
target_compile_options(clmoe_options INTERFACE -ffp-contract=off -Wall -Wextra -Wpedantic -Wconversion -Wshadow
    -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-deprecated-declarations -Wno-missing-field-initializers)
if(MINGW)
    target_compile_definitions(clmoe_options INTERFACE __USE_MINGW_ANSI_STDIO=1) # %zu and %llu as C11 has them
endif()
if(CLMOE_WERROR)
    target_compile_options(clmoe_options INTERFACE -Werror)
endif()
if(CLMOE_SANITIZE)
    # Compiled in half the time that -O2 -g takes, and stacks name their lines.
    set(sanitize -O1 -g1 -fsanitize=${CLMOE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_compile_options(clmoe_options INTERFACE ${sanitize})
    target_link_options(clmoe_options INTERFACE ${sanitize})
endif()
if(CLMOE_COVERAGE)
    target_compile_options(clmoe_options INTERFACE --coverage)
    target_link_options(clmoe_options INTERFACE --coverage)
endif()
