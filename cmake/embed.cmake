# Turns kernel files into one C file of byte arrays (some compilers refuse long strings), with CMake alone:
#   cmake -DFOLDER=cl -DFILES=common.clh,micro/fma.clh -DOUTPUT=kernels.c -P embed.cmake
# The result defines what src/opencl/kernels.h declares. With -DSYMBOL=name and a single file it is only
# "const char name[]", a C string, for programs with a kernel of their own.
cmake_minimum_required(VERSION 3.21)

string(REPLACE "," ";" files "${FILES}")
function(read_bytes name result)
    file(READ "${FOLDER}/${name}" hex HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}00") # the 0 byte ends the text
    string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
    set(${result} "${bytes}" PARENT_SCOPE)
endfunction()

if(SYMBOL)
    read_bytes("${FILES}" bytes)
    file(WRITE "${OUTPUT}" "/* Made by cmake/embed.cmake from ${FILES}. Do not edit. */
extern const char ${SYMBOL}[];
const char ${SYMBOL}[] = {\n${bytes}};\n")
    return()
endif()

set(arrays "")
set(rows "")
set(count 0)
foreach(name IN LISTS files)
    read_bytes("${name}" bytes)
    string(APPEND arrays "static const unsigned char file_${count}[] = {\n${bytes}};\n")
    string(APPEND rows "    {\"${name}\", file_${count}, sizeof file_${count} - 1},\n")
    math(EXPR count "${count} + 1")
endforeach()
if(count EQUAL 0)
    set(rows "    {\"\", (const unsigned char *)\"\", 0},\n")
endif()

file(WRITE "${OUTPUT}" "/* Made by cmake/embed.cmake from the kernels in cl/. Do not edit. */
#include \"opencl/kernels.h\"

${arrays}
const clmoe__embedded clmoe__embedded_kernels[] = {
${rows}};
const size_t clmoe__embedded_count = ${count};
")
