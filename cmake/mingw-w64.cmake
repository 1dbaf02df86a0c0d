# Toolchain: 64-bit Windows. Debian: gcc-mingw-w64-x86-64.
#   cmake --preset mingw-w64 && cmake --build --preset mingw-w64
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
include("${CMAKE_CURRENT_LIST_DIR}/cross.cmake")
