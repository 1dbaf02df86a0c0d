#!/bin/sh
# Installs the build into a folder, moves it, and builds programs against it in every way the README promises: CMake and
# pkg-config, shared and static, C and C++. install.sh BUILD FOLDER MODEL, where MODEL is 1 if clmoe::model and
# clmoe-run were built.
set -eu
build=$1 folder=$2 model=$3
consumer=$SOURCE/tests/package/consumer
rm -rf "$folder"
mkdir -p "$folder/pocl"
"$CMAKE_COMMAND" --install "$build" --prefix "$folder/first" >/dev/null
mv "$folder/first" "$folder/moved"

names=consumer
[ "$model" = 0 ] || names="consumer model_consumer"
"$CMAKE_COMMAND" -G Ninja -S "$consumer" -B "$folder/cmake" "-DCMAKE_PREFIX_PATH=$folder/moved" "-DMODEL=$model" >/dev/null
"$CMAKE_COMMAND" --build "$folder/cmake"
for name in $names; do
    for program in c_shared c_static cxx_shared cxx_static; do
        "$folder/cmake/${name}_$program"
    done
done

pc=$(find "$folder/moved" -name clmoe.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
library=$(pkg-config --variable=libdir clmoe)
# build_pc NAME PACKAGE ARCHIVES: the consumer NAME with the flags of PACKAGE, shared, in C++, and static.
# shellcheck disable=SC2046,SC2086 # lists of options
build_pc() {
    cp "$consumer/$1.c" "$folder/$1.cpp"
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$consumer/$1.c" -o "$folder/$1_pc_shared" $(pkg-config --cflags --libs "$2")
    c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror "$folder/$1.cpp" -o "$folder/$1_pc_cxx" $(pkg-config --cflags --libs "$2")
    cc -std=c11 -DCLMOE_STATIC "$consumer/$1.c" -o "$folder/$1_pc_static" $(pkg-config --cflags "$2") $3 \
        $(pkg-config --static --libs-only-other "$2") \
        $(pkg-config --static --libs-only-l "$2" | sed 's/-lclmoe_model//; s/-lclmoe//')
    LD_LIBRARY_PATH=$library "$folder/$1_pc_shared"
    LD_LIBRARY_PATH=$library "$folder/$1_pc_cxx"
    "$folder/$1_pc_static"
}
build_pc consumer clmoe "$library/libclmoe.a"

# Each header brings what it needs and may be included alone, in C and in C++.
# shellcheck disable=SC2046 # lists of options
for header in $(cd "$(pkg-config --variable=includedir clmoe)" && echo clmoe/*.h); do
    echo "#include <$header>" >"$folder/header.c"
    cp "$folder/header.c" "$folder/header.cpp"
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only $(pkg-config --cflags clmoe) "$folder/header.c"
    c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only $(pkg-config --cflags clmoe) "$folder/header.cpp"
done

if [ "$model" = 0 ]; then
    [ -z "$(find "$folder/moved" -name 'clmoe_model*')" ] || { echo "parts of a model library that was not built"; exit 1; }
else
    build_pc model_consumer clmoe_model "$library/libclmoe_model.a $library/libclmoe.a"
    golden=$SOURCE/tests/golden/hf/mixtral
    POCL_CACHE_DIR=$folder/pocl "$folder/moved/bin/clmoe-run" "$golden" --layer 0 --input "$golden/input.safetensors" \
        --output "$folder/y.safetensors"
    [ -s "$folder/y.safetensors" ]
fi

for file in LICENSE third-party-notices.txt; do
    [ -n "$(find "$folder/moved" -name $file)" ] || { echo "$file is not installed"; exit 1; }
done
