# The kernel tests once more on other devices, as tests TEST.DEVICE with the label "conformance":
#
#   half        half of the default device: a POCL sub-device
#   lanes8, lanes4    the default device with narrower vectors
#   oclgrind    those of labels.cmake, which check every memory access
#   intel       Intel's OpenCL runtime for CPUs: another compiler, real sub-groups, integer dot products
#   rusticl     Mesa's rusticl on llvmpipe: another compiler again, behind SPIR-V
#
# The last two need CLMOE_CONFORMANCE, a folder that cmake/conformance.sh prepared, and are left out where it has not got them. A kernel takes
# seconds to compile there, so a device gets the tests that say most in its time; the lists are what there is room for in CI.
set(CLMOE_CONFORMANCE "" CACHE PATH "Folder of OpenCL drivers that cmake/conformance.sh prepared")
option(CLMOE_CONFORMANCE_FULL "Conformance: all lists, not only what every change is checked with" OFF)
if(CLMOE_SANITIZE)
    return() # kernels are not instrumented
endif()

# clmoe_conformance(DEVICE TESTS test... ENV A=1...): each with a name without its "test_"
function(clmoe_conformance device)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "FOLDER" "TESTS;ENV")
    foreach(test IN LISTS arg_TESTS)
        clmoe_test_variant(test_${test} ${device} LABELS conformance ENV ${arg_ENV})
        if(arg_FOLDER)
            set_tests_properties(test_${test}.${device} PROPERTIES WORKING_DIRECTORY "${arg_FOLDER}")
        endif()
    endforeach()
endfunction()

set(half combine dispatch)
set(intel_tests combine quantize)
if(CLMOE_CONFORMANCE_FULL)
    list(APPEND half select layer_properties)
    list(APPEND intel_tests dispatch int8_dots layer_properties oclgrind pack select)
endif()
clmoe_conformance(half TESTS ${half} ENV CLMOE_TEST_SHORT=1 CLMOE_TEST_SUB_DEVICE=1)
clmoe_conformance(lanes8 TESTS combine dispatch golden layer_properties select ENV CLMOE_TEST_SHORT=1 CLMOE_VECTOR_WIDTH=8)
clmoe_conformance(lanes4 TESTS combine dispatch golden select ENV CLMOE_TEST_SHORT=1 CLMOE_VECTOR_WIDTH=4)
clmoe_test_labels(test_oclgrind.oclgrind conformance)
clmoe_test_labels(test_select.oclgrind conformance)

if(EXISTS "${CLMOE_CONFORMANCE}/intel/recipe")
    set(intel "${CLMOE_CONFORMANCE}/intel")
    clmoe_conformance(intel
        TESTS ${intel_tests}
        ENV "OCL_ICD_VENDORS=${intel}/icd" "LD_LIBRARY_PATH=${intel}/python/lib")
endif()
if(CLMOE_CONFORMANCE_FULL AND EXISTS "${CLMOE_CONFORMANCE}/rusticl/recipe")
    set(rusticl "${CLMOE_CONFORMANCE}/rusticl")
    clmoe_conformance(rusticl FOLDER "${rusticl}"
        TESTS combine dispatch oclgrind pack_lines select
        ENV "OCL_ICD_VENDORS=${rusticl}/icd" RUSTICL_ENABLE=llvmpipe MESA_SHADER_CACHE_DISABLE=true CLMOE_TEST_SHORT=1)
endif()
