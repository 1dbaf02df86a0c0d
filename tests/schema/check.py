"""check.py SCHEMA COMMAND FILE: is FILE what `clmoe-bench COMMAND --json` promises? Exit status 1 and a line for each fault.

Needs the module jsonschema (Debian: python3-jsonschema): CMake reads JSON, but cannot check it."""
import json
import sys

import jsonschema


def overlaps(document):
    """Slices of one thread of a trace lie side by side."""
    ends = {}
    slices = [event for event in document["traceEvents"] if event["ph"] == "X"]
    for event in sorted(slices, key=lambda event: event["ts"]):
        thread = (event["pid"], event["tid"])
        if event["ts"] < ends.get(thread, 0) - 1e-3:
            yield f"{event['name']} at {event['ts']} begins before the slice ahead of it ends"
        ends[thread] = event["ts"] + event["dur"]


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def main(schema_path, command, path):
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    with open(path, encoding="utf-8") as file:
        document = json.load(file, parse_constant=refuse)
    wanted = {"$ref": f"#/$defs/{command}", "$defs": schema["$defs"]}
    jsonschema.Draft202012Validator.check_schema(wanted)
    faults = [
        f"{'.'.join(map(str, fault.absolute_path)) or 'the document'}: {fault.message[:200]}"
        for fault in jsonschema.Draft202012Validator(wanted).iter_errors(document)
    ]
    if not faults and command == "trace_file":
        faults = list(overlaps(document))
    for fault in faults[:20]:
        print(f"{path}: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
