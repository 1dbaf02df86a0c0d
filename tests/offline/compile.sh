#!/bin/sh
# compile.sh TARGET SOURCE.cl: compiles one program of kernel_rows for one target, with SOURCE.options, and prints a line for each
# of its kernels, fields separated by tabs:
#
#   target  file  kernel  registers  local bytes  spills in bytes  occupancy  matrix instructions  share
#
# Registers are those of a work-item (AMD: vector and accumulation registers); occupancy is waves a SIMD (AMD) or warps an SM
# (NVIDIA, where the kernel fixes its work-group), "-" where it is not known. A compiler's complaint goes to stderr, with exit
# status 1. The share (NVIDIA) is how many multiply-adds of matrix instructions fall on an instruction of the main loop, cold paths
# counted too; in the time of one instruction a scheduler's matrix unit does 256 on sm_80 and 512 on sm_90. In the environment: LIBCLC,
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

failed() {
    { printf '%s %s: %s\n' "$target" "$source" "$options"; head -n 12 "$work/log"; } >&2
    exit 1
}

clang() { clang-19 "$@" >>"$work/log" 2>&1; }

# What matrix instructions multiply and add in the loop of an nvdisasm listing that does most, for each of its instructions.
loop_share() {
    awk '/^\.L_x_[0-9]+:/ { label = $1; sub(":", "", label); all_at[label] = all; work_at[label] = work }
         $1 ~ /^\/\*[0-9a-f]+\*\/$/ {
             all++
             if (/[^A-Z]HMMA\.16816\./) work += 16 * 8 * 16
             if (match($0, /HGMMA\.[0-9x]+/)) { # by four warps
                 split(substr($0, RSTART + 6, RLENGTH - 6), size, "x")
                 work += size[1] * size[2] * size[3] / 4
             }
             if (!/BRA/ || !match($0, /\.L_x_[0-9]+/)) next
             label = substr($0, RSTART, RLENGTH)
             if (!(label in all_at)) next
             done = work - work_at[label]
             instructions = all - all_at[label]
             if (done > most || (done == most && instructions < least)) { most = done; least = instructions }
         }
         END { if (most) printf "%d\n", most / least; else print "-" }'
}

nvidia() {
    # shellcheck disable=SC2086 # lists
    clang --target=nvptx64-unknown-nvidiacl $strict $options -Xclang -target-cpu -Xclang "${target%a}" \
        -Xclang -target-feature -Xclang "+ptx80" -Xclang -mlink-builtin-bitcode -Xclang "$libclc/nvptx64--nvidiacl.bc" \
        -S -o "$work/k.ptx" "$source" || failed
    case $options in
        *"-DPTX_TARGET=$target"*)
            "$PTX_PATCH" "$target" <"$work/k.ptx" >"$work/patched" 2>>"$work/log" || failed
            mv "$work/patched" "$work/k.ptx" ;;
    esac
    ptxas "-arch=$target" -v "$work/k.ptx" -o "$work/k.cubin" >"$work/log" 2>&1 || failed
    matrix=$(grep -cE '^[[:space:]]*(mma\.sync|wgmma\.mma)' "$work/k.ptx")
    share=-
    [ "$matrix" = 0 ] || share=$(nvdisasm "$work/k.cubin" | loop_share)
    # Each kernel's work-items, then what the assembler says of it.
    awk '/\.entry/ { kernel = $0; sub(/.*\.entry /, "", kernel); sub(/\(.*/, "", kernel) }
         /\.reqntid/ { gsub(",", ""); print "group", kernel, $2 * $3 * $4 }' "$work/k.ptx" | cat - "$work/log" >"$work/both"
    awk -v target="$target" -v file="$file" -v matrix="$matrix" -v share="$share" '
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
            printf "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%d\t%s\n", target, file, kernel, used, local_bytes, spill, warps, matrix, share
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
            printf "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t-\n", target, file, kernel, registers, local_bytes, spill, occupancy, matrix
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
        while read -r kernel; do printf '%s\t%s\t%s\t-\t-\t-\t-\t%d\t-\n' "$target" "$file" "$kernel" "$matrix"; done
}

spirv() {
    # shellcheck disable=SC2086
    clang-14 --target=spir64-unknown-unknown -x cl -Xclang -finclude-default-header -fgnu89-inline -O2 \
        -Xclang -disable-llvm-passes -emit-llvm $options -c -o "$work/k.bc" "$source" >"$work/log" 2>&1 || failed
    llvm-spirv-14 --spirv-max-version=1.2 "$work/k.bc" -o "$work/k.spv" >"$work/log" 2>&1 || failed
    spirv-val --target-env opencl2.2 "$work/k.spv" >"$work/log" 2>&1 || failed
    printf '%s\t%s\t-\t-\t-\t-\t-\t0\t-\n' "$target" "$file"
}

: >"$work/log"
case $target in
    sm_*) nvidia ;;
    gfx*) amd ;;
    spirv) spirv ;;
    *) intel ;;
esac
