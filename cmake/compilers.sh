#!/bin/sh
# Offline compilers for GPUs, in a folder of their own: what Debian 12 has that would not go together with other
# packages or would become an OpenCL platform of this machine, and NVIDIA's assembler from PyPI. tests/offline/matrix.sh
# uses them.
#
#   sh cmake/compilers.sh FOLDER        prepares FOLDER; a second run finds it as it is
#   sh cmake/compilers.sh --packages    prints the packages that must be installed beside it
set -eu

if [ "${1-}" = --packages ]; then
    echo clang-19 clang-14 llvm-spirv-14 spirv-tools libigc-tools libigc1 libigdfcl1 libigdgmm12 bsdextrautils python3-venv
    exit
fi
folder=${1:?"usage: compilers.sh FOLDER"}
recipe=$(cksum <"$0")
[ "$(cat "$folder/recipe" 2>/dev/null)" != "$recipe" ] || exit 0

say() { printf '%s\n' "compilers: $*"; }
die() { say "$*" >&2; exit 1; }

say "preparing $folder"
new=$folder.new
rm -rf "$new" "$folder"
mkdir -p "$new"
(cd "$new" && apt-get -q download libclc-19 libclc-19-dev intel-opencl-icd) >"$new/log" 2>&1 ||
    { cat "$new/log"; die "libclc-19 and intel-opencl-icd could not be downloaded; Debian 12 has them"; }
for package in "$new"/*.deb; do dpkg -x "$package" "$new" && rm "$package"; done
python3 -m venv "$new/python" || die "python3 -m venv does not work; Debian has it in python3-venv"
"$new/python/bin/pip" install -q --disable-pip-version-check --no-cache-dir --no-deps --retries 3 \
    nvidia-cuda-nvcc==13.5.37 nvidia-cuda-nvdisasm==13.5.37 || die "ptxas could not be installed from PyPI: nvidia-cuda-nvcc"
mkdir "$new/bin"
for tool in ptxas nvdisasm; do
    found=$(find "$new/python" -name "$tool" -type f | head -n 1)
    [ -n "$found" ] || die "PyPI's package has no $tool"
    mv "$found" "$new/bin/"
done
rm -rf "$new/python"
printf '#!/bin/sh\nhere=$(dirname "$(dirname "$(readlink -f "$0")")")\n%s\n' \
    'LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu) exec "$here/usr/bin/ocloc" "$@"' >"$new/bin/ocloc"
chmod +x "$new/bin/ocloc"
mv "$new" "$folder"
printf '%s\n' "$recipe" >"$folder/recipe"
