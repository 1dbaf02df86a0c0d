#!/bin/sh
# From a bare machine to a built, measured or tested library. Debian 12 and 13, Ubuntu 24.04; as root or with sudo.
#
#   sh cmake/setup.sh build    install what is missing, configure, build: build/lib, build/bin
#   sh cmake/setup.sh bench    the same, then measure a layer on this machine's OpenCL device
#   sh cmake/setup.sh test     the same, then every test, among them builds with clang, sanitizers and cross compilers
#   sh cmake/setup.sh conformance    only the kernel tests that run on other devices: Intel's OpenCL runtime for CPUs, rusticl,
#                              oclgrind, sub-devices, narrow vectors (tests/conformance.cmake)
#   sh cmake/setup.sh matrix   only the compile matrix: what the library would build on twelve GPUs, by offline compilers of Debian 12;
#                              keeps its table in bench/results/compile_matrix.tsv (tests/offline)
#
# Where there is no apt-get, the programs must be there already.
set -eu
cd "$(dirname "$0")/.."

# pocl-opencl-icd is the OpenCL device that every machine has: its CPU.
build_packages="gcc libc6-dev cmake ninja-build ocl-icd-opencl-dev opencl-headers pocl-opencl-icd
    libjansson-dev"
# gnuplot draws the pictures of clmoe-bench report.
bench_packages="$build_packages gnuplot-nox"
test_packages="$bench_packages libcmocka-dev python3-jsonschema clang libclang-rt-dev g++ binutils pkg-config util-linux
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-mingw-w64-x86-64"
# The variant clblast/gemm and clmoe-bench variants multiply with it; everything else does without, and tests of it say that they
# were skipped.
optional_bench_packages="libclblast-dev"
# Not every release has these; the tests that need them say that they were skipped.
optional_test_packages="oclgrind"

say() { printf '%s\n' "setup: $*"; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "root or sudo is needed for: $*" >&2
        return 1
    fi
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 "$@"; }

# Mirrors fail now and then: three attempts.
retry() {
    for pause in 5 20 0; do
        "$@" && return 0
        [ "$pause" -eq 0 ] || { say "trying again in $pause s: $*"; sleep "$pause"; }
    done
    return 1
}

# install REQUIRED OPTIONAL, both lists of packages.
install() {
    command -v apt-get >/dev/null || { say "no apt-get here; needed: $1"; return 0; }
    missing="" wanted=""
    for package in $1; do installed "$package" || missing="$missing $package"; done
    for package in $2; do installed "$package" || wanted="$wanted $package"; done
    [ -n "$missing$wanted" ] || return 0
    if [ "$(id -u)" -ne 0 ] && [ -z "$missing" ] && ! sudo -n true 2>/dev/null; then
        return 0 # optional packages are not worth a password
    fi
    retry apt update -q || [ -z "$missing" ] || say "apt-get update failed; going on with the lists there are"
    for package in $wanted; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            missing="$missing $package"
        else
            say "this release has no $package"
        fi
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    # shellcheck disable=SC2086 # a list
    retry apt install -q -y --no-install-recommends $missing
}

# build CMAKE-OPTIONS...
build() {
    cmake --preset release "$@"
    cmake --build --preset release
}

# Other OpenCL drivers for the kernel tests; apt-get has its lists when this is called.
drivers=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/clmoe-conformance
prepare_drivers() {
    install "$(sh cmake/conformance.sh --packages | tr '\n' ' ')" ""
    sh cmake/conformance.sh "$drivers"
}

# Offline compilers for GPUs, which Debian 12 has; elsewhere the test that needs them says that it was skipped.
compilers=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/clmoe-compilers
prepare_compilers() {
    install "$(sh cmake/compilers.sh --packages)" ""
    sh cmake/compilers.sh "$compilers"
}
has_compilers() { grep -q '^VERSION_CODENAME=bookworm' /etc/os-release 2>/dev/null; }

case "${1-}" in
    build)
        install "$build_packages" "$optional_bench_packages"
        build
        say "built: build/lib (libraries), build/bin (tools)"
        ;;
    bench)
        install "$bench_packages" "$optional_bench_packages"
        build
        build/bin/clmoe-bench layer --model olmoe --tokens 1,8,64,512 --weights f32,bf16,f16
        ;;
    test)
        install "$test_packages" "$optional_bench_packages $optional_test_packages"
        # A registry that cannot be reached must not hide what the other tests say.
        prepare_drivers || say "NOT TESTED: other OpenCL drivers, which could not be prepared (see above)"
        if has_compilers; then
            prepare_compilers || say "NOT TESTED: the compile matrix, whose compilers could not be prepared (see above)"
        fi
        build -DCLMOE_WERROR=ON -DCLMOE_BUILD_TESTS=ON -DCLMOE_BUILD_BENCH=ON -DCLMOE_TEST_PACKAGE=ON \
            -DCLMOE_CONFORMANCE="$drivers" -DCLMOE_COMPILERS="$compilers"
        # Two at a time: most tests wait for one compiler thread of the OpenCL driver.
        ctest --test-dir build --output-on-failure --no-label-summary -j 2
        ;;
    conformance)
        install "$build_packages libcmocka-dev python3-venv" "$optional_test_packages"
        status=0
        prepare_drivers || status=1 # the others have something to say without it
        build -DCLMOE_BUILD_TESTS=ON -DCLMOE_CONFORMANCE="$drivers" -DCLMOE_CONFORMANCE_FULL=ON
        rm -f build/conformance.xml
        ctest --test-dir build --output-on-failure --no-label-summary -L conformance -j 2 \
            --output-junit "$PWD/build/conformance.xml" --test-output-size-passed 1000000 || status=1
        sh tests/conformance_table.sh build/conformance.xml half lanes8 lanes4 oclgrind intel rusticl || status=1
        [ "$status" -eq 0 ] || say "conformance FAILED: see the table and what stands before it"
        exit "$status"
        ;;
    matrix)
        install "$build_packages libcmocka-dev" ""
        prepare_compilers
        build -DCLMOE_BUILD_TESTS=ON -DCLMOE_COMPILERS="$compilers"
        cmake --build --preset release --target compile_matrix
        ;;
    *)
        sed -n '2,12s/^# \{0,1\}//p' "$0"
        exit 2
        ;;
esac
