#!/bin/sh
# A shared library exports clmoe_* names alone (clmoe__* is the inside), all that the headers declare, and stays small.
# exports.sh LIBRARY MACRO LEAST: MACRO marks its functions in the headers, of which there are at least so many.
set -eu
library=$1 macro=$2 least=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

nm -D --defined-only "$library" | awk '{print $NF}' | sort -u >"$folder/exported"
foreign=$(grep -v -E '^clmoe_[a-z]' "$folder/exported" || true)
[ -z "$foreign" ] || { echo "exported, but not clmoe_*:"; echo "$foreign"; exit 1; }

# Declarations are "MACRO type name(", with the name before the first parenthesis.
sed -n "s/^$macro [^(]*[ *]\\(clmoe_[a-z0-9_]*\\)(.*/\\1/p" "$SOURCE"/include/clmoe/*.h | sort -u >"$folder/declared"
[ "$(wc -l <"$folder/declared")" -ge "$least" ] || { echo "only $(wc -l <"$folder/declared") declarations found in the headers"; exit 1; }
if ! diff "$folder/declared" "$folder/exported" >"$folder/difference"; then
    echo "declared (<) and exported (>) differ:"
    cat "$folder/difference"
    exit 1
fi

strip -o "$folder/stripped" "$library"
bytes=$(wc -c <"$folder/stripped")
[ "$bytes" -lt 2097152 ] || { echo "$bytes bytes stripped, the limit is 2 MiB"; exit 1; }
echo "$(wc -l <"$folder/exported") names, $bytes bytes stripped"
