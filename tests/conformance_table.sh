#!/bin/sh
# What the conformance tests said, a line for each device of conformance.cmake: conformance_table.sh JUNIT-FILE DEVICE...
# Tests are named TEST.DEVICE; within them are cases, of which a device may leave some out. Fails if a test did or if a
# device had none to run.
set -eu
results=$1
shift
echo
awk -v devices="$*" '
function number(line, key) { # of key="..." in the line
    sub(".* " key "=\"", "", line)
    sub("\".*", "", line)
    return line
}
/<testcase / {
    device = number($0, "name")
    sub(".*\\.", "", device)
    how = number($0, "status")
    seconds[device] += number($0, "time")
    if (how == "run") passed[device]++
    else if (how == "notrun" || how == "disabled") skipped[device]++
    else failed[device]++
}
/\[  PASSED  \] / { cases[device] += $4 }
/\[  SKIPPED \] [0-9]/ { left_out[device] += $4 }
/^ *(<system-out>)?device: / && !(device in name) {
    sub("^.*device: ", "")
    gsub("&lt;", "<"); gsub("&gt;", ">"); gsub("&quot;", "\""); gsub("&amp;", "\\&")
    name[device] = $0
}
END {
    row = "%-9s %6s %6s %7s %6s %8s %8s  %s\n"
    printf row, "device", "passed", "failed", "skipped", "cases", "left out", "seconds", "what it is"
    count = split(devices, order, " ")
    for (i = 1; i <= count; i++) {
        d = order[i]
        ran = passed[d] + failed[d]
        if (failed[d] || !(ran + skipped[d])) bad = 1
        printf row, d, passed[d] + 0, failed[d] + 0, skipped[d] + 0, cases[d] + 0, left_out[d] + 0,
               int(seconds[d] + 0.5), ran + skipped[d] ? name[d] : "NOT RUN"
    }
    exit bad
}' "$results"
