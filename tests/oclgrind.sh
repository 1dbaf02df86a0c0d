#!/bin/sh
# Runs a test on oclgrind's device, which checks every memory access of the kernels. It succeeds if the test does and
# oclgrind, whose exit status says nothing, has nothing to report. oclgrind.sh OCLGRIND LOG TEST [ARGUMENTS]
#
# The reports are told from the test's own output by their first lines. Option --log would tell them apart, but every
# new context empties that file.
set -eu
oclgrind=$1 log=$2
shift 2
command -v "$oclgrind" >/dev/null || { echo "oclgrind is not installed"; exit 77; }
status=0
"$oclgrind" --data-races --uninitialized --check-api --build-options -cl-opt-disable "$@" >"$log" 2>&1 || status=$?
if grep -q -e "^	Kernel:" -e "^Oclgrind" -e "Oclgrind - " "$log"; then
    grep -v "^$" "$log" | head -n 60
    exit 1
fi
cat "$log"
exit "$status"
