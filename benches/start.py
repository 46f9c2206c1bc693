"""How long programs take to start, in ms: the median and the least of 50 runs each, in turns; and how large rsgsync is.

usage: bash benches/run.sh --start
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RSGSYNC = os.environ["RSGSYNC"]
COMMANDS = {
    "`true`": ["true"],
    "`rsgsync --version`": [RSGSYNC, "--version"],
    "`rsgsync validate`, one cluster": [RSGSYNC, "validate", "--inventory", "examples/aws-rancher-nodes.yaml"],
    "`rsgsync validate`, three clusters": [RSGSYNC, "validate", "--inventory", "examples/quickstart.yaml"],
    "`rsgsync plan`, three clusters": [RSGSYNC, "plan", "--inventory", "examples/quickstart.yaml"],
    "`python3 -c 'import boto3'`": [sys.executable, "-c", "import boto3"],
}
if shutil.which("terraform"):
    COMMANDS["`terraform version`"] = ["terraform", "version"]

took = {name: [] for name in COMMANDS}
for _ in range(50):
    for name, command in COMMANDS.items():
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took[name].append(1000 * (time.perf_counter() - began))

print("| command | median, ms | least, ms | times `true` |\n| --- | ---: | ---: | ---: |")
for name, runs in took.items():
    times = statistics.median(runs) / statistics.median(took["`true`"])
    print(f"| {name} | {statistics.median(runs):.1f} | {min(runs):.1f} | {times:.1f} |")
print(f"\nrsgsync has {os.path.getsize(RSGSYNC) / 2**20:.1f} MiB.")
