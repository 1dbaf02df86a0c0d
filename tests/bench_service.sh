# bench_service.sh CASE BENCH FOLDER: clmoe-bench serve, memory and cost on small shapes. FOLDER is made anew.
#
#   serve    closed and open loop; targets met and missed, dropped requests, and the exit status; wrong arguments
#   memory   prediction and measurement agree; a layer that fits nowhere is predicted; wrong arguments
#   cost     given and measured speeds; wrong arguments
. "$(dirname "$0")/bench_case.sh"

has() { grep -qE -- "$1" "$json" || fail "no '$1' in the JSON: $(cat "$json")"; }

case $case in
serve)
    ends 0 $shape --requests 60 --tokens 1-9 --concurrency 4 --threads 3 --max-batch-tokens 20 --json "$json"
    prints 'concurrent: 60 requests, 60 answered'
    has '"loop":[[:space:]]*"closed"'
    has '"success_rate":[[:space:]]*1,'
    has '"wrong_answers":[[:space:]]*0,'
    for part in latency_ms queue_ms compute_ms throughput_tokens_per_s mean_interval p99_interval sequential rows; do
        has "\"$part\""
    done
    ends 0 $shape --requests 50 --tokens 3 --rate 500 --target-latency-ms 60000 --target-throughput 0.01 --json "$json"
    prints 'target latency 60000.00 ms: met'
    prints 'target throughput 0 tokens/s: met'
    has '"loop":[[:space:]]*"open"'
    ends 1 $shape --requests 20 --target-latency-ms 0.001
    prints 'target latency 0.00 ms: missed'
    ends 1 $shape --requests 20 --target-throughput 1e12
    prints 'target throughput 1000000000000 tokens/s: missed'
    # far more than can be served: whoever has waited a microsecond is dropped, and that is no failure of the bench
    ends 0 $shape --requests 200 --rate 1000000 --timeout-ms 0.001 --max-batch-tokens 16 --threads 1 --json "$json"
    prints '[1-9][0-9]* late, 0 failed'
    has '"success_rate":[[:space:]]*0'
    refuses "--rate is '0', expected a number from 0.001 to 1e+06" --rate 0
    refuses "--concurrency and --rate exclude each other" --rate 5 --concurrency 2
    refuses "--tokens is 600, expected at most --max-batch-tokens, which is 512" --tokens 600
    refuses "--tokens is 9-3, expected the smaller number first" --tokens 9-3
    refuses "--tokens is 'x', expected a whole number from 1 to 1048576" --tokens 4-x
    refuses "--threads is '65', expected a whole number from 1 to 64" --threads 65
    refuses "--weights has 2 formats, expected one" --weights f32,bf16
    refuses "--model has 2 names, expected one" --model olmoe,small
    ;;
memory)
    ends 0 $shape --tokens 1,200 --weights f32,bf16 --json "$json"
    prints 'less memory for activations than an unfused layer'
    prints 'differ by 0\.000% at most'
    has '"measured":[[:space:]]*true'
    has '"second_forward_requests":[[:space:]]*0,?'
    has '"reuse_hits":[[:space:]]*1,?'
    ends 0 --model deepseek-v3 --tokens 64 --weights bf16 --predict --json "$json"
    has '"measured":[[:space:]]*false'
    has '"experts_bytes":[[:space:]]*22548578304,' # 256 experts of three 7168 x 2048 matrices, 2 bytes each
    ends 0 --model large --tokens 64 --weights f32 --predict # 315 GB
    refuses "--tokens is '0', expected a whole number from 1 to 1048576" --tokens 0
    refuses "--arithmetic is 'f64', expected" --arithmetic f64
    ;;
cost)
    ends 0 $shape --tokens-per-s 1e6 --layers 10 --price-per-hour 3.6 --json "$json"
    has '"price_per_trillion_tokens":[[:space:]]*10000,?'
    has '"tokens_per_day":[[:space:]]*8640000000,'
    ends 0 --model deepseek-v3 --tokens-per-s 58000 --devices 3 --json "$json"
    has '"tokens_per_s":[[:space:]]*3000,'
    ends 0 $shape --tokens 16 --weights f32 --seconds 0.05 --json "$json"
    has '"measured":[[:space:]]*true'
    refuses "--layers is '0', expected a whole number from 1 to 100000" --layers 0
    refuses "--price-per-hour is '-1', expected a number from 0 to 1e+09" --price-per-hour=-1
    refuses "--tokens-per-s is 'nan', expected" --tokens-per-s nan
    refuses "--tokens has 2 numbers, expected one" --tokens 1,2
    ;;
*)
    fail "no such case"
    ;;
esac
