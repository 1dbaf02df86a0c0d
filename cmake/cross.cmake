# What both cross toolchains share: the library alone, OpenCL opened at run time, and the system's OpenCL headers,
# copied so that they come without the C headers of the build machine that lie beside them.
set(CLMOE_BUILD_TESTS OFF CACHE BOOL "")
set(CLMOE_BUILD_BENCH OFF CACHE BOOL "")
set(CLMOE_LOAD_OPENCL ON CACHE BOOL "")

set(headers "${CMAKE_BINARY_DIR}/opencl-headers")
if(NOT CLMOE_OPENCL_INCLUDE AND EXISTS /usr/include/CL/cl.h AND NOT CMAKE_BINARY_DIR MATCHES "CMakeTmp|CMakeScratch")
    file(COPY /usr/include/CL/ DESTINATION "${headers}/CL")
    set(CLMOE_OPENCL_INCLUDE "${headers}" CACHE PATH "Folder that holds CL/cl.h")
endif()

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
