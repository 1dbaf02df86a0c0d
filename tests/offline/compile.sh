#!/bin/sh
# compile.sh TARGET SOURCE.cl: compiles one program of kernel_rows for one target, with SOURCE.options, and prints a line for each
# of its kernels, fields separated by tabs:
#
#   target  file  kernel  registers  local bytes  spills in bytes  occupancy  matrix instructions
#
# Registers are those of a work-item (AMD: vector and accumulation registers); occupancy is waves a SIMD (AMD) or warps an SM
# (NVIDIA, where the kernel fixes its work-group), "-" where it is not known. A compiler's complaint goes to stderr, with exit
# status 1. LIBCLC in the environment: where libclc's .bc files are.
set -u
target=$1 source=$2
options=$(cat "${source%.cl}.options")
file=$(basename "$source" .cl)
file=${file#*-}.cl
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
libclc=$LIBCLC
strict="-x cl -Xclang -finclude-default-header -fgnu-keywords -nogpulib -O3 -Wno-unused-command-line-argument"

failed() {
    { printf '%s %s: %s\n' "$target" "$source" "$options"; head -n 12 "$work/log"; } >&2
    exit 1
}

clang() { clang-19 "$@" >>"$work/log" 2>&1; }

nvidia() {
    # shellcheck disable=SC2086 # lists
    clang --target=nvptx64-unknown-nvidiacl $strict $options -Xclang -target-cpu -Xclang "$target" \
        -Xclang -target-feature -Xclang "+ptx80" -Xclang -mlink-builtin-bitcode -Xclang "$libclc/nvptx64--nvidiacl.bc" \
        -S -o "$work/k.ptx" "$source" || failed
    ptxas "-arch=$target" -v "$work/k.ptx" -o "$work/k.cubin" >"$work/log" 2>&1 || failed
    matrix=$(grep -cE '^[[:space:]]*(mma\.sync|wgmma\.mma)' "$work/k.ptx")
    # Each kernel's work-items, then what the assembler says of it.
    awk '/\.entry/ { kernel = $0; sub(/.*\.entry /, "", kernel); sub(/\(.*/, "", kernel) }
         /\.reqntid/ { gsub(",", ""); print "group", kernel, $2 * $3 * $4 }' "$work/k.ptx" | cat - "$work/log" >"$work/both"
    awk -v target="$target" -v file="$file" -v matrix="$matrix" '
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
            for (i = 1; i <= NF; i++) { if ($i == "Used") used = $(i + 1); if ($i == "bytes" && $(i + 1) ~ /smem/) local_bytes = $(i - 1) }
            warps = kernel in group ? occupancy(used, local_bytes, group[kernel]) : "-"
            printf "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%d\n", target, file, kernel, used, local_bytes, spill, warps, matrix
            spill = 0
        }' "$work/both"
}

amd() {
    # shellcheck disable=SC2086
    clang --target=amdgcn-amd-amdhsa "-mcpu=$target" $strict $options -Xclang -mlink-builtin-bitcode \
        -Xclang "$libclc/amdgcn--amdhsa.bc" -Rpass-analysis=kernel-resource-usage -S -o "$work/k.s" "$source" || failed
    matrix=$(grep -cE '^[[:space:]]*v_(mfma|wmma)' "$work/k.s")
    awk -v target="$target" -v file="$file" -v matrix="$matrix" '
        function number(label) { sub(".*" label ": ", ""); return $0 + 0 }
        /remark: / && /Function Name: / { kernel = $0; sub(/.*Function Name: /, "", kernel); sub(/ .*/, "", kernel) }
        /remark: / && / VGPRs: / { registers = number("VGPRs") }
        /remark: / && / AGPRs: / { registers += number("AGPRs") }
        /remark: / && /ScratchSize/ { scratch = number("ScratchSize \\[bytes\\/lane\\]") }
        /remark: / && /Occupancy/ { occupancy = number("Occupancy \\[waves\\/SIMD\\]") }
        /remark: / && /VGPRs Spill: / { spill = 4 * number("VGPRs Spill") }
        /remark: / && /LDS Size/ {
            local_bytes = number("LDS Size \\[bytes\\/block\\]")
            printf "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", target, file, kernel, registers, local_bytes, spill, occupancy, matrix
        }' "$work/log"
}

# The compiler does not say what a kernel takes.
intel() {
    ocloc compile -q -file "$source" -device "$target" -options "$options" -out_dir "$work/out" >"$work/log" 2>&1 ||
        failed
    matrix=0
    case $target in dg2*) platform=xehpg ;; pvc) platform=xehpc ;; *) platform= ;; esac
    if [ -n "$platform" ]; then
        ocloc disasm -file "$work"/out/*.bin -device "$target" -dump "$work/dump" >"$work/log" 2>&1 || failed
        matrix=$(for heap in "$work"/dump/*KernelHeap.dat; do iga64 -d "-p=$platform" "$heap" 2>/dev/null; done | grep -c dpas)
    fi
    sed -n 's/^.*__kernel.*void \([a-z_0-9]*\)(.*$/\1/p; s/^void \([a-z_0-9]*\)(.*$/\1/p' "$source" | sort -u |
        while read -r kernel; do printf '%s\t%s\t%s\t-\t-\t-\t-\t%d\n' "$target" "$file" "$kernel" "$matrix"; done
}

spirv() {
    # shellcheck disable=SC2086
    clang-14 --target=spir64-unknown-unknown -x cl -Xclang -finclude-default-header -fgnu89-inline -O2 \
        -Xclang -disable-llvm-passes -emit-llvm $options -c -o "$work/k.bc" "$source" >"$work/log" 2>&1 || failed
    llvm-spirv-14 --spirv-max-version=1.2 "$work/k.bc" -o "$work/k.spv" >"$work/log" 2>&1 || failed
    spirv-val --target-env opencl2.2 "$work/k.spv" >"$work/log" 2>&1 || failed
    printf '%s\t%s\t-\t-\t-\t-\t-\t0\n' "$target" "$file"
}

: >"$work/log"
case $target in
    sm_*) nvidia ;;
    gfx*) amd ;;
    spirv) spirv ;;
    *) intel ;;
esac
