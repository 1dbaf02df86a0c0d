#!/bin/sh
# run.sh FOLDER CLMOE_BENCH OUT: times clmoe and the peers in turns, format by format, so that a machine that changes
# its speed changes it for all, and prints the table of what lies in OUT. FOLDER is what setup.sh made.
#
#   MODEL=olmoe TOKENS=1,16,64,512 SECONDS_EACH=2 ROUNDS=3
set -eu
[ $# -eq 3 ] || { echo "usage: run.sh FOLDER CLMOE_BENCH OUT" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
peers=$(cd "$1" && pwd)
bench=$2
out=$3
model=${MODEL:-olmoe} tokens=${TOKENS:-1,16,64,512} seconds=${SECONDS_EACH:-2}
export POCL_AFFINITY=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$out"

# turn CLMOE_FORMATS PEER:FORMAT...: one after the other
turn() {
    formats=$1
    shift
    "$bench" layer --quiet --model "$model" --tokens "$tokens" --seconds "$seconds" --weights "$formats" \
        --json "$out/clmoe-$round-$formats.json" > /dev/null
    for peer in "$@"; do
        echo "round $round: $peer" >&2
        # A peer without this shape or format is reported and left out.
        "$peers/python/bin/python" "$here/experts.py" "${peer%%:*}" "${peer#*:}" --folder "$peers" --model "$model" \
            --tokens "$tokens" --seconds "$seconds" > "$out/peer.part" 2> "$out/peer.log" ||
            tail -n 1 "$out/peer.log" >&2
        cat "$out/peer.part" >> "$out/peers-$round.jsonl"
    done
    rm -f "$out/peer.part" "$out/peer.log"
}

for round in $(seq "${ROUNDS:-3}"); do
    : > "$out/peers-$round.jsonl"
    turn f32 vllm:f32 ggml:f32
    turn bf16 vllm:bf16 vllm:bf16_sgl ggml:bf16
    turn q8_0 vllm:int8_sgl ggml:q8_0
    turn q4_0,q4_K,mxfp4 vllm:int4_sgl vllm:mxfp4_sgl ggml:q4_0 ggml:q4_K ggml:mxfp4
done
python3 "$here/table.py" "$out"
