# bench_studies.sh CASE BENCH FOLDER: clmoe-bench variants, scaling and balance on small shapes. FOLDER is made anew.
#
#   variants   every rung is checked and counted; each does with fewer launches than the one below
#   scaling    every axis, work relative to its first row, parts of the device
#   balance    loads add up; given logits in both kinds of files; files that are wrong
. "$(dirname "$0")/bench_case.sh"

# The values of a key in all rows, one a line.
values() { sed -n "s/^[[:space:]]*\"$1\":[[:space:]]*\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$json"; }

case $case in
variants)
    ends 0 $shape --tokens 1,21 --weights f32,bf16 --seconds 0.02 --json "$json"
    for rung in grouped fused tiles full; do
        [ "$(values rung | grep -c "^$rung\$")" -eq 4 ] || fail "$rung is not in the JSON four times: $(values rung)"
    done
    skipped=$(grep -c '"why"' "$json")
    if [ "$skipped" -ne 0 ]; then
        [ "$skipped" -eq 4 ] || fail "the vanilla rung was skipped $skipped times of 4"
        prints 'vanilla +skipped: this program was built without CLBlast'
        [ "$(values speedup | grep -vc null)" -eq 0 ] || fail "a speed-up over a rung that did not run"
    else
        [ "$(values rung | grep -c '^vanilla$')" -eq 4 ] || fail "vanilla is not in the JSON four times"
        values speedup | awk '$1 <= 0 { bad = 1 } END { exit bad + NR != 20 }' || fail "speed-ups: $(values speedup)"
        # vanilla reads routes twice, and sends two lists up for every expert; the others transfer nothing
        paste -d' ' - - <<EOF | awk '($1 == "vanilla") != ($2 >= 4) || ($1 != "vanilla" && $2 != 0) { bad = 1 } END { exit bad }' ||
$(values rung >"$folder/rungs"; values transfers >"$folder/transfers"; paste -d'\n' "$folder/rungs" "$folder/transfers")
EOF
            fail "transfers: $(values transfers)"
    fi
    values rung >"$folder/rungs"
    values launches >"$folder/launches"
    paste -d' ' "$folder/rungs" "$folder/launches" | awk '
        $1 == "grouped" { grouped = $2 } $1 == "fused" { fused = $2; bad += !(fused < grouped) }
        $1 == "tiles" { bad += $2 != fused } $1 == "full" { bad += !($2 < fused) || $2 < 3 } END { exit bad > 0 }' ||
        fail "launches: $(paste -d' ' "$folder/rungs" "$folder/launches")"
    [ "$(values activation_bytes | awk '$1 > 0' | wc -l)" -eq "$(wc -l <"$folder/rungs")" ] || fail "activation bytes"
    prints 'gating of 1 token is 272 operations as literature counts .*, exactly 538'
    refuses "--tokens is '0', expected a whole number from 1 to" --tokens 0
    refuses "--weights has 'f31', expected all or one of" --weights f31
    ;;
scaling)
    ends 0 $shape --tokens 1,32 --expert-counts 2,4 --top-ks 1,2,4 --units 1 --fixed-tokens 16 --weights f32 --seconds 0.02 \
        --json "$json"
    [ "$(values axis | sort | uniq -c | tr -s ' \n' ' ')" = " 1 compute_units 2 experts 2 tokens 3 top_k " ] ||
        fail "axes: $(values axis)"
    # 2 T H (3 I K + E): 32 tokens are 32 times the work of one; top_k 4 against 1 is (576 + 4) / (144 + 4) of it
    [ "$(values work | tr '\n' ' ')" = "1 32 1 1.0069 1 1.97297 3.91892 1 " ] || fail "work: $(values work)"
    values roofline_ms | awk '$1 <= 0 { bad = 1 } END { exit bad }' || fail "roofline"
    prints 'compute_units +1 '
    ends 0 $shape --over experts --expert-counts 1,8 --fixed-tokens 4 --weights f32 --seconds 0.02
    prints 'experts 1 does not go with 1 experts, 2 a token: skipped'
    prints 'experts +8 '
    refuses "--over has 'cores', expected tokens, experts, top-k or units" --over tokens,cores
    refuses "--units is '0', expected a whole number from 1 to 65536" --units 0
    ;;
balance)
    # 8 rows that want experts 0 and 1: as bare numbers, and as a tensor
    for i in 1 2 3 4 5 6 7 8; do printf '\000\000\040\101\000\000\020\101\000\000\000\000\000\000\000\000'; done >"$folder/bare.f32"
    header='{"logits":{"dtype":"F32","shape":[8,4],"data_offsets":[0,128]}}'
    { printf '\077\000\000\000\000\000\000\000%s' "$header"; cat "$folder/bare.f32"; } >"$folder/named.safetensors"
    [ ${#header} -eq 63 ] || fail "the header has ${#header} bytes"
    for file in bare.f32 named.safetensors; do
        ends 0 $shape --tokens 1,8 --zipf 1 --weights f32 --seconds 0.02 --logits "$folder/$file" --json "$json"
        [ "$(values distribution | tr '\n' ' ')" = "uniform zipf 1 given uniform zipf 1 given " ] ||
            fail "distributions: $(values distribution)"
        # all rows on two of four experts: twice the mean, half of the possible entropy
        prints 'f32 +8 given +2\.00 +2\.00 +2\.0 +2\.0 +0\.693 +0\.500 '
        values slowdown | awk 'NR % 3 == 1 && $1 != 1 || $1 <= 0 { bad = 1 } END { exit bad || NR != 6 }' || fail "slow-downs"
        # every row is counted, and what an expert got is what all of them got
        values forwards >"$folder/forwards"
        values load_total >"$folder/totals"
        paste -d' ' "$folder/forwards" "$folder/totals" | awk '$2 != $1 * 2 * (NR <= 3 ? 1 : 8) { bad = 1 } END { exit bad }' ||
            fail "forwards and rows: $(paste -d' ' "$folder/forwards" "$folder/totals")"
        sed -n 's/.*"load":[[:space:]]*\[\(.*\)\],*/\1/p' "$json" | tr -d ',' | awk '{ print $1 + $2 + $3 + $4 }' |
            cmp -s - "$folder/totals" || fail "loads do not add up"
    done
    rm "$json"
    refuses "has 8 rows, expected at least --tokens, which is 9" $shape --tokens 9 --logits "$folder/bare.f32" --json "$json"
    printf x >>"$folder/bare.f32"
    refuses "has 129 bytes, expected a multiple of 16: rows of 4 f32 numbers" $shape --tokens 1 --logits "$folder/bare.f32"
    printf '\000\000\300\177\000\000\000\000\000\000\000\000\000\000\000\000' >"$folder/nan.f32"
    refuses "row 0, expert 0 is nan, expected a finite number" $shape --tokens 1 --logits "$folder/nan.f32"
    refuses "nowhere: No such file" $shape --logits "$folder/nowhere"
    refuses "shape is [8, 4], expected [rows, 5]" --hidden-size 8 --intermediate-size 8 --experts 5 --top-k 1 \
        --logits "$folder/named.safetensors"
    printf '\377\000\000\000\000\000\000\000{}' >"$folder/short.safetensors"
    refuses "is no safetensors file: its header would be 255 bytes of 10" $shape --logits "$folder/short.safetensors"
    printf '\002\000\000\000\000\000\000\000{}' >"$folder/none.safetensors"
    refuses "has no tensor named logits, and not exactly one" $shape --logits "$folder/none.safetensors"
    refuses "--zipf is '0', expected a number from 0.01 to 10" --zipf 0
    [ ! -e "$json" ] || fail "a refused run wrote JSON"
    ;;
*) fail "unknown case" ;;
esac
exit 0
