#!/bin/sh
# Runs a test on POCL with the kernels that tests before it compiled: shared_kernels.sh FOLDER COMMAND...
#
# Processes that fill one POCL cache at the same time have been seen to die. So each takes a cache that nobody uses now,
# FOLDER/1, FOLDER/2 ...; before the test it gets what is new in FOLDER/all, after it FOLDER/all gets what is new there.
# The same kernel is one file with several links. Without flock(1) every test uses POCL's usual cache.
set -eu
folder=$1
shift
command -v flock >/dev/null || exec "$@"

# give FROM TO WHICH...: compiled kernels that find calls WHICH. Where files cannot have links, nothing is shared.
give() {
    from=$1 to=$2
    shift 2
    (cd "$from" && find . \( -name '*.so' -o -name program.bc \) "$@" -print0 |
        xargs -0r cp -lf --parents -t "$to") || :
}

mkdir -p "$folder/all"
number=1
while exec 8>"$folder/$number.lock"; ! flock -n 8; do number=$((number + 1)); done
own=$folder/$number
[ -d "$own" ] || { mkdir "$own" && touch -d @0 "$own.seen"; }

exec 9>"$folder/all.lock"
flock 9
give "$folder/all" "$own" -cnewer "$own.seen"
touch "$own.seen"
flock -u 9

status=0
POCL_CACHE_DIR=$own "$@" 9>&- || status=$?

flock 9
give "$own" "$folder/all" -links 1
exit "$status"
