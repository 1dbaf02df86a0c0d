# bench_load.sh CLMOE-BENCH FOLDER: `clmoe-bench load` measures a small checkpoint, and nothing of it is left
# afterwards, nor after a signal, nor when the disk refuses a file. FOLDER is made anew; the results stay in it.
bench=$1
folder=$2
shape="--hidden-size 64 --intermediate-size 48 --experts 4 --top-k 2"
rm -rf "$folder"
mkdir -p "$folder/tmp" || exit 1
TMPDIR=$folder/tmp
export TMPDIR

fail() {
    echo "bench_load: $1" >&2
    exit 1
}
nothing_left() { [ -z "$(ls -A "$TMPDIR")" ] || fail "$1 left $(ls -A "$TMPDIR") behind"; }

"$bench" load $shape --weights f32,bf16,f16 --loads 2 --json "$folder/load.json" || fail "the measurement failed"
nothing_left "a measurement"
grep -q '"median_seconds"' "$folder/load.json" || fail "no median_seconds in load.json"

"$bench" load $shape --loads 1000 >/dev/null &
process=$!
for try in $(seq 600); do
    [ -n "$(ls -A "$TMPDIR")" ] && break
    sleep 0.1
done
kill -TERM $process 2>/dev/null
wait $process
status=$?
[ $status -eq 143 ] || [ $status -eq 0 ] || fail "after SIGTERM the status is $status, expected 143"
nothing_left "a measurement that was ended"

(ulimit -f 8 && "$bench" load $shape --loads 1 >/dev/null 2>&1) && fail "a checkpoint of more bytes than the disk takes was measured"
nothing_left "a checkpoint that could not be written"
exit 0
