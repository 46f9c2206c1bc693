"""EC2's protocol without an account, by moto and by our own strict server, and what is compared there."""

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

from playbook import Playbook

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TERRAFORM = shutil.which("terraform")
ACCOUNT = "111122223333"


class Service:
    """Something that speaks EC2's protocol on `url`, with a boto3 client of our own."""

    # How many clusters a peer is asked for at most: beyond that one case takes tens of minutes.
    most = {"ansible": 25, "terraform": 25}

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

    def ask(self, tool):
        """A request for all groups, in the way that the tool asks: rsgsync by its mark."""
        ask = {"Action": "DescribeSecurityGroups", "MaxResults": 1000, "Version": "2016-11-15"}
        if tool == "rsgsync":
            ask |= {"Filter.1.Name": "vpc-id", "Filter.1.Value.1": self.vpc()}
            ask |= {"Filter.2.Name": "tag-key", "Filter.2.Value.1": "rsgsync:bench/*"}
        signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20300101/eu-west-1/ec2/aws4_request"}
        signed["Content-Type"] = "application/x-www-form-urlencoded"
        return urllib.request.Request(self.url + "/", urllib.parse.urlencode(ask).encode(), signed)

    def network(self):
        return f"aws: {{ region: eu-west-1, vpc: {self.vpc()}, quotas: {{ rules_per_group: 100 }} }}"

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

    def mutating(self, calls):
        return sum(count for action, count in calls.items() if not action.startswith(("Describe", "Get")))

    def least(self, case, want, state):
        """The fewest calls that can do it: one to read for every 1,000 groups; one to make a group; where rules differ, one
        for each group and kind of change; and where anything is written, one reading to see it."""
        pages = -(-len(want) // 1000)
        if case.startswith("plan"):
            return pages
        changes = sum((want[g] - state.get(g, set()) != set()) + (state.get(g, set()) - want[g] != set()) for g in want)
        return 2 * pages + len(want.keys() - state.keys()) + changes

    def wanted_of(self, plan):
        """The rules that a plan from empty adds, in the form of `boto.py`."""
        wanted = {}
        for step in plan["steps"]:
            group = wanted.setdefault(step["security_group"], [])
            if step["action"] == "add_rules" and step["direction"] == "ingress":
                group += map(botos, step["rules"])
        return wanted

    def expected(self, wanted):
        """The same in the form of `state`."""
        port = lambda n: "*" if n is None else n
        text = lambda rule: f"{rule[0]} {port(rule[1])}-{port(rule[2])} {next(iter(rule[3].values()))}"
        return {name: sorted(map(text, rules)) for name, rules in wanted.items()}

    def peers(self):
        script = lambda which: lambda *given: Script(*given, which)
        terraform = {"terraform": Terraform} if TERRAFORM else {}
        return {"tight": script("tight"), "plain": script("plain"), **terraform, "ansible": Ansible}

    def close(self):
        self.server.kill()


class Moto(Service):
    name = "moto"
    # Its list of 1,000 groups takes longer than clients wait, and its own threads fail over each other.
    most = dict.fromkeys(["rsgsync", "tight", "plain", "terraform", "ansible"], 25)

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.server = subprocess.Popen([sys.executable, HERE / "emulator.py", str(port)])
        super().__init__(f"http://127.0.0.1:{port}")

    def counted(self):
        counted = json.loads(self.get("/counted"))
        return {"calls": counted["calls"], "inside": counted["seconds"], "logins": None}

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
        return {"calls": calls, "inside": None, "logins": None}

    def reset(self):
        self.get("/control/reset", "POST")
        settings = json.dumps({"rulesPerGroup": 100}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/control/settings?account={ACCOUNT}", settings, method="POST")).close()

    def peers(self):
        # Ansible's module asks STS and IAM for the account, and neither is there.
        return {name: peer for name, peer in super().peers().items() if name != "ansible"}


def rules_of(permissions, named):
    for one in permissions:
        traffic = f"{one['IpProtocol']} {one.get('FromPort', '*')}-{one.get('ToPort', '*')}".replace("-1 -1--1", "-1 *-*")
        for pair in one.get("UserIdGroupPairs", []):
            yield f"{traffic} {named.get(pair['GroupId'], pair['GroupId'])}"
        yield from (f"{traffic} {entry['CidrIp']}" for entry in one.get("IpRanges", []))
        yield from (f"{traffic} {entry['CidrIpv6']}" for entry in one.get("Ipv6Ranges", []))


def botos(rule):
    peer = rule["peer"]
    peer = {"group": peer["security_group"]} if "security_group" in peer else {"cidr": peer["cidr"]}
    return ["-1" if rule["protocol"] == "all" else rule["protocol"], rule["from_port"], rule["to_port"], peer]


class Script:
    def __init__(self, folder, wanted, service, which):
        self.which, self.file = which, folder / "wanted.json"
        self.file.write_text(json.dumps(wanted))

    def command(self, case):
        return [sys.executable, HERE / "boto.py", self.which, self.file, *(["check"] if case.startswith("plan") else [])]


class Terraform:
    def __init__(self, folder, wanted, service):
        provider = {
            "region": "eu-west-1",
            "endpoints": [dict.fromkeys(["ec2", "sts", "iam"], service.url)],
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


class Ansible(Playbook):
    def __init__(self, folder, wanted, service):
        def task(name, **more):
            module = {"name": name, "description": name, "region": "eu-west-1", **more}
            return {"name": name, "amazon.aws.ec2_security_group": module}

        def rule(protocol, first, last, peer):
            ports = {} if first is None else {"from_port": first, "to_port": last}
            kind = {"group_name": peer["group"]} if "group" in peer else {"cidr_ipv6" if ":" in peer["cidr"] else "cidr_ip": peer["cidr"]}
            return {"proto": protocol if protocol == "-1" else protocol, **ports, **kind}

        made = [task(name, purge_rules=False) for name in wanted]
        filled = [task(name, rules=[rule(*one) for one in have]) for name, have in wanted.items()]
        super().__init__(folder, made, filled)
