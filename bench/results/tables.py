#!/usr/bin/env python3
"""tables.py FILE.json...: the README's tables of `clmoe-bench layer`, from its JSON: a row a model and format, a column a number of
tokens, milliseconds with the share of the roofline in brackets. --error adds the largest error and the bits a weight."""
import json
import sys

names = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
with_error = "--error" in sys.argv
rows = {}
for name in names:
    with open(name, encoding="utf-8") as file:
        for result in json.load(file)["results"]:
            rows.setdefault((result["model"], result["weights"]), {})[result["tokens"]] = result
counts = sorted({tokens for row in rows.values() for tokens in row})
print("| shape | weights |" + (" bits a weight |" if with_error else "") +
      "".join(f" {tokens} |" for tokens in counts) + (" error |" if with_error else ""))
print("|---|---|" + "---|" * (len(counts) + 2 * with_error))
shown = None
for (model, weights), row in rows.items():
    cells = [f"{row[t]['median_ms']:.3g} ({row[t]['roofline_share']:.2f})" if t in row else "" for t in counts]
    if with_error:
        some = next(iter(row.values()))
        router = 4 * some["num_experts"] * some["hidden_size"]
        weights_held = 3 * some["num_experts"] * some["hidden_size"] * some["intermediate_size"]
        cells = [f"{8 * (some['source_bytes'] - router) / weights_held:.3g}"] + cells + [f"{max(r['nmse'] for r in row.values()):.1e}"]
    print(f"| {'' if model == shown else model} | {weights} | " + " | ".join(cells) + " |")
    shown = model
