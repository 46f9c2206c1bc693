"""Neutron and Keystone as they are, on SQLite (`localstack/up openstack`), and what is compared there."""

import json
import os
import random
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import openstack

from counting import Counting
from playbook import Playbook
from sdk import AT_ONCE

HERE = Path(__file__).resolve().parent
# What Neutron puts into each new group, as text; no tool is to touch it.
EVERYTHING_OUT = ["IPv4 * *-* *", "IPv6 * *-* *"]


class Localstack:
    """Starts the services, unless they run. `clouds` is their clouds.yaml; `close` stops what was started."""

    def __init__(self):
        folder = os.environ.get("RSGSYNC_LOCALSTACK_DIR", str(HERE / "run"))
        self.environment = {**os.environ, "RSGSYNC_LOCALSTACK_DIR": folder}
        pid = Path(folder) / "openstack/neutron.pid"
        before = pid.read_text() if pid.exists() else None
        self.localstack("up")
        self.started = pid.read_text() != before
        self.clouds = Path(folder) / "openstack/clouds.yaml"

    def localstack(self, verb):
        subprocess.run([HERE.parent / "localstack" / verb, "openstack"], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def close(self):
        if self.started:
            self.localstack("down")


class Neutron:
    name = "neutron"
    # How many clusters a peer is asked for at most: beyond that one case takes tens of minutes.
    most = {"ansible": 25, "plain": 25, "rsgsync": 25, "tight": 25}

    def __init__(self):
        self.localstack = Localstack()
        clouds = openstack.config.OpenStackConfig(config_files=[str(self.localstack.clouds)], secure_files=[], load_envvars=False)
        self.admin = openstack.connection.Connection(config=clouds.get_one("admin"))
        self.demo = clouds.get_one("demo").config["auth"]
        self.keystone = Counting(host(self.demo["auth_url"]))
        self.proxy = Counting(host(self.admin.network.get_endpoint()))
        self.folder, self.project = tempfile.TemporaryDirectory(), None
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OS_")},
            "OS_CLIENT_CONFIG_FILE": f"{self.folder.name}/clouds.yaml",
            "OS_CLIENT_SECURE_FILE": f"{self.folder.name}/secure.yaml",
            "OS_CLOUD": "bench",
            "NO_PROXY": "127.0.0.1",
        }

    def reset(self):
        """A project of its own for whoever comes next, without quotas and without groups."""
        self.clean()
        identity = self.admin.identity
        self.project = identity.create_project(name=f"bench-{os.getpid()}", domain_id="default")
        member, user = identity.find_role("member"), identity.find_user("demo", domain_id="default")
        identity.assign_project_role_to_user(self.project, user, member)
        quota = {"security_group": -1, "security_group_rule": -1}
        self.admin.network.put(f"/quotas/{self.project.id}", json={"quota": quota}).raise_for_status()
        auth = {**self.demo, "project_name": self.project.name}
        self.cloud = openstack.connect(load_envvars=False, load_yaml_config=False, region_name="RegionOne", auth=auth)
        counted = {"region_name": "RegionOne", "network_endpoint_override": self.proxy.url}
        counted["auth"] = {**auth, "auth_url": f"{self.keystone.url}/v3"}
        (Path(self.folder.name) / "clouds.yaml").write_text(json.dumps({"clouds": {"bench": counted}}))
        (Path(self.folder.name) / "secure.yaml").write_text("clouds: {}\n")

    def clean(self):
        if self.project:
            for group in self.listed():
                self.cloud.network.delete(f"/security-groups/{group['id']}")
            self.admin.network.delete(f"/quotas/{self.project.id}")
            self.admin.identity.delete_project(self.project)
            self.project = None

    def close(self):
        self.clean()
        self.proxy.close()
        self.keystone.close()
        self.localstack.close()

    def network(self):
        return "openstack: { cloud: bench }"

    def counted(self):
        return {"calls": self.proxy.counted(), "inside": None, "logins": sum(self.keystone.counted().values())}

    def ask(self, _):
        """A request for all groups."""
        return urllib.request.Request(f"{self.proxy.url}/v2.0/security-groups", headers={"X-Auth-Token": self.cloud.auth_token})

    def listed(self):
        return self.cloud.network.get("/security-groups").json()["security_groups"]

    def state(self, names):
        """Ingress rules by group, as text. A group without the two rules that let everything out is an error."""
        groups = [group for group in self.listed() if group["name"] in names]
        named = {group["id"]: group["name"] for group in groups}
        state = {}
        for group in groups:
            told = {"ingress": [], "egress": []}
            for rule in group["security_group_rules"]:
                told[rule["direction"]].append(text(rule, named.get(rule["remote_group_id"], rule["remote_group_id"])))
            if sorted(told["egress"]) != EVERYTHING_OUT:
                sys.exit(f"{group['name']} has the outbound rules {told['egress']}")
            state[group["name"]] = sorted(told["ingress"])
        if len(state) != len(groups):
            sys.exit("two groups have one name")
        return state

    def drift(self, wanted):
        """Of every hundredth rule, the one half is gone and the other has a wide neighbour."""
        groups = sorted((group for group in self.listed() if group["name"] in wanted), key=lambda group: group["name"])
        named = {group["id"]: group["name"] for group in groups}
        everything = []
        for group in groups:
            ingress = [rule for rule in group["security_group_rules"] if rule["direction"] == "ingress"]
            everything += sorted(ingress, key=lambda rule: text(rule, named.get(rule["remote_group_id"])))
        hit = random.Random(7).sample(everything, max(1, len(everything) // 100))
        for i, rule in enumerate(hit):
            if i % 2 == 0:
                self.cloud.network.delete(f"/security-group-rules/{rule['id']}").raise_for_status()
            else:
                ports = {"protocol": "tcp", "port_range_min": 20000 + i, "port_range_max": 20000 + i}
                stray = {"security_group_id": rule["security_group_id"], "direction": "ingress", "remote_ip_prefix": "192.0.2.0/24"}
                self.cloud.network.post("/security-group-rules", json={"security_group_rule": stray | ports}).raise_for_status()

    def mutating(self, calls):
        return sum(count for call, count in calls.items() if not call.startswith("GET "))

    def least(self, case, want, state):
        """The fewest calls that can do it: one to read; one to make 100 groups; one to add 100 rules of a group; one for each
        rule that goes; and where anything is written, one reading to see it."""
        if case.startswith("plan"):
            return 1
        calls = lambda number: -(-number // AT_ONCE)
        changes = sum(calls(len(want[g] - state.get(g, set()))) + len(state.get(g, set()) - want[g]) for g in want)
        return 2 + calls(len(want.keys() - state.keys())) + changes

    def wanted_of(self, plan):
        """The rules that a plan from empty adds, in the form of `sdk.py`."""
        wanted = {}
        for step in plan["steps"]:
            group = wanted.setdefault(step["security_group"], [])
            if step["action"] == "add_rules" and step["direction"] == "ingress":
                group += map(neutrons, step["rules"])
        return wanted

    def expected(self, wanted):
        """The same in the form of `state`."""
        return {name: sorted(text(rule, rule.get("remote_group")) for rule in rules) for name, rules in wanted.items()}

    def peers(self):
        script = lambda which: lambda *given: Script(*given, which)
        return {"tight": script("tight"), "plain": script("plain"), "ansible": Ansible}


def host(url):
    return url.split("/")[2]


def neutrons(rule):
    """A rule of a plan in Neutron's fields."""
    told = {"ethertype": {"ipv4": "IPv4", "ipv6": "IPv6"}[rule["family"]]}
    told |= {} if rule["protocol"] == "all" else {"protocol": rule["protocol"]}
    told |= {} if rule["from_port"] is None else {"port_range_min": rule["from_port"], "port_range_max": rule["to_port"]}
    group = rule["peer"].get("security_group")
    return told | ({"remote_group": group} if group else {"remote_ip_prefix": rule["peer"]["cidr"]})


def text(rule, peer):
    either = lambda field: "*" if rule.get(field) is None else rule[field]
    ports = f"{either('port_range_min')}-{either('port_range_max')}"
    return f"{rule['ethertype']} {either('protocol')} {ports} {rule.get('remote_ip_prefix') or peer or '*'}"


class Script:
    def __init__(self, folder, wanted, service, which):
        self.which, self.file = which, folder / "wanted.json"
        self.file.write_text(json.dumps(wanted))

    def command(self, case):
        return [sys.executable, HERE / "sdk.py", self.which, self.file, *(["check"] if case.startswith("plan") else [])]


class Ansible(Playbook):
    def __init__(self, folder, wanted, service):
        def task(name, **more):
            return {"name": name, "openstack.cloud.security_group": {"name": name, "description": name, **more}}

        def rule(told):
            return {{"ethertype": "ether_type"}.get(field, field): value for field, value in told.items()}

        # What isn't listed is removed.
        outbound = [{"direction": "egress", "ether_type": family} for family in ["IPv4", "IPv6"]]
        made = [task(name) for name in wanted]
        filled = [task(name, security_group_rules=outbound + [rule(one) for one in rules]) for name, rules in wanted.items()]
        super().__init__(folder, made, filled)
