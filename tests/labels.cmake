# What single tests need beyond the rule in tests/CMakeLists.txt:
#
#   clmoe_test_labels(TEST LABEL...)      adds labels. "threads": runs under ThreadSanitizer too. "long": takes more
#                                         than half a minute, not run under AddressSanitizer
#   clmoe_test_variant(TEST NAME [ENV A=1 B=2 ...] [ARGS ...] [LABELS ...])
#                                         the same program once more, as the test TEST.NAME in this environment
#   clmoe_test_oclgrind(TEST [ENV ...] [ARGS ...])
#                                         and once more on oclgrind's device as TEST.oclgrind, with CLMOE_TEST_SMALL=1:
#                                         races, bounds, uninitialised reads. About 1000 times slower
clmoe_test_labels(test_os threads)
clmoe_test_labels(test_first_contexts threads)

# The layer: threads under ThreadSanitizer, small shapes under oclgrind, the golden files through Jansson.
clmoe_test_labels(test_threads threads)
clmoe_test_labels(test_devices long)
clmoe_test_labels(test_faults long)
clmoe_test_labels(test_layer long)
clmoe_test_oclgrind(test_oclgrind)
# It is written for oclgrind. Without it one shape is enough: the other tests of layers have more of them.
set_property(TEST test_oclgrind APPEND PROPERTY ENVIRONMENT CLMOE_TEST_SHORT=1)
clmoe_test_oclgrind(test_select)
clmoe_test_oclgrind(test_select_team)
clmoe_test_oclgrind(test_matrix_kernel)

clmoe_test_labels(test_run threads)
clmoe_test_labels(test_program threads)

# A process for every golden case and format: with a cold cache each compiles its kernels.
clmoe_test_labels(test_command_golden long)
clmoe_test_labels(test_command_gguf long)
clmoe_test_labels(test_gguf_golden long)

# A kernel for every format, panel and vector width.
clmoe_test_labels(test_formats long)
clmoe_test_labels(test_layer_blocks long)
clmoe_test_labels(test_block_gemm long)
clmoe_test_labels(test_block_properties long)
clmoe_test_labels(test_gpu_shapes long)
foreach(test e4m3_gemm e4m3_pack few_slots full_tiles group_layers int8_dots layer_latent matrix memory_plan model_rows pack prebuild
             quantize router_parts select_team tuning tuning_bits faults_groups model_groups matrix_banks matrix_kernel
             y_format)
    clmoe_test_labels(test_${test} long)
endforeach()
# CLBlast keeps what it made until the process ends.
clmoe_test_labels(test_clblast long)
