# The kernel tests once more on other devices, as tests TEST.DEVICE with the label "conformance":
#
#   half        half of the default device: a POCL sub-device
#   lanes8, lanes4    the default device with narrower vectors
#   oclgrind    those of labels.cmake, which check every memory access
#   intel       Intel's OpenCL runtime for CPUs: another compiler, real sub-groups, integer dot products
#   rusticl     Mesa's rusticl on llvmpipe: another compiler again, behind SPIR-V
#
# The last two need CLMOE_CONFORMANCE, a folder that cmake/conformance.sh prepared, and are left out where it has not
# got them. A kernel takes seconds to compile there, so a device gets the tests that say most in its time; the short
# lists are what there is room for in CI.
set(CLMOE_CONFORMANCE "" CACHE PATH "Folder of OpenCL drivers that cmake/conformance.sh prepared")
option(CLMOE_CONFORMANCE_FULL "Conformance: all lists, not only what every change is checked with" OFF)
if(CLMOE_SANITIZE)
    return() # kernels are not instrumented
endif()

# clmoe_conformance(DEVICE TESTS test... [ARGS ...] ENV A=1...): each with a name without its "test_"
function(clmoe_conformance device)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "FOLDER" "TESTS;ARGS;ENV")
    foreach(test IN LISTS arg_TESTS)
        clmoe_test_variant(test_${test} ${device} LABELS conformance ARGS ${arg_ARGS} ENV ${arg_ENV})
        if(arg_FOLDER)
            set_tests_properties(test_${test}.${device} PROPERTIES WORKING_DIRECTORY "${arg_FOLDER}")
        endif()
    endforeach()
endfunction()

# Dispatch has no vectors, hence nothing to say about their width.
set(half combine dispatch)
set(lanes8 combine golden)
set(lanes4 combine golden)
set(intel int8_dots matrix_kernel select_team)
set(intel_short combine dispatch)
# The gpu macro-kernel's product and the choice of experts as GPUs make it.
set(rusticl gpu_shapes select_team)
if(CLMOE_CONFORMANCE_FULL)
    list(APPEND half select layer_properties)
    list(APPEND lanes8 select layer_properties)
    list(APPEND lanes4 select)
    list(APPEND intel golden gpu_shapes layer_io layer_properties oclgrind pack quantize record record_refused)
    list(APPEND intel_short select)
    list(APPEND rusticl combine dispatch)
endif()
clmoe_conformance(half TESTS ${half} ENV CLMOE_TEST_SHORT=1 CLMOE_TEST_SUB_DEVICE=1)
clmoe_conformance(lanes8 TESTS ${lanes8} ENV CLMOE_TEST_SHORT=1 CLMOE_VECTOR_WIDTH=8)
clmoe_conformance(lanes4 TESTS ${lanes4} ENV CLMOE_TEST_SHORT=1 CLMOE_VECTOR_WIDTH=4)
foreach(test matrix_kernel oclgrind select select_team)
    clmoe_test_labels(test_${test}.oclgrind conformance)
endforeach()

if(EXISTS "${CLMOE_CONFORMANCE}/intel/recipe")
    set(folder "${CLMOE_CONFORMANCE}/intel")
    set(driver "OCL_ICD_VENDORS=${folder}/icd" "LD_LIBRARY_PATH=${folder}/python/lib")
    clmoe_conformance(intel TESTS ${intel} ENV ${driver})
    clmoe_conformance(intel TESTS ${intel_short} ENV ${driver} CLMOE_TEST_SHORT=1)
endif()
if(EXISTS "${CLMOE_CONFORMANCE}/rusticl/recipe")
    set(folder "${CLMOE_CONFORMANCE}/rusticl")
    # Mesa compiles a kernel again for every kernel object, unless it finds it here.
    set(kept "${CLMOE_TEST_CACHE}/mesa")
    file(MAKE_DIRECTORY "${kept}")
    set(driver "OCL_ICD_VENDORS=${folder}/icd" RUSTICL_ENABLE=llvmpipe "MESA_SHADER_CACHE_DIR=${kept}"
        CLMOE_TEST_SHORT=1)
    clmoe_conformance(rusticl FOLDER "${folder}" TESTS ${rusticl} ENV ${driver})
    # A layer, in the only tiles that fit: tests/README.md.
    clmoe_conformance(rusticl FOLDER "${folder}" TESTS oclgrind ARGS test_tiles_in_local_memory ENV ${driver})
endif()
