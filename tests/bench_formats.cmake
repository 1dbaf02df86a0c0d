# clmoe-bench layer in formats by turns and in every arithmetic, on sizes that one block just fills; speed is not
# tested.
#
#   cmake -DPROGRAM=clmoe-bench -DFOLDER=where/json/goes -P bench_formats.cmake
cmake_minimum_required(VERSION 3.20)

set(all f32 bf16 f16 q8_0 q4_0 q4_1 q5_0 q5_1 q4_K q5_K q6_K iq4_nl mxfp4 nvfp4 u4_g128 s4_g128 u8_g128
    s8_g128 f8_b128)

# One result of the report. wanted: the arithmetic asked for.
function(check_result json i format wanted)
    foreach(key weights arithmetic nmse weight_bytes source_bytes packed_ratio roofline_share max_rel_error)
        string(JSON ${key} GET "${json}" results ${i} ${key})
    endforeach()
    string(JSON limit GET "${json}" environment rows ${i} nmse_limit)
    string(JSON peak GET "${json}" environment rows ${i} peak)
    if(NOT weights STREQUAL format)
        message(SEND_ERROR "result ${i} has weights ${weights}, expected ${format}")
    endif()
    if(NOT arithmetic MATCHES "^(f32|bf16|int8)$" OR NOT (wanted STREQUAL "auto" OR arithmetic STREQUAL wanted))
        message(SEND_ERROR "${format}: arithmetic is ${arithmetic}, expected ${wanted}")
    endif()
    set(limit_f32 1e-09)
    set(limit_bf16 0.0001)
    set(limit_int8 0.0004)
    if(NOT limit EQUAL "${limit_${arithmetic}}")
        message(SEND_ERROR "${format}: nmse_limit of ${arithmetic} is ${limit}, expected ${limit_${arithmetic}}")
    endif()
    if(NOT nmse GREATER 0 OR NOT nmse LESS_EQUAL limit)
        message(SEND_ERROR "${format}: nmse is ${nmse}, expected at most ${limit}")
    endif()
    if(NOT peak STREQUAL arithmetic AND NOT peak STREQUAL "f32")
        message(SEND_ERROR "${format}: compared with the ${peak} peak, but computed in ${arithmetic}")
    endif()
    # panels round up: a router of four columns fills one
    if(NOT packed_ratio GREATER_EQUAL 1 OR NOT packed_ratio LESS 1.25 OR weight_bytes LESS source_bytes)
        message(SEND_ERROR "${format}: ${weight_bytes} bytes packed, ${source_bytes} in a source")
    endif()
endfunction()

# Runs the bench and checks its report: these formats, in order, all in this arithmetic.
function(check_report list arithmetic)
    set(file "${FOLDER}/bench_formats_${arithmetic}.json")
    file(REMOVE "${file}")
    execute_process(
        COMMAND "${PROGRAM}" layer --quiet --hidden-size 256 --intermediate-size 256 --experts 4 --top-k 2 --tokens 5
                --weights ${list} --arithmetic ${arithmetic} --seconds 0.01 --json "${file}"
        RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "--weights ${list} in ${arithmetic} ended with ${result}:\n${output}")
    endif()
    file(READ "${file}" json)
    string(JSON count LENGTH "${json}" results)
    list(LENGTH ARGN expected)
    if(NOT count EQUAL expected)
        message(FATAL_ERROR "--weights ${list} in ${arithmetic}: ${count} results, expected ${expected}:\n${output}")
    endif()
    set(i 0)
    foreach(format IN LISTS ARGN)
        check_result("${json}" ${i} ${format} ${arithmetic})
        math(EXPR i "${i} + 1")
    endforeach()
endfunction()

# Refused with status 2 and one line that says this.
function(check_refusal words)
    execute_process(COMMAND "${PROGRAM}" ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE line)
    if(NOT result EQUAL 2 OR NOT output STREQUAL "" OR NOT line MATCHES "^[^\n]*${words}[^\n]*\n$")
        message(SEND_ERROR "'${ARGN}' ended with ${result} and '${output}${line}', expected 2 and '${words}'")
    endif()
endfunction()

string(REPLACE ";" ", " names "${all}")
check_refusal("--weights has 'q4_k', expected all or one of ${names}" layer --weights f32,q4_k)
check_refusal("--weights has '', expected all or one of ${names}" layer --weights "q8_0,")
check_refusal("--weights takes at most 20 formats" layer --weights all,f32,f32,f32)
check_refusal("--arithmetic is 'fp8', expected auto, f32, bf16 or int8" layer --arithmetic fp8)

# every second format, each of which is kernels to compile
string(RANDOM LENGTH 1 ALPHABET 01 turn)
set(due)
foreach(format IN LISTS all)
    if(turn)
        list(APPEND due ${format})
    endif()
    math(EXPR turn "1 - ${turn}")
endforeach()
string(REPLACE ";" "," names "${due}")
check_report(${names} auto ${due})
check_report(f32,q8_0,q4_K,nvfp4 f32 f32 q8_0 q4_K nvfp4)
# what cannot be is left out: f16 in bf16 and in int8 arithmetic
check_report(bf16,f16,q5_1,q6_K bf16 bf16 q5_1 q6_K)
check_report(f16,q8_0 int8 q8_0)
