#!/bin/sh
# Other OpenCL drivers for the kernel tests, in a folder of their own: Intel's for CPUs (from PyPI) and Mesa's rusticl on
# llvmpipe (from Debian). Nothing that is installed here is touched; a second run finds the folder as it is.
#
#   sh cmake/conformance.sh FOLDER        prepares FOLDER/intel and FOLDER/rusticl; tests/conformance.cmake runs tests on them
#   sh cmake/conformance.sh --packages    prints the packages this needs to be installed
set -eu

# What mesa-opencl-icd needs, of alternatives the first, but for libclc: its package asks for one that cannot be installed
# beside another version.
needed=$(LC_ALL=C apt-cache depends mesa-opencl-icd | sed -n 's/^ [ |]Depends: \([^<>]*\)$/\1/p')
if [ "${1-}" = --packages ]; then
    echo python3-venv
    printf '%s\n' "$needed" | grep -v -e '^libclc' -e '^libopencl1'
    exit
fi
folder=${1:?"usage: conformance.sh FOLDER"}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

# Together one release of Intel's runtime; its own requirements ask for more than it needs.
intel_packages="intel-opencl-rt==2026.2.0 intel-cmplr-lib-ur==2026.2.0 intel-cmplr-lib-rt==2026.2.0
    intel-cmplr-lic-rt==2026.2.0 tbb==2023.2.0 tcmlib==1.6.0 umf==1.2.0"

say() { printf '%s\n' "conformance: $*"; }
die() { say "$*" >&2; exit 1; }

# Drivers are unpacked beside their place and moved there when complete.
intel() {
    new=$folder/intel.new
    rm -rf "$new" "$folder/intel"
    python3 -m venv "$new/python" || die "python3 -m venv does not work; Debian has it in python3-venv"
    # shellcheck disable=SC2086 # a list
    "$new/python/bin/pip" install -q --disable-pip-version-check --no-cache-dir --no-deps --retries 3 $intel_packages ||
        die "Intel's OpenCL runtime could not be installed from PyPI: $intel_packages"
    mkdir "$new/icd"
    printf '%s\n' "$folder/intel/python/lib/libintelocl.so" >"$new/icd/intel.icd"
    [ -e "$new/python/lib/libintelocl.so" ] || die "intel-opencl-rt has no lib/libintelocl.so"
    mv "$new" "$folder/intel"
}

# rusticl looks for libclc in a fixed folder. Both are unpacked here, and the path in the library is changed to one relative
# to the folder the tests run in, of the same length.
rusticl() {
    new=$folder/rusticl.new
    rm -rf "$new" "$folder/rusticl"
    mkdir -p "$new/icd"
    libclc=$(printf '%s\n' "$needed" | grep '^libclc') || die "mesa-opencl-icd is unknown, or needs no libclc any more"
    (cd "$new" && apt-get -q download mesa-opencl-icd "$libclc") >"$new/log" 2>&1 ||
        { cat "$new/log"; die "mesa-opencl-icd and $libclc could not be downloaded"; }
    for package in "$new"/*.deb; do dpkg -x "$package" "$new" && rm "$package"; done
    mv "$new/usr/lib/clc" "$new/clc"
    library=$(echo "$new"/usr/lib/*/libRusticlOpenCL.so.1)
    [ -e "$library" ] || die "mesa-opencl-icd has no libRusticlOpenCL.so.1"
    sed -i 's#/usr/lib/clc/spirv#.////////clc/spirv#g' "$(readlink -f "$library")"
    grep -q '\.////////clc/spirv' "$library" || die "rusticl does not look for libclc where it did; tell conformance.sh"
    LC_ALL=C ldd "$library" | grep "not found" && die "rusticl needs the libraries above; setup.sh installs them"
    mv "$library"* "$new"
    printf '%s\n' "$folder/rusticl/libRusticlOpenCL.so.1" >"$new/icd/rusticl.icd"
    rm -rf "$new/usr" "$new/etc"
    mv "$new" "$folder/rusticl"
}

# prepared NAME RECIPE: whether the driver is there, made by this very recipe.
prepared() { [ "$(cat "$folder/$1/recipe" 2>/dev/null)" = "$2" ]; }

recipe=$(cksum <"$0")
status=0
for driver in intel rusticl; do
    prepared "$driver" "$recipe" && continue
    say "preparing $driver"
    # Without one of them there is still the other.
    (set -e; "$driver") && printf '%s\n' "$recipe" >"$folder/$driver/recipe" || status=1
done
say "drivers are in $folder"
exit $status
