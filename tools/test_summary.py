#!/usr/bin/env python3
"""What the test programs reported in FOLDER, in a few lines: counts, the slowest tests, and what was skipped and why.

    tools/test_summary.py FOLDER

FOLDER holds the JSON files that GoogleTest wrote (tests/CMakeLists.txt says where). Fails when a test failed or none ran.
"""

import collections
import json
import pathlib
import sys

SLOWEST = 5


def main() -> int:
    folder = pathlib.Path(sys.argv[1])
    passed, failed, skipped, seconds = 0, [], collections.Counter(), []
    for file in sorted(folder.glob("*.json")):
        for suite in json.loads(file.read_text()).get("testsuites", []):
            for test in suite["testsuite"]:
                name = f"{suite['name']}.{test['name']}"
                if test.get("result") == "SUPPRESSED" or test.get("status") == "NOTRUN":
                    continue
                if test.get("result") == "SKIPPED":
                    skipped[test.get("skip_reason", "").strip() or "no reason given"] += 1
                    continue
                seconds.append((float(test["time"].rstrip("s")), name))
                if "failures" in test:
                    failed.append(name)
                else:
                    passed += 1
    total = sum(s for s, _ in seconds)
    slowest = ", ".join(f"{name} {s:.1f} s" for s, name in sorted(seconds, reverse=True)[:SLOWEST])
    print(f"{total:.0f} s in all; slowest: {slowest}")
    if skipped:
        print("skipped: " + "; ".join(f"{count} ({reason})" for reason, count in skipped.most_common()))
    for name in failed:
        print(f"failed: {name}")
    print(f"{passed} passed, {len(failed)} failed, {sum(skipped.values())} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
