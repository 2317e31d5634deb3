#!/usr/bin/env python3
"""What a report of turnpike-gen has to say: gen_check.py FILE [NAME=VALUE|NAME>VALUE|NAME<VALUE]...

Every trial closes its accounts and shows no fault; the conditions are about the last trial, or with
a dot about the whole report (setup.ready=20). Prints one line of what was measured.
"""
import json
import re
import sys

FAULTS = ("corrupted", "misdelivered", "checksum", "duplicated", "stray")
with open(sys.argv[1]) as f:
    report = json.load(f)
wrong = []
for n, trial in enumerate(report.get("trials", [])):
    if trial["sent"] != trial["received"] + trial["lost"] + trial["in_flight"]:
        wrong.append(f"trial {n} does not close: {trial}")
    wrong += [f"trial {n}: {trial[name]} {name}" for name in FAULTS if trial[name] != 0]
last = report["trials"][-1] if report.get("trials") else {}
for condition in sys.argv[2:]:
    name, sign, value = re.fullmatch(r"([a-z0-9_.]+)([=<>])(.+)", condition).groups()
    found = report if "." in name else last
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    want = json.loads(value)
    if found is None or not {"=": found == want, "<": found < want, ">": found > want}[sign]:
        wrong.append(f"{condition}: found {found}")
if last:
    print(f"{last['sent']} sent, {last['received']} received, {last['lost']} lost, "
          f"{last['reordered']} reordered, p50 {last['latency_us']['p50']:.0f} us")
if report.get("ok") is not True:
    wrong.append(f"not ok: {report.get('why')}")
print("\n".join(wrong))
sys.exit(bool(wrong))
