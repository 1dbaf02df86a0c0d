# What users and scripts rely on in clmoe-bench: every subcommand runs on a small shape and its JSON follows its schema,
# every command explains itself, refuses wrong values, and leaves no half of a file (bench_commands.sh). 

# The schemas are checked by Python's jsonschema; without it those tests are skipped.
set(CLMOE_JSONSCHEMA_PYTHON "python3" CACHE STRING "A Python that has the module jsonschema")
mark_as_advanced(CLMOE_JSONSCHEMA_PYTHON)

function(bench_command name case)
    add_test(NAME bench_${name} COMMAND ${on_pocl} sh "${CMAKE_CURRENT_SOURCE_DIR}/bench_commands.sh" ${case}
             $<TARGET_FILE:clmoe-bench> "${CMAKE_CURRENT_BINARY_DIR}/bench_${name}" ${ARGN})
    set_tests_properties(bench_${name} PROPERTIES LABELS pocl TIMEOUT 1500 SKIP_RETURN_CODE 77
                         ENVIRONMENT "${test_environment}")
endfunction()

# The command's JSON against its schema.
function(bench_json command)
    bench_command(json_${command} json "${CLMOE_JSONSCHEMA_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}" ${command} ${ARGN})
endfunction()

set(shape --hidden-size 64 --intermediate-size 48 --experts 4 --top-k 2)
bench_json(layer ${shape} --tokens 5 --weights bf16 --y bf16 --seconds 0.05)
bench_json(variants ${shape} --tokens 5 --seconds 0.05)
bench_json(scaling ${shape} --tokens 1,5 --expert-counts 4 --top-ks 1,2 --fixed-tokens 5 --weights f32 --seconds 0.05)
bench_json(balance ${shape} --tokens 5 --weights f32 --zipf 1 --seconds 0.05)
bench_json(memory ${shape} --tokens 5)
bench_json(serve ${shape} --requests 30)
bench_json(cost ${shape} --tokens 5 --seconds 0.05 --price-per-hour 2)
bench_json(tune ${shape} --tokens 1,5 --weights bf16 --seconds 2)
set_property(TEST bench_json_tune APPEND PROPERTY ENVIRONMENT "CLMOE_TUNING=${CMAKE_CURRENT_BINARY_DIR}/bench_json_tune/rows")
bench_json(roofline)
bench_json(devices)
bench_json(prebuild ${shape} --weights f32 --out "${CMAKE_CURRENT_BINARY_DIR}/bench_json_prebuild/layer.pack")
set_property(TEST bench_json_prebuild APPEND PROPERTY ENVIRONMENT CLMOE_CACHE=always
             "CLMOE_CACHE_DIR=${CMAKE_CURRENT_BINARY_DIR}/bench_json_prebuild/cache")
bench_json(trace ${shape} --tokens 5 --out "${CMAKE_CURRENT_BINARY_DIR}/bench_json_trace/trace_file.json")
if(TARGET clmoe_model)
    bench_json(load ${shape} --loads 2)
endif()

bench_command(help help)
bench_command(wrong wrong)
bench_command(tune tune)
bench_command(interrupt interrupt)
bench_command(compare compare "${CLMOE_JSONSCHEMA_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}")
bench_command(pictures pictures "${CMAKE_CURRENT_SOURCE_DIR}")
bench_command(report report "${CLMOE_JSONSCHEMA_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}")
set_property(TEST bench_report APPEND PROPERTY LABELS long)
