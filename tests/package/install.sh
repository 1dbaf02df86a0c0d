#!/bin/sh
# Installs the build into a folder, moves it, and builds a program against it in every way the README promises: CMake and
# pkg-config, shared and static, C and C++. install.sh BUILD FOLDER
set -eu
build=$1 folder=$2
rm -rf "$folder"
mkdir -p "$folder"
"$CMAKE_COMMAND" --install "$build" --prefix "$folder/first" >/dev/null
mv "$folder/first" "$folder/moved"

"$CMAKE_COMMAND" -G Ninja -S "$SOURCE/tests/package/consumer" -B "$folder/cmake" "-DCMAKE_PREFIX_PATH=$folder/moved" >/dev/null
"$CMAKE_COMMAND" --build "$folder/cmake"
for program in c_shared c_static cxx_shared cxx_static; do
    "$folder/cmake/$program"
done

pc=$(find "$folder/moved" -name clmoe.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
library=$(pkg-config --variable=libdir clmoe)
cp "$SOURCE/tests/package/consumer/consumer.c" "$folder/consumer.cpp"
# shellcheck disable=SC2046 # lists of options
{
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$SOURCE/tests/package/consumer/consumer.c" -o "$folder/pc_shared" \
        $(pkg-config --cflags --libs clmoe)
    c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror "$folder/consumer.cpp" -o "$folder/pc_cxx" \
        $(pkg-config --cflags --libs clmoe)
    cc -std=c11 -DCLMOE_STATIC "$SOURCE/tests/package/consumer/consumer.c" -o "$folder/pc_static" \
        $(pkg-config --cflags clmoe) "$library/libclmoe.a" $(pkg-config --static --libs-only-other clmoe) \
        $(pkg-config --static --libs-only-l clmoe | sed 's/-lclmoe//')
}
LD_LIBRARY_PATH=$library "$folder/pc_shared"
LD_LIBRARY_PATH=$library "$folder/pc_cxx"
"$folder/pc_static"

for file in LICENSE third-party-notices.txt; do
    [ -n "$(find "$folder/moved" -name $file)" ] || { echo "$file is not installed"; exit 1; }
done
