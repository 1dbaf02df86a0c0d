#!/bin/sh
# compile.sh TARGET SOURCE.cl: compiles one program of kernel_rows for one target, with SOURCE.options, and prints a
# line for each of its kernels, fields separated by tabs:
#
#   target  file  kernel  class  registers  local bytes  spills  occupancy  matrix  multiplies  unit  drains
#
# class        the options that say what is done, without those that say how it is cut up
# registers    of a work-item (AMD: vector and accumulation registers; Intel: of a thread, where it says so)
# spills       in bytes; Intel: as many as its compiler counts
# occupancy    waves a SIMD (AMD) or warps an SM (NVIDIA, where the kernel fixes its work-group)
# matrix       matrix instructions of the program
#
# and of the loop that multiplies most, NVIDIA's alone, counted from nvdisasm's listing, cold paths in the loop too:
#
# multiplies   its matrix instructions, as a share of its instructions: an instruction is an issue slot
# unit         the same share in cycles. An instruction of m16n8k16 keeps a scheduler's matrix unit for 8 cycles on
#              sm_80 and 4 on sm_90, any other instruction is one cycle. wgmma is done beside the others: 1 where the
#              unit's cycles are more than theirs
# drains       waits until no wgmma is under way; one that leaves a group under way does not count
#
# "-" where it is not known. A compiler's complaint goes to stderr, with exit status 1. In the environment: LIBCLC,
# where libclc's .bc files are; PTX_PATCH, the program that does what the library does where options have PTX_TARGET.
set -u
target=$1 source=$2
options=$(cat "${source%.cl}.options")
file=$(basename "$source" .cl)
file=${file#*-}.cl
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
libclc=$LIBCLC
strict="-x cl -Xclang -finclude-default-header -fgnu-keywords -nogpulib -O3 -Wno-unused-command-line-argument"

class=$(printf '%s\n' "$options" | tr ' ' '\n' | awk -F= '
    /^-D(ARITHMETIC|SOURCE_FORMAT|WEIGHT_FORMAT|X_FORMAT)=/ { add(substr($0, 3)) }
    /^-DWEIGHTED=1/ { add("WEIGHTED") }
    /^-DSLOTS=[1-9]/ { add("SLOTS") }
    /^-DFEW=1/ { add("FEW") }
    /^-DSPLIT=/ { add("SPLIT") }
    function add(what) { all = all (all == "" ? "" : ",") what }
    END { print all == "" ? "-" : all }')

failed() {
    { printf '%s %s: %s\n' "$target" "$source" "$options"; head -n 12 "$work/log"; } >&2
    exit 1
}

clang() { clang-19 "$@" >>"$work/log" 2>&1; }

# multiplies, unit and drains of an nvdisasm listing.
main_loop() {
    awk -v target="$target" '
         function remember(label) {
             all_at[label] = all; fast_at[label] = fast; unit_at[label] = unit; drains_at[label] = drains
         }
         /^\.L_x_[0-9]+:/ { label = $1; sub(":", "", label); remember(label) }
         $1 ~ /^\/\*[0-9a-f]+\*\/$/ {
             all++
             if (/[^A-Z]HMMA\.16816\./) { fast++; unit += target == "sm_80" ? 8 : 4 }
             if (match($0, /HGMMA\.[0-9x]+/)) { # by four warps, 512 multiply-adds a cycle each
                 split(substr($0, RSTART + 6, RLENGTH - 6), size, "x")
                 fast++
                 unit += size[1] * size[2] * size[3] / 4 / 512
                 is_wgmma = 1
             }
             if (/WARPGROUP\.DEPBAR.*gsb[0-9], 0x0/) drains++
             if (!/BRA/ || !match($0, /\.L_x_[0-9]+/)) next
             label = substr($0, RSTART, RLENGTH)
             if (!(label in all_at) || unit - unit_at[label] <= most) next
             most = unit - unit_at[label]
             instructions = all - all_at[label]
             multiplies = fast - fast_at[label]
             waits = drains - drains_at[label]
         }
         END {
             if (!most) { print "-\t-\t-"; exit }
             cycles = is_wgmma ? instructions > most ? instructions : most : most + instructions - multiplies
             printf "%.2f\t%.2f\t%d\n", multiplies / instructions, most / cycles, waits
         }'
}

# The work-items of a kernel from LLVM's text, into PTX as NVIDIA's compiler has them.
fix_groups() {
    awk 'NR == FNR && /^define/ && match($0, /!reqd_work_group_size ![0-9]+/) {
             kernel = $0; sub(/\(.*/, "", kernel); sub(/.*@/, "", kernel)
             number = substr($0, RSTART + 22, RLENGTH - 22)
             of[number] = of[number] " " kernel
         }
         NR == FNR && $1 in of {
             count = split(of[$1], kernels, " ")
             text = $0; gsub(/.*{|}|i32 /, "", text)
             for (i = 1; i <= count; i++) group[kernels[i]] = text
         }
         NR == FNR { next }
         { print }
         /\.entry/ { entry = $0; sub(/.*\.entry /, "", entry); sub(/\(.*/, "", entry) }
         /^\)/ && entry in group { print ".reqntid " group[entry]; entry = "" }
    ' "$work/k.ll" "$work/k.ptx" >"$work/grouped"
    mv "$work/grouped" "$work/k.ptx"
}

nvidia() {
    # shellcheck disable=SC2086 # lists
    clang --target=nvptx64-unknown-nvidiacl $strict $options -Xclang -target-cpu -Xclang "${target%a}" \
        -Xclang -target-feature -Xclang "+ptx80" -Xclang -mlink-builtin-bitcode -Xclang "$libclc/nvptx64--nvidiacl.bc" \
        -S -emit-llvm -o "$work/k.ll" "$source" || failed
    clang --target=nvptx64-unknown-nvidiacl -O3 -Xclang -disable-llvm-passes -Xclang -target-cpu -Xclang "${target%a}" \
        -Xclang -target-feature -Xclang "+ptx80" -S -o "$work/k.ptx" -x ir "$work/k.ll" || failed
    fix_groups
    case $options in
        *"-DPTX_TARGET=$target"*)
            "$PTX_PATCH" "$target" <"$work/k.ptx" >"$work/patched" 2>>"$work/log" || failed
            mv "$work/patched" "$work/k.ptx" ;;
    esac
    ptxas "-arch=$target" -v "$work/k.ptx" -o "$work/k.cubin" >"$work/log" 2>&1 || failed
    matrix=$(grep -cE '^[[:space:]]*(mma\.sync|wgmma\.mma)' "$work/k.ptx")
    mix=$(printf -- '-\t-\t-')
    [ "$matrix" = 0 ] || mix=$(nvdisasm "$work/k.cubin" | main_loop)
    # Each kernel's work-items, then what the assembler says of it.
    awk '/\.entry/ { kernel = $0; sub(/.*\.entry /, "", kernel); sub(/\(.*/, "", kernel) }
         /\.reqntid/ { gsub(",", ""); print "group", kernel, $2 * $3 * $4 }' "$work/k.ptx" |
        cat - "$work/log" >"$work/both"
    awk -v target="$target" -v file="$file" -v class="$class" -v matrix="$matrix" -v mix="$mix" '
        # 64 warps, 65536 registers in pieces of 256, shared memory with 1 KiB a work-group for the system
        function occupancy(used, bytes, items,   warps, groups, by) {
            warps = int((items + 31) / 32)
            groups = int(64 / warps)
            by = int(65536 / (warps * int((used * 32 + 255) / 256) * 256))
            if (by < groups) groups = by
            by = int((target == "sm_80" ? 164 : 228) * 1024 / (bytes + 1024))
            if (by < groups) groups = by
            return (groups < 32 ? groups : 32) * warps
        }
        $1 == "group" { group[$2] = $3; next }
        /Compiling entry function/ { split($0, part, "\047"); kernel = part[2] }
        /bytes spill stores/ { for (i = 2; i <= NF; i++) if ($i == "bytes" && $(i + 1) == "spill") spill += $(i - 1) }
        /Used [0-9]+ registers/ {
            local_bytes = 0
            for (i = 1; i <= NF; i++) {
                if ($i == "Used") used = $(i + 1)
                if ($i == "bytes" && $(i + 1) ~ /smem/) local_bytes = $(i - 1)
            }
            warps = kernel in group ? occupancy(used, local_bytes, group[kernel]) : "-"
            printf "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%d\t%s\n", target, file, kernel, class, used, local_bytes, spill,
                   warps, matrix, mix
            spill = 0
        }' "$work/both"
}

amd() {
    # shellcheck disable=SC2086
    clang --target=amdgcn-amd-amdhsa "-mcpu=$target" $strict $options -Xclang -mlink-builtin-bitcode \
        -Xclang "$libclc/amdgcn--amdhsa.bc" -Rpass-analysis=kernel-resource-usage -S -o "$work/k.s" "$source" || failed
    matrix=$(grep -cE '^[[:space:]]*v_(mfma|wmma)' "$work/k.s")
    awk -v target="$target" -v file="$file" -v class="$class" -v matrix="$matrix" '
        function number(label) { sub(".*" label ": ", ""); return $0 + 0 }
        /remark: / && /Function Name: / { kernel = $0; sub(/.*Function Name: /, "", kernel); sub(/ .*/, "", kernel) }
        /remark: / && / VGPRs: / { registers = number("VGPRs") }
        /remark: / && / AGPRs: / { registers += number("AGPRs") }
        /remark: / && /ScratchSize/ { scratch = number("ScratchSize \\[bytes\\/lane\\]") }
        /remark: / && /Occupancy/ { occupancy = number("Occupancy \\[waves\\/SIMD\\]") }
        /remark: / && /VGPRs Spill: / { spill = 4 * number("VGPRs Spill") }
        /remark: / && /LDS Size/ {
            local_bytes = number("LDS Size \\[bytes\\/block\\]")
            printf "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t-\t-\t-\n", target, file, kernel, class, registers,
                   local_bytes, spill, occupancy, matrix
        }' "$work/log"
}

# The compiler says what a kernel takes where it spills, and else nothing.
intel() {
    ocloc compile -file "$source" -device "$target" -options "$options" -out_dir "$work/out" >"$work/said" 2>&1 ||
        { cp "$work/said" "$work/log"; failed; }
    matrix=0
    case $target in dg2*) platform=xehpg ;; pvc) platform=xehpc ;; *) platform= ;; esac
    if [ -n "$platform" ]; then
        ocloc disasm -file "$work"/out/*.bin -device "$target" -dump "$work/dump" >"$work/log" 2>&1 || failed
        matrix=$(for heap in "$work"/dump/*KernelHeap.dat; do iga64 -d "-p=$platform" "$heap" 2>/dev/null; done |
            grep -c dpas)
    fi
    sed -n 's/^.*__kernel.*void \([a-z_0-9]*\)(.*$/\1/p; s/^void \([a-z_0-9]*\)(.*$/\1/p' "$source" | sort -u |
        while read -r kernel; do
            # warning: kernel NAME  compiled SIMD32 allocated 128 regs and spilled around 4
            spills="allocated \([0-9]*\) regs and spilled around \([0-9]*\)"
            said=$(sed -n "s/.*kernel $kernel .*$spills.*/\1 - \2/p" "$work/said" | tail -n 1)
            # shellcheck disable=SC2086 # three fields
            printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t-\t%d\t-\t-\t-\n' "$target" "$file" "$kernel" "$class" \
                ${said:-- - 0} "$matrix"
        done
}

spirv() {
    # shellcheck disable=SC2086
    clang-14 --target=spir64-unknown-unknown -x cl -Xclang -finclude-default-header -fgnu89-inline -O2 \
        -Xclang -disable-llvm-passes -emit-llvm $options -c -o "$work/k.bc" "$source" >"$work/log" 2>&1 || failed
    llvm-spirv-14 --spirv-max-version=1.2 "$work/k.bc" -o "$work/k.spv" >"$work/log" 2>&1 || failed
    spirv-val --target-env opencl2.2 "$work/k.spv" >"$work/log" 2>&1 || failed
    printf '%s\t%s\t-\t%s\t-\t-\t-\t-\t0\t-\t-\t-\n' "$target" "$file" "$class"
}

: >"$work/log"
case $target in
    sm_*) nvidia ;;
    gfx*) amd ;;
    spirv) spirv ;;
    *) intel ;;
esac
