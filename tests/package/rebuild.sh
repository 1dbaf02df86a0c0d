#!/bin/sh
# Builds the project once more: rebuild.sh FOLDER PRESET [CMAKE OPTIONS] [-- CTEST OPTIONS]. Warnings are errors. With
# --, the tests chosen by the options run, and there must be some; only they and the library are built.
set -eu
folder=$1 preset=$2
shift 2
options=""
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options="$options $1"
    shift
done

cd "$SOURCE"
# shellcheck disable=SC2086 # options hold no spaces
"$CMAKE_COMMAND" --preset "$preset" -B "$folder" -DCLMOE_WERROR=ON $options
if [ $# -eq 0 ]; then
    "$CMAKE_COMMAND" --build "$folder"
    exit
fi
shift
# A test has the name of its program, or that with .VARIANT behind it.
programs=$("$CTEST_COMMAND" --test-dir "$folder" -N "$@" | sed -n 's/^ *Test *#[0-9]*: \([^. ]*\).*/\1/p' | sort -u)
# shellcheck disable=SC2086 # a list
"$CMAKE_COMMAND" --build "$folder" --target clmoe $programs

# ThreadSanitizer cannot place its shadow where addresses are randomised widely.
fixed=""
if [ "$preset" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null; then
    fixed="setarch $(uname -m) -R"
fi
# shellcheck disable=SC2086 # a command
$fixed "$CTEST_COMMAND" --test-dir "$folder" --output-on-failure --no-tests=error "$@"
