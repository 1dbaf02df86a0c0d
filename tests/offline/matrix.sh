#!/bin/sh
# matrix.sh KERNEL_ROWS COMPILERS FOLDER KEPT [core]: the compile matrix, with the compilers that cmake/compilers.sh
# put in COMPILERS. Has KERNEL_ROWS write in FOLDER the programs that the library would build on each GPU it knows,
# compiles them for that GPU, and makes a table, FOLDER/matrix.tsv: for each kernel and class (compile.sh says what each
# column is) of each target the number of programs, the most registers, local memory, spills and drains, the least
# occupancy, matrix instructions and shares. Prints it shorter, a line for a kernel of a target. `core`: fewer formats
# and targets.
#
# Exit status 1 where a program does not compile, where a matrix kernel has no matrix instruction, where on NVIDIA one
# fills less than 0.6 of its main loop's cycles with multiplications or drains there, where with 16-bit weights mma.sync
# is less than 0.6 of the loop's instructions, and where against the table in KEPT a kernel spills more, has lost
# occupancy or 0.03 of a share, or drains more. Not asked for 0.6: mma.sync with q5_1, q4_K and f8_b128 on sm_90, whose
# unit is twice as fast as that of sm_80 and leaves half the time for decoding; wgmma comes first there. 77: a compiler
# is missing.
set -eu
rows=$1 compilers=$2 folder=$3 kept=$4 which=${5-}
here=$(cd "$(dirname "$0")" && pwd)
PATH=$compilers/bin:$PATH LIBCLC=$compilers/usr/lib/clc PTX_PATCH=$(dirname "$rows")/ptx_patch
export PATH LIBCLC PTX_PATCH

for tool in clang-19 clang-14 llvm-spirv-14 spirv-val ocloc iga64 ptxas nvdisasm; do
    command -v "$tool" >/dev/null ||
        { echo "compile matrix: there is no $tool; sh cmake/setup.sh matrix installs it"; exit 77; }
done
rm -rf "$folder"
mkdir -p "$folder"
# shellcheck disable=SC2086 # one word or none
"$rows" "$folder/programs" $which
find "$folder/programs" -name '*.cl' | sort | awk -F / '{ print $(NF - 1), $0 }' >"$folder/jobs"
status=0
xargs -P "$(nproc)" -n 2 sh "$here/compile.sh" <"$folder/jobs" >"$folder/kernels.tsv" 2>"$folder/complaints" || status=1
[ -s "$folder/complaints" ] && { cat "$folder/complaints"; status=1; }

header='target\tfile\tkernel\tclass\tprograms\tregisters\tlocal bytes\tspills\toccupancy\tmatrix'
header=$header'\tmultiplies\tunit\tdrains'

# merge KEYS: of the lines of kernels.tsv whose first KEYS fields are equal, the worst of each other field.
merge() {
    awk -F '\t' -v OFS='\t' -v keys="$1" '
        function most(a, b) { return a == "-" ? b : b == "-" ? a : a > b ? a : b }
        function least(a, b) { return a == "-" ? b : b == "-" ? a : a < b ? a : b }
        {
            key = $1
            for (i = 2; i <= keys; i++) key = key OFS $i
            new = !(key in programs)
            programs[key]++
            for (i = 5; i <= NF; i++)
                worst[key, i] = new ? $i : i <= 7 || i == 12 ? most(worst[key, i], $i) : least(worst[key, i], $i)
        }
        END {
            for (key in programs) {
                line = key OFS programs[key]
                for (i = 5; i <= 12; i++) line = line OFS worst[key, i]
                print line
            }
        }' "$folder/kernels.tsv" | LC_ALL=C sort
}
{
    printf "$header\n"
    merge 4
} >"$folder/matrix.tsv"
{
    printf "$header\n" | cut -f 4 --complement
    merge 3
} | column -t -s "$(printf '\t')"

awk -F '\t' '
    function wrong(text) { print key ": " text; bad = 1 }
    FNR == 1 { next }
    { key = $1 " " $2 " " $3 " " $4 }
    NR == FNR {
        spills[key] = $8; occupancy[key] = $9; multiplies[key] = $11; unit[key] = $12; drains[key] = $13
        next
    }
    $2 == "gemm_matrix.cl" && $10 == 0 { wrong("no matrix instruction") }
    $2 == "gemm_matrix.cl" && $12 != "-" {
        if ($12 < 0.6 && ($1 != "sm_90" || $4 !~ /WEIGHT_FORMAT=(20|21|56)(,|$)/))
            wrong("multiplications fill " $12 " of the main loop")
        if ($13 > 0) wrong("the main loop waits for its multiplications")
    }
    $2 == "gemm_matrix.cl" && $1 ~ /^sm_[89]0$/ && $4 ~ /WEIGHT_FORMAT=3(,|$)/ && $11 < 0.6 {
        wrong("multiplications are " $11 " of the instructions of the main loop")
    }
    !(key in spills) { next }
    $8 != "-" && $8 > spills[key] + 0 { wrong("spills " $8 ", kept " spills[key]) }
    $9 != "-" && occupancy[key] != "-" && $9 < occupancy[key] { wrong("occupancy " $9 ", kept " occupancy[key]) }
    $11 == "-" || multiplies[key] == "-" { next }
    $11 < multiplies[key] - 0.03 { wrong("multiplies " $11 ", kept " multiplies[key]) }
    $12 < unit[key] - 0.03 { wrong("unit " $12 ", kept " unit[key]) }
    $13 > drains[key] { wrong("drains " $13 ", kept " drains[key]) }
    END { exit bad }
' "$kept" "$folder/matrix.tsv" || status=1
echo "compile matrix: $(wc -l <"$folder/jobs") programs, $(grep -c . "$folder/complaints" || true) lines of complaints"
exit $status
