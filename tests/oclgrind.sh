#!/bin/sh
# Runs a test on oclgrind's device, which checks every memory access of the kernels. It succeeds if the test does and oclgrind,
# whose exit status says nothing, has nothing to report. oclgrind.sh OCLGRIND LOG TEST [ARGUMENTS]
set -eu
oclgrind=$1 log=$2
shift 2
command -v "$oclgrind" >/dev/null || { echo "oclgrind is not installed"; exit 77; }
rm -f "$log"
"$oclgrind" --data-races --uninitialized --check-api --build-options -cl-opt-disable --log "$log" "$@"
if [ -s "$log" ]; then
    head -n 60 "$log"
    exit 1
fi
