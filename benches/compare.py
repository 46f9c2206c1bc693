"""rsgsync and its peers on one emulator, in one run, with the same rules.

Each tool starts from an empty cloud and does the same five things; after each that writes, the cloud must have exactly the
wanted rules, whoever made them. Wall and CPU in seconds, memory of the largest process in MiB, calls by the emulator's own
count. `answers` is the wall time in units of one answer of the emulator that lists every group (`DescribeSecurityGroups`, to
a client that does nothing else, at that moment). `least` is how many calls can do it at all.
"""

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import boto3

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RSGSYNC = os.environ.get("RSGSYNC", str(ROOT / "target/release/rsgsync"))
TERRAFORM = shutil.which("terraform")
ACCOUNT = "111122223333"
CASES = ["plan from empty", "apply", "plan, nothing to do", "plan 1 % drift", "repair 1 % drift"]
# How many clusters a peer is asked for at most: beyond that one case takes tens of minutes.
MOST = {"ansible": 25, "terraform": 25}

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


def inventory(clusters, vpc):
    cloud = f"aws: {{ region: eu-west-1, vpc: {vpc}, quotas: {{ rules_per_group: 100 }} }}"
    head = f"version: 1\nowner: bench\nnetworks: {{ bench: {{ {cloud} }} }}\npeers:\n"
    peers = "  kube-api-clients: { cidrs: [203.0.113.0/24] }\n  workload-clients: { cidrs: [203.0.113.0/24, 198.51.100.0/24] }\n"
    peers += "  rancher-clients: { cidrs: [203.0.113.0/24] }\nclusters:\n"
    return head + peers + "".join(CLUSTER.format(i) for i in range(clusters))


class Service:
    """Something that speaks EC2's protocol on `url`, with a boto3 client of our own."""

    def __init__(self, url):
        self.url = url
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }
        for _ in range(200):
            try:
                self.counted()
                break
            except OSError:
                time.sleep(0.1)
        keys = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "bench"}
        self.ec2 = boto3.client("ec2", endpoint_url=self.url, region_name="eu-west-1", **keys)

    def get(self, path, method="GET"):
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method)) as answer:
            return answer.read()

    def answer(self):
        """Seconds that one answer with all groups takes, to a client that does nothing but ask: the least of five."""
        ask = urllib.parse.urlencode({"Action": "DescribeSecurityGroups", "MaxResults": 1000, "Version": "2016-11-15"})
        signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20300101/eu-west-1/ec2/aws4_request"}
        signed["Content-Type"] = "application/x-www-form-urlencoded"
        took = []
        for _ in range(5):
            began = time.perf_counter()
            with urllib.request.urlopen(urllib.request.Request(self.url + "/", ask.encode(), signed)) as answer:
                answer.read()
            took.append(time.perf_counter() - began)
        return min(took)

    def vpc(self):
        return self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]

    def groups(self, names):
        pages = self.ec2.get_paginator("describe_security_groups").paginate(PaginationConfig={"PageSize": 1000})
        return {g["GroupName"]: g for page in pages for g in page["SecurityGroups"] if g["GroupName"] in names}

    def state(self, names):
        """Ingress rules by group, one peer each, as text."""
        groups = self.groups(names)
        named = {group["GroupId"]: name for name, group in groups.items()}
        return {name: sorted(rules_of(group["IpPermissions"], named)) for name, group in groups.items()}

    def drift(self, wanted):
        """Of every hundredth rule, the one half is gone and the other has a wide neighbour."""
        groups = self.groups(wanted)
        luck = random.Random(7)
        everything = [(name, permission) for name, group in sorted(groups.items()) for permission in group["IpPermissions"]]
        hit = luck.sample(everything, max(1, len(everything) // 100))
        for i, (name, permission) in enumerate(hit):
            group = groups[name]["GroupId"]
            if i % 2 == 0:
                self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
            else:
                stray = {"IpProtocol": "tcp", "FromPort": 20000 + i, "ToPort": 20000 + i, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}
                self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[stray])


class Moto(Service):
    name = "moto"

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.server = subprocess.Popen([sys.executable, HERE / "emulator.py", str(port)])
        super().__init__(f"http://127.0.0.1:{port}")

    def counted(self):
        return json.loads(self.get("/counted"))

    def reset(self):
        self.get("/moto-api/reset", "POST")


class Strict(Service):
    name = "ec2-strict"

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        port = Path(self.folder.name) / "port"
        self.server = subprocess.Popen([os.environ.get("EC2_STRICT", ROOT / "target/release/ec2-strict"), port])
        while not port.exists() or not port.read_text():
            time.sleep(0.05)
        super().__init__(f"http://127.0.0.1:{port.read_text().strip()}")

    def counted(self):
        calls = json.loads(self.get("/control/log"))["counts"]
        self.get("/control/log", "DELETE")
        return {"calls": calls, "seconds": None}

    def reset(self):
        self.get("/control/reset", "POST")
        settings = json.dumps({"rulesPerGroup": 100}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/control/settings?account={ACCOUNT}", settings, method="POST")).close()


def rules_of(permissions, named):
    for one in permissions:
        traffic = f"{one['IpProtocol']} {one.get('FromPort', '*')}-{one.get('ToPort', '*')}".replace("-1 -1--1", "-1 *-*")
        for pair in one.get("UserIdGroupPairs", []):
            yield f"{traffic} {named.get(pair['GroupId'], pair['GroupId'])}"
        yield from (f"{traffic} {entry['CidrIp']}" for entry in one.get("IpRanges", []))
        yield from (f"{traffic} {entry['CidrIpv6']}" for entry in one.get("Ipv6Ranges", []))


def wanted_of(plan):
    """The rules that a plan from empty adds, in the form of `boto.py`."""
    wanted = {}
    for step in plan["steps"]:
        group = wanted.setdefault(step["security_group"], [])
        if step["action"] == "add_rules" and step["direction"] == "ingress":
            for rule in step["rules"]:
                peer = rule["peer"]
                peer = {"group": peer["security_group"]} if "security_group" in peer else {"cidr": peer["cidr"]}
                protocol = "-1" if rule["protocol"] == "all" else rule["protocol"]
                group.append([protocol, rule["from_port"], rule["to_port"], peer])
    return wanted


def expected(wanted):
    port = lambda n: "*" if n is None else n
    text = lambda rule: f"{rule[0]} {port(rule[1])}-{port(rule[2])} {next(iter(rule[3].values()))}"
    return {name: sorted(map(text, rules)) for name, rules in wanted.items()}


class Rsgsync:
    def __init__(self, folder, clusters, wanted, vpc):
        (folder / "cluster.yaml").write_text(inventory(clusters, vpc))

    def command(self, case):
        if case.startswith("plan"):
            return [RSGSYNC, "plan", "--format", "json"]
        # The emulator spreads nothing to hosts, so there is nothing to settle.
        return [RSGSYNC, "apply", "--settle", "0", "--max-removals", "1000000"]


class Boto:
    def __init__(self, folder, clusters, wanted, vpc, which):
        self.which, self.file = which, folder / "wanted.json"
        self.file.write_text(json.dumps(wanted))

    def command(self, case):
        return [sys.executable, HERE / "boto.py", self.which, self.file, *(["check"] if case.startswith("plan") else [])]


class Terraform:
    def __init__(self, folder, clusters, wanted, vpc, url):
        provider = {
            "region": "eu-west-1",
            "endpoints": [{"ec2": url, "sts": url, "iam": url}],
            "skip_credentials_validation": True,
            "skip_requesting_account_id": True,
            "skip_metadata_api_check": True,
        }
        groups, rules = {}, {}
        for name, have in wanted.items():
            groups[name] = {"name": name, "description": name}
            for i, (protocol, first, last, peer) in enumerate(have):
                rule = {"security_group_id": f"${{aws_security_group.{name}.id}}", "ip_protocol": protocol}
                if first is not None:
                    rule |= {"from_port": first, "to_port": last}
                if "group" in peer:
                    rule["referenced_security_group_id"] = f"${{aws_security_group.{peer['group']}.id}}"
                else:
                    rule["cidr_ipv6" if ":" in peer["cidr"] else "cidr_ipv4"] = peer["cidr"]
                rules[f"{name}-{i}"] = rule
        resources = {"aws_security_group": groups, "aws_vpc_security_group_ingress_rule": rules}
        main = {
            "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}},
            "provider": {"aws": provider},
            "resource": resources,
        }
        (folder / "main.tf.json").write_text(json.dumps(main))
        plugins = os.environ.get("TERRAFORM_PLUGINS")
        with_plugins = [f"-plugin-dir={plugins}"] if plugins else []
        subprocess.run([TERRAFORM, "init", "-no-color", *with_plugins], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    def command(self, case):
        if case.startswith("plan"):
            return [TERRAFORM, "plan", "-no-color", "-input=false"]
        return [TERRAFORM, "apply", "-no-color", "-input=false", "-auto-approve"]


class Ansible:
    def __init__(self, folder, clusters, wanted, vpc):
        def task(name, **more):
            module = {"name": name, "description": name, "region": "eu-west-1", **more}
            return {"name": name, "amazon.aws.ec2_security_group": module}

        def rule(protocol, first, last, peer):
            ports = {} if first is None else {"from_port": first, "to_port": last}
            kind = {"group_name": peer["group"]} if "group" in peer else {"cidr_ipv6" if ":" in peer["cidr"] else "cidr_ip": peer["cidr"]}
            return {"proto": protocol if protocol == "-1" else protocol, **ports, **kind}

        # Groups first: rules may name groups that don't exist yet.
        made = [task(name, purge_rules=False) for name in wanted]
        filled = [task(name, rules=[rule(*one) for one in have]) for name, have in wanted.items()]
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False}
        (folder / "make.json").write_text(json.dumps([{**play, "tasks": made + filled}]))
        # Without groups, filling them can't be checked.
        (folder / "check.json").write_text(json.dumps([{**play, "tasks": filled}]))
        (folder / "empty.json").write_text(json.dumps([{**play, "tasks": made}]))

    def command(self, case):
        run = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}"]
        if case == "plan from empty":
            return [*run, "--check", "empty.json"]
        return [*run, "--check", "check.json"] if case.startswith("plan") else [*run, "make.json"]


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


def tools(emulator, names):
    makers = {
        "rsgsync": Rsgsync,
        "tight": lambda *given: Boto(*given, "tight"),
        "plain": lambda *given: Boto(*given, "plain"),
        "terraform": lambda *given: Terraform(*given, emulator.url),
        "ansible": Ansible,
    }
    if not TERRAFORM and "terraform" in names:
        print("terraform is not on this machine: left out", file=sys.stderr)
    return {name: makers[name] for name in names if name != "terraform" or TERRAFORM}


def mutating(calls):
    return sum(count for action, count in calls.items() if not action.startswith(("Describe", "Get")))


def least(case, wanted, drifted):
    """The fewest calls that can do it: one to read for every 1,000 groups; from empty, one to make a group and one to fill
    it; where rules differ, one for each group and kind of change; and where anything is written, one reading to see it."""
    pages = -(-len(wanted) // 1000)
    if case == "apply":
        return 2 * pages + 2 * len(wanted)
    return pages if case.startswith("plan") else 2 * pages + drifted


def compare(emulator, launcher, clusters, makers):
    emulator.reset()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        Rsgsync(folder, clusters, None, emulator.vpc())
        planned = subprocess.run([RSGSYNC, "plan", "--format", "json"], cwd=folder, env=emulator.environment, check=True, capture_output=True)
        wanted = wanted_of(json.loads(planned.stdout))
    want, rules = expected(wanted), sum(map(len, wanted.values()))
    print(f"\n## {emulator.name}: {len(wanted)} groups, {rules} rules\n")
    for name, make in makers.items():
        if clusters > MOST.get(name, clusters):
            print(f"{name} is left out at this size", file=sys.stderr)
            continue
        emulator.reset()
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            tool = make(folder, clusters, wanted, emulator.vpc())
            for case in CASES:
                drifted = 0
                if "drift" in case:
                    if case.startswith("plan"):
                        emulator.drift(wanted)
                    state = emulator.state(wanted)
                    drifted = sum(bool(set(want[g]) - set(state[g])) + bool(set(state[g]) - set(want[g])) for g in want)
                answer = emulator.answer()
                emulator.counted()
                took = launcher.run(tool.command(case), folder, emulator.environment)
                counted = emulator.counted()
                if not case.startswith("plan") and (state := emulator.state(wanted)) != want:
                    different = next(g for g in want if state.get(g) != want[g])
                    sys.exit(f"{name}, {case}: {different} has {state.get(different)}, not {want[different]}")
                calls = sum(counted["calls"].values())
                row = {
                    "tool": name, "case": case, "groups": len(wanted), "rules": rules, **took, "inside": counted["seconds"], "answer": answer,
                    "calls": calls, "mutating": mutating(counted["calls"]), "least": least(case, wanted, drifted),
                }
                rows.append(row)
                print(f"{name} {case}: {took['wall']:.2f} s, {calls} calls", file=sys.stderr)
    table(rows)
    return rows


def table(rows):
    heads = ["case", "tool", "wall", "times rsgsync", "answers", "CPU", "memory", "calls", "mutating", "least"]
    print(f"| {' | '.join(heads)} |\n| --- | --- |{' ---: |' * (len(heads) - 2)}")
    for case in CASES:
        of_case = [row for row in rows if row["case"] == case]
        ours = next((row["wall"] for row in of_case if row["tool"] == "rsgsync"), None)
        for row in of_case:
            times = f"{row['wall'] / ours:.1f}" if ours else ""
            cells = [case, row["tool"], f"{row['wall']:.3f}", times, f"{row['wall'] / row['answer']:.2f}", f"{row['cpu']:.2f}"]
            cells += [f"{row['memory']:.0f}", str(row["calls"]), str(row["mutating"]), str(row["least"])]
            print(f"| {' | '.join(cells)} |")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default="1,25,250", help="clusters of four groups each")
    arguments.add_argument("--peers", default="rsgsync,tight,plain,terraform,ansible")
    arguments.add_argument("--emulators", default="moto,ec2-strict")
    arguments.add_argument("--json", type=Path, help="where all figures go, too")
    given = arguments.parse_args()
    launcher, rows = Launcher(), []
    for service in [Moto, Strict]:
        if service.name not in given.emulators.split(","):
            continue
        emulator = service()
        try:
            makers = tools(emulator, given.peers.split(","))
            for size in given.sizes.split(","):
                rows += [{"emulator": service.name, **row} for row in compare(emulator, launcher, int(size), makers)]
        finally:
            emulator.server.kill()
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


main()
