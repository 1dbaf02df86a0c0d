"""table.py OUT: what run.sh left in OUT as a table in Markdown: for each library, format and number of tokens the
smallest and the largest median of the rounds, in milliseconds. Behind them the normalised mean squared error: clmoe's against
the weights as it keeps them, that of the others against the weights before they were rounded to the format.
"""
import glob
import json
import os
import sys


def rows_of(folder):
    for path in sorted(glob.glob(os.path.join(folder, "clmoe-*.json"))):
        with open(path) as file:
            for row in json.load(file)["results"]:
                yield "clmoe", row["weights"], row["tokens"], row.get("median_ms"), f"{row['nmse']:.1e}"
    for path in sorted(glob.glob(os.path.join(folder, "peers-*.jsonl"))):
        with open(path) as file:
            for row in map(json.loads, file):
                yield row["peer"], row["weights"], row["tokens"], row["median_ms"], f"{row['nmse']:.1e}"


def span(times):
    low, high = (f"{t:.3g}" if t < 1000 else f"{t:.0f}" for t in (min(times), max(times)))
    return low if low == high else f"{low} to {high}"


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: table.py OUT")
    cells, errors = {}, {}
    for who, weights, tokens, median, error in rows_of(sys.argv[1]):
        if median is None:  # a row that clmoe-bench found wrong or unable is not timed
            continue
        cells.setdefault((weights, who), {}).setdefault(tokens, []).append(median)
        errors[weights, who] = error
    counts = sorted({tokens for row in cells.values() for tokens in row})
    print("| weights | library | " + " | ".join(f"{t} token{'s' * (t > 1)}" for t in counts) + " | error |")
    print("|---|---|" + "---|" * (len(counts) + 1))
    for (weights, who), row in cells.items():
        texts = [span(row[tokens]) if tokens in row else "-" for tokens in counts]
        print(f"| {weights} | {who} | " + " | ".join(texts) + f" | {errors[weights, who]} |")


main()
