#!/bin/sh
# measure.sh CLMOE_BENCH NAME [PEERS]: every figure and picture that README shows, on a machine that does nothing else.
#
#   sh bench/results/measure.sh build/bin/clmoe-bench epyc-zen4-pocl peers
#   python3 bench/results/tables.py --write README.md
#
# NAME is the device's: the results become bench/results/NAME.json (driver, date and limits in it), NAME-peers.md, and
# the five pictures beside them. PEERS is the folder that bench/peers/setup.sh made; without it, no peers are measured.
# CLMOE_DEVICE chooses the device. What is measured already is in WORK (default build/measured/NAME) and is not measured
# again: a run that was cut off goes on, and removing a file there measures it anew.
#
# Layers and blocks are measured ROUNDS times (default 3), one set after the other, so that a neighbour's minute does not
# decide about a cell: tables.py shows each cell's median run.
#
# Times on two cores of a Zen 4, in minutes: a round 9, unpinned 3, load 1, report 8, peers 30.
set -eu
[ $# -eq 2 ] || [ $# -eq 3 ] || { echo "usage: measure.sh CLMOE_BENCH NAME [PEERS]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
bench=$1
name=$2
peers=${3-}
work=${WORK:-build/measured/$name}
rounds=${ROUNDS:-3}
case $name in *[!A-Za-z0-9._-]* | '' | .*) echo "measure.sh: NAME is '$name', expected letters, digits, . _ and -" >&2; exit 2 ;; esac
mkdir -p "$work"

# take FILE COMMAND OPTION...: the JSON of one command
take() {
    file=$work/$1.json
    shift
    [ -s "$file" ] && return
    echo "clmoe-bench $*"
    "$bench" "$@" --json "$file"
}

floats=f32,bf16,f16
blocks=q8_0,q6_K,q5_K,q5_1,q5_0,q4_K,q4_1,q4_0,iq4_nl,nvfp4,mxfp4
parts=
round=1
while [ $round -le "$rounds" ]; do
    again=; [ $round -eq 1 ] || again=-$round
    take olmoe$again layer --model olmoe --weights $floats --tokens 1,8,64,512,2048
    take qwen3$again layer --model qwen3-30b-a3b --weights $floats --tokens 1,8,64,512,2048
    take small$again layer --model small --weights $floats --tokens 1,8,64,512,2048
    take blocks$again layer --model olmoe --weights $blocks --tokens 1,16,64,512
    for set in olmoe qwen3 small blocks; do parts=$parts$work/$set$again.json,; done
    round=$((round + 1))
done
parts=${parts%,}
# As a program sees it that does not set POCL_AFFINITY; on other drivers the variable says nothing.
if grep -q '"platform":.*Portable Computing Language' "$work/olmoe.json"; then
    export POCL_AFFINITY=0
    take unpinned layer --model olmoe --weights $floats --tokens 1,8,64,512
    take unpinned-qwen3 layer --model qwen3-30b-a3b --weights $floats --tokens 1,64,512
    take unpinned-small layer --model small --weights $floats --tokens 1,64,512
    unset POCL_AFFINITY
    parts=$parts,$work/unpinned.json,$work/unpinned-qwen3.json,$work/unpinned-small.json
fi
take load load --model olmoe --weights bf16
parts=$parts,$work/load.json
if ! [ -s "$work/report/report.html" ]; then "$bench" report "$work/report" --model olmoe; fi

# The report's own results last: of several results of one command, pictures show the last.
"$bench" report "$work/all" --from "$parts,$work/report/results.json"
cp "$work/all/results.json" "$here/$name.json.part"
mv "$here/$name.json.part" "$here/$name.json"
cp "$work/all/"*.png "$here/"

if [ -n "$peers" ]; then
    TOKENS=1,16,64,512,2048 sh "$here/../peers/run.sh" "$peers" "$bench" "$work/peers" > "$work/peers.md"
    mv "$work/peers.md" "$here/$name-peers.md"
fi
echo "$here/$name.json"
