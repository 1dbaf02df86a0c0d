# What bench_service.sh and bench_studies.sh share: each takes CASE BENCH FOLDER and reads this file first. FOLDER is
# made anew.
case=$1
bench=$2
folder=$3
rm -rf "$folder"
mkdir -p "$folder" || exit 1
shape="--hidden-size 64 --intermediate-size 48 --experts 4 --top-k 2"
json="$folder/$case.json"

fail() {
    echo "clmoe-bench $case: $*" >&2
    [ ! -s "$folder/err" ] || cat "$folder/err" >&2
    [ ! -s "$folder/out" ] || cat "$folder/out" >&2
    exit 1
}
# Runs the command; its exit status must be $1. Nothing but complaints may be on stderr, so nothing after a success.
ends() {
    wanted=$1
    shift
    "$bench" "$case" "$@" >"$folder/out" 2>"$folder/err"
    status=$?
    [ $status -eq "$wanted" ] || fail "'$*' ended with $status, expected $wanted"
    [ "$wanted" -ne 0 ] || [ ! -s "$folder/err" ] || fail "'$*' printed on stderr"
}
prints() { grep -qE -- "$1" "$folder/out" || fail "no '$1' in what it printed"; }
# A wrong argument: status 2 and one line with this text.
refuses() {
    text=$1
    shift
    ends 2 "$@"
    [ "$(wc -l <"$folder/err")" -eq 1 ] || fail "more than one line for '$*'"
    grep -qF -- "$text" "$folder/err" || fail "'$*' does not say '$text'"
}
