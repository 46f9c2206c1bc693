"""rsgsync and its peers on one emulator, in one run, with the same rules.

Each tool starts from an empty cloud and does the same five things; after each that writes, the cloud must have exactly the
wanted rules, whoever made them. Wall and CPU in seconds, memory of the largest process in MiB, calls by the emulator's own
count, or by that of a proxy before it. `answers` is the wall time in units of one answer of the emulator to the tool's own
request for every group, to a client that does nothing else, at that moment. `least` is how many calls can do it at all.
`Keystone` are the calls that log in.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from aws import Moto, Strict
from neutron import Neutron

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RSGSYNC = os.environ.get("RSGSYNC", str(ROOT / "target/release/rsgsync"))
CASES = ["plan from empty", "apply", "plan, nothing to do", "plan 1 % drift", "repair 1 % drift"]
# How many times faster than a peer rsgsync is to be, where there are 100 groups.
AIMS = {("terraform", "plan, nothing to do"): 150, ("ansible", "plan, nothing to do"): 400, ("terraform", "apply"): 30}

CLUSTER = """  c{0}:
    network: bench
    profile: downstream-custom-nodes
    rancher_version: "2.4"
    options: {{ cni: canal, rancher_external_lb: false, nodeport_services: true, ingress: true, authorized_cluster_endpoint: true }}
    groups:
      etcd: {{ roles: [etcd] }}
      control: {{ roles: [controlplane] }}
      workers: {{ roles: [worker] }}
      edge: {{ roles: [worker] }}
"""


def inventory(clusters, network):
    head = f"version: 1\nowner: bench\nnetworks: {{ bench: {{ {network} }} }}\npeers:\n"
    peers = "  kube-api-clients: { cidrs: [203.0.113.0/24] }\n  workload-clients: { cidrs: [203.0.113.0/24, 198.51.100.0/24] }\n"
    peers += "  rancher-clients: { cidrs: [203.0.113.0/24] }\nclusters:\n"
    return head + peers + "".join(CLUSTER.format(i) for i in range(clusters))


class Rsgsync:
    def __init__(self, folder, clusters, service):
        (folder / "cluster.yaml").write_text(inventory(clusters, service.network()))

    def command(self, case):
        if case.startswith("plan"):
            return [RSGSYNC, "plan", "--format", "json"]
        # The emulator spreads nothing to hosts, so there is nothing to settle.
        return [RSGSYNC, "apply", "--settle", "0", "--max-removals", "1000000"]


class Launcher:
    def __init__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-I", "-S", HERE / "launcher.py"], stdin=pipe, stdout=pipe, text=True)

    def run(self, command, folder, environment):
        command = [str(word) for word in command]
        task = {"command": command, "folder": str(folder), "environment": environment}
        print(json.dumps(task), file=self.process.stdin, flush=True)
        took = json.loads(self.process.stdout.readline())
        if took.pop("code") != 0:
            said = (folder / "stderr").read_text()[-2000:] + (folder / "stdout").read_text()[-2000:]
            sys.exit(f"{command} in {folder} failed:\n{said}")
        return took


def answer(request):
    """Seconds that one answer takes, to a client that does nothing but ask: the least of five."""
    took = []
    for _ in range(5):
        began = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            answer.read()
        took.append(time.perf_counter() - began)
    return min(took)


def compare(service, launcher, clusters, peers, idle):
    service.reset()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        Rsgsync(folder, clusters, service)
        planned = subprocess.run([RSGSYNC, "plan", "--format", "json"], cwd=folder, env=service.environment, check=True, capture_output=True)
        wanted = service.wanted_of(json.loads(planned.stdout))
    want, rules = service.expected(wanted), sum(map(len, wanted.values()))
    print(f"\n## {service.name}: {len(wanted)} groups, {rules} rules\n")
    for name, make in peers.items():
        if clusters > service.most.get(name, clusters):
            print(f"{name} is left out at this size", file=sys.stderr)
            continue
        service.reset()
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            tool = Rsgsync(folder, clusters, service) if name == "rsgsync" else make(folder, wanted, service)
            if idle:
                maker = service.peers()["tight"](folder, wanted, service) if name == "ansible" else tool
                launcher.run(maker.command("apply"), folder, service.environment)
            for case in ["plan, nothing to do"] if idle else CASES:
                if case == "plan 1 % drift":
                    service.drift(wanted)
                state = service.state(wanted)
                took, counted = run(service, launcher, name, tool.command(case), folder)
                least = service.least(case, sets(want), sets(state))
                left = 0 if case.startswith("plan") else differing(service.state(wanted), want)
                if left and name != "terraform":
                    sys.exit(f"{name}, {case}: {left} rules are not as wanted")
                calls = counted.pop("calls")
                row = {"tool": name, "case": case, "groups": len(wanted), "rules": rules, **took, **counted}
                row["left"] = left
                row |= {"calls": sum(calls.values()), "mutating": service.mutating(calls), "least": least}
                rows.append(row)
                print(f"{name} {case}: {took['wall']:.2f} s, {row['calls']} calls", file=sys.stderr)
    if rows:
        table(rows)
        print("\n".join(missed(rows)) or "\nNo aim is missed.", flush=True)
    return rows


def missed(rows):
    """What was aimed at and isn't reached in these rows, a line each."""
    ours = {row["case"]: row for row in rows if row["tool"] == "rsgsync"}
    for case, row in ours.items():
        if row["calls"] > row["least"]:
            yield f"missed: {case}: {row['calls']} calls, where {row['least']} can do it"
        answers = row["wall"] / row["answer"]
        if case == "plan, nothing to do" and answers > 1.3:
            yield f"missed: {case}: {answers:.2f} times the service's own answer; the aim is 1.3"
    for row in rows:
        aim = AIMS.get((row["tool"], row["case"]))
        if aim and row["case"] in ours:
            times = row["wall"] / ours[row["case"]]["wall"]
            if times < aim:
                yield f"missed: {row['case']}: {times:.0f} times faster than {row['tool']}; the aim is {aim}"


def differing(state, want):
    """How many rules are there that shouldn't be, or the other way round."""
    return sum(len(set(state.get(group, [])) ^ set(want[group])) for group in want)


def run(service, launcher, tool, command, folder):
    """What the command used, and what was counted meanwhile."""
    took = {"answer": answer(service.ask(tool))}
    service.counted()
    took |= launcher.run(command, folder, service.environment)
    return took, service.counted()


def sets(state):
    return {group: set(rules) for group, rules in state.items()}


def table(rows):
    heads = ["case", "tool", "wall", "times rsgsync", "answers", "CPU", "memory", "calls", "mutating", "least"]
    logins = [] if rows[0]["logins"] is None else ["Keystone"]
    heads += logins
    print(f"| {' | '.join(heads)} |\n| --- | --- |{' ---: |' * (len(heads) - 2)}")
    for case in CASES:
        of_case = [row for row in rows if row["case"] == case]
        ours = next((row["wall"] for row in of_case if row["tool"] == "rsgsync"), None)
        for row in of_case:
            times = f"{row['wall'] / ours:.1f}" if ours else ""
            tool = f"{row['tool']} ({row['left']} rules not as wanted)" if row["left"] else row["tool"]
            cells = [case, tool, f"{row['wall']:.3f}", times, f"{row['wall'] / row['answer']:.2f}", f"{row['cpu']:.2f}"]
            cells += [f"{row['memory']:.0f}", str(row["calls"]), str(row["mutating"]), str(row["least"])]
            cells += [str(row["logins"]) for _ in logins]
            print(f"| {' | '.join(cells)} |", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default="1,25,250", help="clusters of four groups each")
    arguments.add_argument("--peers", default="rsgsync,tight,plain,terraform,ansible")
    arguments.add_argument("--idle", action="store_true", help="only: plan, nothing to do; what Ansible looks at, tight made")
    arguments.add_argument("--emulators", default="moto,ec2-strict,neutron")
    arguments.add_argument("--json", type=Path, help="where all figures go, too")
    given = arguments.parse_args()
    launcher, rows = Launcher(), []
    for start in [Moto, Strict, Neutron]:
        if start.name not in given.emulators.split(","):
            continue
        try:
            service = start()
        except subprocess.CalledProcessError as error:
            print(f"{start.name} is left out: {error}", file=sys.stderr)
            continue
        try:
            known = {"rsgsync": None, **service.peers()}
            peers = {name: known[name] for name in given.peers.split(",") if name in known}
            for name in sorted(set(given.peers.split(",")) - peers.keys()):
                print(f"{name} is left out on {service.name}", file=sys.stderr)
            for size in given.sizes.split(","):
                rows += [{"emulator": service.name, **row} for row in compare(service, launcher, int(size), peers, given.idle)]
        finally:
            service.close()
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))
    if not rows:
        sys.exit("nothing was compared")


main()
