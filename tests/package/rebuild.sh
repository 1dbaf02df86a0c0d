#!/bin/sh
# Builds the project once more: rebuild.sh FOLDER PRESET [CMAKE OPTIONS] [-- CTEST OPTIONS]. Warnings are errors. With --, the
# tests chosen by the options run as well, and there must be some.
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
"$CMAKE_COMMAND" --build "$folder"
[ $# -gt 0 ] || exit 0
shift

# ThreadSanitizer cannot place its shadow where addresses are randomised widely.
fixed=""
if [ "$preset" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null; then
    fixed="setarch $(uname -m) -R"
fi
# shellcheck disable=SC2086 # a command
$fixed "$CTEST_COMMAND" --test-dir "$folder" --output-on-failure --no-tests=error "$@"
