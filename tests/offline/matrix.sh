#!/bin/sh
# matrix.sh KERNEL_ROWS COMPILERS FOLDER KEPT [core]: the compile matrix, with the compilers cmake/compilers.sh put in COMPILERS. Has KERNEL_ROWS write in FOLDER the programs that the library would
# build on each GPU it knows, compiles them for that GPU, and prints a table: for each kernel of each target the number of
# programs, the most registers, local memory and spills, the least occupancy, the fewest matrix instructions, and their least share
# as compile.sh has it. `core`: fewer formats.
#
# Exit status 1 where a program does not compile, where a matrix kernel has no matrix instruction, and where against the table in
# KEPT a kernel spills more or has lost occupancy. The new table is FOLDER/matrix.tsv. 77: a compiler is missing.
set -eu
rows=$1 compilers=$2 folder=$3 kept=$4 which=${5-}
here=$(cd "$(dirname "$0")" && pwd)
PATH=$compilers/bin:$PATH LIBCLC=$compilers/usr/lib/clc PTX_PATCH=$(dirname "$rows")/ptx_patch
export PATH LIBCLC PTX_PATCH

for tool in clang-19 clang-14 llvm-spirv-14 spirv-val ocloc iga64 ptxas nvdisasm; do
    command -v "$tool" >/dev/null || { echo "compile matrix: there is no $tool; sh cmake/setup.sh matrix installs it"; exit 77; }
done
rm -rf "$folder"
mkdir -p "$folder"
# shellcheck disable=SC2086 # one word or none
"$rows" "$folder/programs" $which
find "$folder/programs" -name '*.cl' | sort | while read -r source; do
    printf '%s %s\n' "$(basename "$(dirname "$source")")" "$source"
done >"$folder/jobs"
status=0
xargs -P "$(nproc)" -n 2 sh "$here/compile.sh" <"$folder/jobs" >"$folder/kernels.tsv" 2>"$folder/complaints" || status=1
[ -s "$folder/complaints" ] && { cat "$folder/complaints"; status=1; }

header='target\tfile\tkernel\tprograms\tregisters\tlocal bytes\tspills\toccupancy\tmatrix\tshare'
{
    printf "$header\n"
    awk -F '\t' -v OFS='\t' '
        function most(a, b) { return a == "-" || b == "-" ? "-" : a > b ? a : b }
        function least(a, b) { return a == "-" || b == "-" ? "-" : a < b ? a : b }
        { key = $1 OFS $2 OFS $3 }
        !(key in programs) { registers[key] = $4; bytes[key] = $5; spills[key] = $6; occupancy[key] = $7; matrix[key] = $8; share[key] = $9 }
        {
            programs[key]++
            registers[key] = most(registers[key], $4)
            bytes[key] = most(bytes[key], $5)
            spills[key] = most(spills[key], $6)
            occupancy[key] = least(occupancy[key], $7)
            matrix[key] = least(matrix[key], $8)
            share[key] = least(share[key], $9)
        }
        END { for (key in programs)
                  print key, programs[key], registers[key], bytes[key], spills[key], occupancy[key], matrix[key], share[key] }
    ' "$folder/kernels.tsv" | sort
} >"$folder/matrix.tsv"
column -t -s "$(printf '\t')" "$folder/matrix.tsv"

awk -F '\t' '
    FNR == 1 { next }
    { key = $1 " " $3 }
    NR == FNR { spills[key] = $7; occupancy[key] = $8; known[key] = 1; next }
    $2 == "gemm_matrix.cl" && $9 == 0 { print key ": no matrix instruction"; bad = 1 }
    !(key in known) { next }
    $7 != "-" && $7 > spills[key] { print key ": spills " $7 " bytes, kept " spills[key]; bad = 1 }
    $8 != "-" && occupancy[key] != "-" && $8 < occupancy[key] { print key ": occupancy " $8 ", kept " occupancy[key]; bad = 1 }
    END { exit bad }
' "$kept" "$folder/matrix.tsv" || status=1
echo "compile matrix: $(wc -l <"$folder/jobs") programs, $(grep -c . "$folder/complaints" || true) lines of complaints"
exit $status
