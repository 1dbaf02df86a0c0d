# bench_commands.sh CASE BENCH FOLDER [ARGUMENT...]: what users and scripts rely on in clmoe-bench, one CASE at a time.
# FOLDER is made anew; what was written stays in it. 77: skipped, something is not installed.
#
#   json PYTHON TESTS COMMAND OPTION...    the command runs, and its JSON is what tests/schema/bench.json says
#   help                    every command explains itself and its options, with an example
#   wrong                   every option refuses a wrong value, naming itself, the value and what it expects; status 2
#   interrupt               Ctrl-C, SIGTERM and a full disk leave no part of a file
#   tune                    f32 through CLBlast too, its rows kept, or why not
#   compare PYTHON TESTS    ratios, noise bounds and the exit status
#   pictures TESTS          report without gnuplot, and ended while gnuplot draws
#   report PYTHON TESTS     report --quick writes all it promises
#
# PYTHON: an interpreter that has jsonschema; TESTS: the folder of this file.
case=$1
bench=$2
folder=$3
shift 3
rm -rf "$folder"
mkdir -p "$folder" || exit 1
shape="--hidden-size 64 --intermediate-size 48 --experts 4 --top-k 2"

fail() {
    echo "bench_commands $case: $*" >&2
    exit 1
}
skip() {
    echo "bench_commands $case: skipped: $*" >&2
    exit 77
}
check() { "$python" "$tests/schema/check.py" "$tests/schema/bench.json" "$1" "$2" || fail "$2 is not what $1 promises"; }
need_python() {
    python=$1
    tests=$2
    "$python" -c "import jsonschema" 2>/dev/null || skip "no jsonschema (Debian: python3-jsonschema)"
}
need_gnuplot() { command -v gnuplot >/dev/null || skip "no gnuplot (Debian: gnuplot-nox)"; }
commands() { "$bench" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'; }
# The long options of a command that take a value, as "name KIND".
options() { "$bench" "$1" --help | grep -oE -- '--[a-z-]+=[^ ]+' | sort -u | sed 's/^--//; s/=/ /'; }
# Runs the rest; its status must be $1, its one line on stderr is left in $line.
refused() {
    wanted=$1
    shift
    "$bench" "$@" >"$folder/out" 2>"$folder/err"
    status=$?
    line=$(cat "$folder/err")
    [ $status -eq "$wanted" ] || fail "'$*' ended with $status, expected $wanted: $line"
    [ "$(wc -l <"$folder/err")" -eq 1 ] || fail "'$*' said: $line; expected one line"
}
says() { case $line in *"$1"*) ;; *) fail "the complaint is '$line', expected '$1' in it" ;; esac; }

case $case in
json)
    need_python "$1" "$2"
    command=$3
    shift 3
    "$bench" "$command" "$@" --quiet --json "$folder/$command.json" >"$folder/table" || fail "$command $* failed"
    [ -s "$folder/table" ] || fail "$command printed nothing"
    check "$command" "$folder/$command.json"
    [ ! -e "$folder/trace_file.json" ] || check trace_file "$folder/trace_file.json"
    # the check itself can fail
    sed 's/"environment"/"surroundings"/' "$folder/$command.json" >"$folder/broken.json"
    if "$python" "$tests/schema/check.py" "$tests/schema/bench.json" "$command" "$folder/broken.json" 2>/dev/null; then
        fail "the schema let a document without an environment pass"
    fi
    ;;
help)
    "$bench" --help >"$folder/all" || fail "--help ended with $?"
    for command in $(commands); do
        "$bench" "$command" --help >"$folder/$command" || fail "$command --help ended with $?"
        grep -q "^Usage: clmoe-bench $command" "$folder/$command" || fail "$command --help has no usage"
        grep -q "Example: clmoe-bench $command" "$folder/$command" || fail "$command --help has no example"
        # what an option does stands behind it, or in the next line where its name is long
        awk '/^ +(-[a-zA-Z?], )?--/ {
                 bad += bare
                 text = $0
                 sub(/^ +(-[a-zA-Z?], )?--[^ ]+ */, "", text)
                 bare = text == ""
                 next
             }
             bare { bad += !/[a-z]/; bare = 0 }
             END { exit bad + bare > 0 }' "$folder/$command" || fail "$command --help has an option without a word about it"
    done
    [ "$(commands | wc -l)" -ge 4 ] || fail "the list of commands is short: $(commands)"
    ;;
wrong)
    for command in $(commands); do
        refused 2 "$command" --no-such-option
        says "no-such-option"
        options "$command" | while read -r option kind; do
            case $kind in FILE* | DEVICE) continue ;; esac
            refused 2 "$command" "--$option=?!"
            says "--$option"
            says "'?!"
            says "expected"
        done || exit 1
    done
    refused 2
    says "expected"
    refused 2 nosuch
    says "unknown command 'nosuch', expected"
    refused 2 layer stray
    says "'stray'"
    # what would only fail after the measurement is refused before it
    refused 2 layer --json "$folder/nowhere/layer.json"
    says "--json is '$folder/nowhere/layer.json', expected a file in a folder to write in"
    refused 2 trace --out "$folder"
    says "--out is '$folder', expected a file"
    refused 2 roofline --device 99:99
    says '--device: no OpenCL device matches "99:99"; there is'
    ;;
interrupt)
    none_left() { [ -z "$(ls -A "$folder/there")" ] || fail "$1 left $(ls -A "$folder/there") behind"; }
    mkdir "$folder/there"
    for signal in INT TERM; do
        env --default-signal "$bench" layer $shape --seconds 600 --quiet --json "$folder/there/layer.json" >"$folder/table" &
        process=$!
        for try in $(seq 600); do
            [ -s "$folder/table" ] && break
            sleep 0.1
        done
        kill -$signal $process
        wait $process
        status=$?
        [ $status -ge 128 ] || fail "after SIG$signal the status is $status, expected a death by the signal"
        none_left "SIG$signal"
    done
    (ulimit -f 0 && exec "$bench" roofline --json "$folder/there/roofline.json") >/dev/null 2>&1 &&
        fail "a full disk was no failure"
    none_left "a full disk"
    ;;
tune)
    tune() { CLMOE_TUNING="$folder/rows" "$bench" tune $shape --tokens 1,5 --weights f32 --seconds "$2" --quiet >"$folder/$1"; }
    CLMOE_DISABLE=clblast tune without 1 || fail "tune failed"
    grep -q "CLBlast    not timed: disabled by name" "$folder/without" || fail "nothing says why CLBlast is not timed"
    ! grep -qs "clblast/gemm" "$folder/rows" || fail "a row for what was not timed"
    tune with 5 || fail "tune failed"
    if grep "CLBlast    not timed" "$folder/with"; then exit 0; fi
    grep -q "forward's time" "$folder/with" || fail "no time through CLBlast"
    rows=$(grep -cE '" clblast/gemm f32 f32 k64,n[0-9]+ tile_rows=[0-9]+ own_percent=[0-9]+$' "$folder/rows")
    short=$(grep -c "too few rounds for a row" "$folder/with") # on a machine with other things to do
    [ $((rows + short)) -eq 2 ] || fail "$rows rows of CLBlast's are kept, $short were too short, expected 2 in all"
    ;;
compare)
    need_python "$1" "$2"
    # a: 20 forwards of 10 ms give or take 2%; b: the same 30% slower; c: within noise of a; d: another layer; y: a in
    # the first file's rows, with outputs in f32 and in bf16 that are slower; half: those in bf16 alone
    "$python" - "$folder" <<'EOF' || fail "no input"
import json, random, sys
random.seed(7)
def write(name, scale, model="olmoe"):
    samples = [scale * random.uniform(9.8, 10.2) for _ in range(64)]
    row = {"model": model, "hidden_size": 8, "intermediate_size": 8, "num_experts": 4, "top_k": 2, "weights": "f32",
           "arithmetic": "f32", "tokens": 16, "median_ms": sorted(samples)[31], "samples_ms": samples}
    memory = dict(row, total_bytes=1000 * scale)
    del memory["median_ms"], memory["samples_ms"]
    environment = {"cpu": "a cpu", "clmoe": "0", "commit": "0", "compiler": "0", "variables": {}}
    document = {"command": "layer", "device": "a device", "environment": environment, "results": [row]}
    other = {"command": "memory", "device": "a device", "environment": environment, "rows": [memory]}
    with open(f"{sys.argv[1]}/{name}.json", "w") as file:
        json.dump({"documents": [document, other]} if name != "alone" else document, file)
    return row
rows = [dict(write("a", 1), y="f32"), dict(write("b", 1.3), y="bf16")]
write("c", 1.01); write("d", 1, "mixtral"); write("alone", 1.3)
for name, some in ("y", rows), ("turned", rows[::-1]), ("half", rows[1:]):
    with open(f"{sys.argv[1]}/{name}.json", "w") as file:
        json.dump({"command": "layer", "device": "a device", "environment": {}, "results": some}, file)
EOF
    cd "$folder" || exit 1
    expect() { # STATUS TEXT ARGUMENT...
        wanted=$1 text=$2
        shift 2
        "$bench" compare "$@" >out 2>err
        status=$?
        [ $status -eq "$wanted" ] || fail "compare $* ended with $status, expected $wanted: $(cat out err)"
        cat out err | grep -q -- "$text" || fail "compare $* does not say '$text': $(cat out err)"
    }
    expect 0 "2 figures: 0 worse, 0 better, 2 the same" a.json a.json
    expect 0 "2 figures: 0 worse, 0 better, 2 the same" a.json c.json
    expect 1 "2 figures: 2 worse, 0 better" a.json b.json --json compare.json
    check compare compare.json
    expect 0 "2 figures: 0 worse, 2 better" b.json a.json
    expect 0 "1 figures: 0 worse" a.json alone.json --tolerance 40
    expect 1 "1 figures: 1 worse" a.json alone.json --tolerance 20
    expect 2 "no figure in common" a.json d.json
    # rows that store the experts' outputs in different formats are not the same; not to say it means f32
    expect 0 "2 figures: 0 worse, 0 better, 2 the same" y.json turned.json
    expect 0 "1 figures: 0 worse, 0 better, 1 the same" a.json y.json
    expect 2 "no figure in common" a.json half.json
    expect 2 "missing.json" a.json missing.json
    echo '{"rows": [' >broken.json
    expect 2 "broken.json is not JSON" a.json broken.json
    echo '{"rows": []}' >nothing.json
    expect 2 "nothing.json is no result" nothing.json a.json
    expect 2 "--tolerance is '-1', expected" a.json a.json --tolerance=-1
    expect 2 "1 files, expected two" a.json
    ;;
pictures)
    result=$(ls "$1/../bench/results/"*.json | head -n 1)
    mkdir "$folder/empty" "$folder/bin" "$folder/out"
    PATH=$folder/empty "$bench" report "$folder/out" --from "$result" 2>"$folder/err" &&
        fail "report went on without gnuplot"
    grep -q "gnuplot is not installed.*gnuplot-nox" "$folder/err" || fail "without gnuplot it says: $(cat "$folder/err")"
    [ -z "$(ls -A "$folder/out")" ] || fail "without gnuplot $(ls -A "$folder/out") was written"
    # a gnuplot that writes half a picture and then takes its time
    cat >"$folder/bin/gnuplot" <<'EOF'
#!/bin/sh
[ "$1" = - ] || exit 0
path=$(sed -n "s/^set output '\(.*\)'/\1/p")
echo half >"$path"
exec sleep 600
EOF
    chmod +x "$folder/bin/gnuplot"
    PATH=$folder/bin:$PATH env --default-signal "$bench" report "$folder/out" --from "$result" &
    process=$!
    for try in $(seq 300); do
        ls -A "$folder/out" | grep -q . && break
        sleep 0.1
    done
    ls "$folder/out" | grep -q '\.tmp$' || fail "no picture was begun"
    kill -INT $process
    wait $process && fail "after SIGINT the status is 0"
    [ -z "$(ls -A "$folder/out")" ] || fail "SIGINT left $(ls -A "$folder/out") behind"
    ;;
report)
    need_python "$1" "$2"
    need_gnuplot
    "$bench" report "$folder/out" --quick --quiet || fail "report --quick failed"
    cd "$folder/out" || exit 1
    check report results.json
    for picture in latency_comparison memory_breakdown throughput_scaling expert_load_distribution roofline; do
        [ "$(od -An -c -N4 $picture.png | tr -d ' ')" = '211PNG' ] || fail "$picture.png is no PNG"
        [ "$(wc -c <$picture.png)" -lt 100000 ] || fail "$picture.png is large"
    done
    [ "$(grep -c 'src="data:image/png;base64,' report.html)" -eq 5 ] || fail "report.html has not all five pictures inside"
    grep -q 'src="[^d]\|href=' report.html && fail "report.html needs other files"
    columns=$(head -1 results.csv | tr ',' '\n' | wc -l)
    [ "$columns" -gt 30 ] && [ "$(wc -l <results.csv)" -gt 10 ] || fail "results.csv is small: $columns columns"
    ls -A | grep tmp && fail "temporary files are left"
    "$bench" compare results.json results.json >compare || fail "a report differs from itself: $(cat compare)"
    ;;
*) fail "unknown case" ;;
esac
exit 0
