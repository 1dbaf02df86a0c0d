#!/usr/bin/env python3
"""The README's tables of figures, from the results in this folder (measure.sh makes them).

    tables.py NAME [FILE...]             prints one table: devices, layers, blocks or peers
    tables.py --write README [FILE...]   puts every table between its marks, <!-- table: NAME --> and <!-- end -->

FILE: JSON of `clmoe-bench layer` or `report`; without one, all of this folder. A device's figures beside other libraries are
in NAME-peers.md beside its NAME.json."""
import glob
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FLOATS = ("f32", "bf16", "f16")
UNPINNED = (1, 64, 512)  # tokens that the layers' table shows without POCL_AFFINITY too
VENDORS = {"sm_": "NVIDIA", "gfx": "AMD", "dg2": "Intel", "pvc": "Intel", "skl": "Intel", "tgl": "Intel", "spir": "SPIR-V"}


def documents(files):
    """Results of `clmoe-bench layer`, the ones inside of report's included."""
    for name in files:
        with open(name, encoding="utf-8") as file:
            root = json.load(file)
        for document in root.get("documents", [root]):
            if document.get("command", "layer") == "layer" and document.get("results"):
                yield document


def is_pinned(document):
    return document["environment"]["variables"].get("POCL_AFFINITY", "1") == "1"


def is_of_floats(document):
    return all(row["weights"] in FLOATS for row in document["results"])


def rows_of(chosen):
    """{(device, model, weights): {tokens: row}}; of rows that were measured several times the run of median share, of an
    even number the lower of the two in the middle."""
    runs = {}
    for document in chosen:
        for row in document["results"]:
            key = document["device"], row["model"], row["weights"]
            runs.setdefault(key, {}).setdefault(row["tokens"], []).append(row)
    return {key: {tokens: median_run(same) for tokens, same in row.items()} for key, row in runs.items()}


def median_run(rows):
    return sorted(rows, key=lambda row: row["roofline_share"])[(len(rows) - 1) // 2]


def common_tokens(rows):
    """The numbers of tokens that all rows have: a column without gaps."""
    return sorted(set.intersection(*map(set, rows.values()))) if rows else []


def line(cells):
    return "| " + " | ".join(cells) + " |"


def head(cells):
    return [line(cells), "|" + "---|" * len(cells)]


def tokens_title(count):
    return "1 token" if count == 1 else str(count)


def milliseconds(value):
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def cell(row):
    return f"{milliseconds(row['median_ms'])} ({row['roofline_share']:.2f})" if row else ""


def several_devices(rows):
    return len({device for device, _, _ in rows}) > 1


def layers(files):
    """Milliseconds of whole layers and the share of the roofline; behind them the same without POCL_AFFINITY."""
    every = [d for d in documents(files) if is_of_floats(d)]
    rows = rows_of(d for d in every if is_pinned(d))
    loose = rows_of(d for d in every if not is_pinned(d))
    counts = common_tokens(rows)
    loose_counts = [tokens for tokens in UNPINNED if any(tokens in row for row in loose.values())]
    many = several_devices(rows)
    titles = [tokens_title(c) for c in counts] + [f"{tokens_title(c)}, without `POCL_AFFINITY`" for c in loose_counts]
    table = head(["device"] * many + ["shape", "weights"] + titles)
    shown = None
    for key, row in rows.items():
        device, model, weights = key
        cells = [cell(row.get(c)) for c in counts]
        for count in loose_counts:
            other = loose.get(key, {}).get(count)
            cells.append(f"{other['median_ms']:.3g}" if other else "")
        first = "" if (device, model) == shown else model
        table.append(line([device] * many + [first, weights] + cells))
        shown = device, model
    return table


def blocks(files):
    """The same for block formats, with the bits a weight takes in a file and the largest error."""
    rows = rows_of(d for d in documents(files) if is_pinned(d) and not is_of_floats(d))
    rows = {key: row for key, row in rows.items() if key[2] not in FLOATS}
    counts = common_tokens(rows)
    many = several_devices(rows)
    table = head(["device"] * many + ["weights", "bits a weight"] + [tokens_title(c) for c in counts] + ["error"])
    for (device, _, weights), row in rows.items():
        some = next(iter(row.values()))
        router = 4 * some["num_experts"] * some["hidden_size"]
        held = 3 * some["num_experts"] * some["hidden_size"] * some["intermediate_size"]
        bits = f"{8 * (some['source_bytes'] - router) / held:.3g}"
        error = f"{max(r['nmse'] for r in row.values()):.1e}"
        table.append(line([device] * many + [weights, bits] + [cell(row.get(c)) for c in counts] + [error]))
    return table


def compiled_only():
    """Vendors in the compile matrix, one text."""
    with open(os.path.join(HERE, "compile_matrix.tsv"), encoding="utf-8") as file:
        targets = sorted({text.split("\t")[0] for text in file.readlines()[1:]})
    by_vendor = {}
    for target in targets:
        vendor = next((name for start, name in VENDORS.items() if target.startswith(start)), "other")
        by_vendor.setdefault(vendor, []).append(target)
    return "; ".join(f"{vendor}: {', '.join(names)}" for vendor, names in by_vendor.items())


def devices(files):
    """A row for each device that was measured, with driver and date, and what was compiled only."""
    table = head(["device", "driver", "date", "limits", "OLMoE, bf16: tokens a second at 1, 64, 512 tokens"])
    by_device = {}
    for document in documents(files):
        environment = document["environment"]
        key = document["device"], environment["platform"], environment["driver"]
        if is_pinned(document):
            by_device.setdefault(key, []).append(document)
    for (device, platform, driver), found in by_device.items():
        peak, dates = found[0]["peak"], sorted(d["environment"].get("date", "")[:10] for d in found)
        limits = [f"{peak[key]:.0f} {unit} {name}" for key, unit, name in
                  (("f32_gflops", "GFLOPS", "f32"), ("bf16_gflops", "GFLOPS", "bf16"), ("int8_gops", "GOPS", "int8"),
                   ("read_gbps", "GB/s", "read")) if peak.get(key)]
        row = rows_of(found).get((device, "olmoe", "bf16"), {})
        speeds = [f"{1e3 * t / row[t]['median_ms']:.0f}" if t in row else "-" for t in (1, 64, 512)]
        units = found[0]["environment"]["compute_units"]
        table.append(line([f"{device}, {units} compute units", f"{platform} {driver}", dates[-1] or "-",
                           ", ".join(limits), ", ".join(speeds)]))
    table.append(line([f"compiled only, never run: {compiled_only()}", "", "", "", ""]))
    return table


def peers(files):
    """What bench/peers printed beside each device's results."""
    found = [name for name in (re.sub(r"\.json$", "-peers.md", file) for file in files) if os.path.exists(name)]
    table = []
    for name in found:
        with open(name, encoding="utf-8") as file:
            table += file.read().splitlines()
    return table


TABLES = {"devices": devices, "layers": layers, "blocks": blocks, "peers": peers}


def write(readme, files):
    with open(readme, encoding="utf-8") as file:
        text = file.read()
    for name, table in TABLES.items():
        lines = table(files)
        marks = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not lines or not marks.search(text):
            print(f"{name}: {'not in ' + readme if lines else 'no results'}, left as it is", file=sys.stderr)
            continue
        text = marks.sub(lambda m, lines=lines: m[1] + "\n" + "\n".join(lines) + "\n\n" + m[2], text)
    with open(readme + ".tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(readme + ".tmp", readme)


def main():
    words = sys.argv[1:]
    is_writing = words[:1] == ["--write"] and len(words) > 1
    if not is_writing and (not words or words[0] not in TABLES):
        print(__doc__, file=sys.stderr)
        return 2
    files = words[2 if is_writing else 1:] or sorted(glob.glob(os.path.join(HERE, "*.json")))
    if is_writing:
        write(words[1], files)
    else:
        print("\n".join(TABLES[words[0]](files)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
