# One SHA-256 over all sources of the library, kernels included: what a self-test's verdict is about.
#   cmake -DFOLDER=. -DFILES=src/a.c,cl/b.cl -DOUTPUT=source_hash.c -P source_hash.cmake
# The result defines clmoe__source_hash of src/opencl/kernels.h.
cmake_minimum_required(VERSION 3.21)

string(REPLACE "," ";" files "${FILES}")
set(all "")
foreach(name IN LISTS files)
    file(SHA256 "${FOLDER}/${name}" one)
    string(APPEND all "${name} ${one}\n")
endforeach()
string(SHA256 hash "${all}")
file(WRITE "${OUTPUT}" "/* Made by cmake/source_hash.cmake. Do not edit. */
#include \"opencl/kernels.h\"

const char clmoe__source_hash[] = \"${hash}\";
")
