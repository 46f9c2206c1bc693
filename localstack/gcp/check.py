"""Google's own two clients against the server, doing all that rsgsync does: `check.py compute|discovery`.

`compute` is google-cloud-compute, `discovery` is google-api-python-client. Each check has a project of its own. Needs
the variables that `localstack/up gcp` exports.
"""

import json
import os
import sys
import time
import traceback
import urllib.request
import uuid

import google.auth
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.auth.transport.requests import Request
from google.cloud import compute_v1
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account
from google.protobuf import json_format
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

SERVER = os.environ["RSGSYNC_GCP_SERVER"]
ROOT = "https://www.googleapis.com/compute/v1/"


class Refused(Exception):
    """What a client raises for a refused request or a failed operation."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class Compute:
    """google-cloud-compute. It has no way to send an empty list, so that it clears lists by an update."""

    clears_by_patch = False

    def __init__(self, project, credentials):
        self.project = project
        options = {"credentials": credentials, "client_options": {"api_endpoint": SERVER}}
        self.rules = compute_v1.FirewallsClient(**options)
        self.networks = compute_v1.NetworksClient(**options)
        self.projects = compute_v1.ProjectsClient(**options)
        self.operations = compute_v1.GlobalOperationsClient(**options)
        self.policies = compute_v1.NetworkFirewallPoliciesClient(**options)
        self.machines = compute_v1.InstancesClient(**options)
        for client in (self.rules, self.networks, self.policies):
            # Else operations are polled at Google's own address.
            client._transport._extended_operations_services["global_operations"] = self.operations

    def call(self, method, **fields):
        try:
            return method(request={"project": self.project, **fields}, retry=None)
        except GoogleAPICallError as error:
            raise Refused(error.code, error.message) from error
        except GoogleAuthError as error:  # after a 401 it tries to get another token
            raise Refused(401, str(error)) from error

    def done(self, method, **fields):
        operation = self.call(method, **fields)
        try:
            operation.result(timeout=60)
        except GoogleAPICallError as error:
            raise Refused(error.code, str(error)) from error
        return operation.name

    def rule(self, fields):
        return json_format.ParseDict(fields, compute_v1.Firewall.pb(compute_v1.Firewall()))

    def pages(self, size, text=""):
        request = {"max_results": size, "filter": text}
        pager = self.call(self.rules.list, **request)
        return [[as_json(rule) for rule in page.items] for page in pager.pages]

    def get(self, name):
        return as_json(self.call(self.rules.get, firewall=name))

    def insert(self, fields, request_id=None):
        more = {"request_id": request_id} if request_id else {}
        return self.done(self.rules.insert, firewall_resource=self.rule(fields), **more)

    def patch(self, name, fields):
        return self.done(self.rules.patch, firewall=name, firewall_resource=self.rule(fields))

    def update(self, name, fields):
        return self.done(self.rules.update, firewall=name, firewall_resource=self.rule(fields))

    def delete(self, name):
        return self.done(self.rules.delete, firewall=name)

    def operation(self, name):
        return as_json(self.call(self.operations.wait, operation=name))

    def quotas(self):
        return as_json(self.call(self.projects.get))["quotas"]

    def network(self, name):
        return as_json(self.call(self.networks.get, network=name))

    def network_names(self):
        return [network.name for network in self.call(self.networks.list)]

    def effective(self, name):
        return as_json(self.call(self.networks.get_effective_firewalls, network=name))

    def zones(self, size):
        pages = self.call(self.machines.aggregated_list, max_results=size).pages
        return [{zone: as_json(scoped) for zone, scoped in page.items.items()} for page in pages]

    def insert_policy(self, name):
        self.done(self.policies.insert, firewall_policy_resource={"name": name})

    def get_policy(self, name):
        return as_json(self.call(self.policies.get, firewall_policy=name))

    def patch_policy(self, name, fields):
        body = json_format.ParseDict(fields, compute_v1.FirewallPolicy.pb(compute_v1.FirewallPolicy()))
        self.done(self.policies.patch, firewall_policy=name, firewall_policy_resource=body)

    def add_policy_rule(self, name, fields):
        body = json_format.ParseDict(fields, compute_v1.FirewallPolicyRule.pb(compute_v1.FirewallPolicyRule()))
        self.done(self.policies.add_rule, firewall_policy=name, firewall_policy_rule_resource=body)

    def remove_policy_rule(self, name, priority):
        self.done(self.policies.remove_rule, firewall_policy=name, priority=priority)

    def get_policy_rule(self, name, priority):
        return as_json(self.call(self.policies.get_rule, firewall_policy=name, priority=priority))

    def associate(self, name, network):
        body = {"name": "association", "attachment_target": network}
        self.done(self.policies.add_association, firewall_policy=name, firewall_policy_association_resource=body)


class Discovery:
    """google-api-python-client."""

    clears_by_patch = True

    def __init__(self, project, credentials):
        self.project = project
        options = ClientOptions(api_endpoint=f"{SERVER}/compute/v1/")
        self.api = build("compute", "v1", credentials=credentials, static_discovery=True, client_options=options)
        self.rules = self.api.firewalls()
        self.policies = self.api.networkFirewallPolicies()

    def call(self, request):
        try:
            return request.execute()
        except HttpError as error:
            raise Refused(error.status_code, error.reason) from error
        except GoogleAuthError as error:  # after a 401 it tries to get another token
            raise Refused(401, str(error)) from error

    def done(self, request):
        operation = self.call(request)
        while operation["status"] != "DONE":
            operation = self.operation(operation["name"])
        if "error" in operation:
            errors = operation["error"]["errors"]
            raise Refused(operation["httpErrorStatusCode"], f"{errors[0]['code']}: {errors[0]['message']}")
        return operation["name"]

    def pages(self, size, text=""):
        pages, request = [], self.rules.list(project=self.project, maxResults=size, filter=text)
        while request is not None:
            page = self.call(request)
            pages.append(page.get("items", []))
            request = self.rules.list_next(request, page)
        return pages

    def get(self, name):
        return self.call(self.rules.get(project=self.project, firewall=name))

    def insert(self, fields, request_id=None):
        return self.done(self.rules.insert(project=self.project, body=fields, requestId=request_id))

    def patch(self, name, fields):
        return self.done(self.rules.patch(project=self.project, firewall=name, body=fields))

    def update(self, name, fields):
        return self.done(self.rules.update(project=self.project, firewall=name, body=fields))

    def delete(self, name):
        return self.done(self.rules.delete(project=self.project, firewall=name))

    def operation(self, name):
        return self.call(self.api.globalOperations().wait(project=self.project, operation=name))

    def quotas(self):
        return self.call(self.api.projects().get(project=self.project))["quotas"]

    def network(self, name):
        return self.call(self.api.networks().get(project=self.project, network=name))

    def network_names(self):
        return [network["name"] for network in self.call(self.api.networks().list(project=self.project))["items"]]

    def effective(self, name):
        return self.call(self.api.networks().getEffectiveFirewalls(project=self.project, network=name))

    def zones(self, size):
        machines, pages = self.api.instances(), []
        request = machines.aggregatedList(project=self.project, maxResults=size)
        while request is not None:
            page = self.call(request)
            pages.append(page["items"])
            request = machines.aggregatedList_next(request, page)
        return pages

    def insert_policy(self, name):
        self.done(self.policies.insert(project=self.project, body={"name": name}))

    def get_policy(self, name):
        return self.call(self.policies.get(project=self.project, firewallPolicy=name))

    def patch_policy(self, name, fields):
        self.done(self.policies.patch(project=self.project, firewallPolicy=name, body=fields))

    def add_policy_rule(self, name, fields):
        self.done(self.policies.addRule(project=self.project, firewallPolicy=name, body=fields))

    def remove_policy_rule(self, name, priority):
        self.done(self.policies.removeRule(project=self.project, firewallPolicy=name, priority=priority))

    def get_policy_rule(self, name, priority):
        return self.call(self.policies.getRule(project=self.project, firewallPolicy=name, priority=priority))

    def associate(self, name, network):
        body = {"name": "association", "attachmentTarget": network}
        self.done(self.policies.addAssociation(project=self.project, firewallPolicy=name, body=body))


def as_json(message):
    return json_format.MessageToDict(type(message).pb(message))


def control(verb, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{SERVER}/control/{path}", data=data, method=verb)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return json.load(answer)


def fault(client, then, **which):
    control("POST", "faults", {"project": client.project, "then": then, **which})


def settings(client, **what):
    control("POST", f"settings?project={client.project}", what)


def log(client):
    return control("GET", f"log?project={client.project}")


def refused(status, text, act, *arguments, **named):
    try:
        act(*arguments, **named)
    except Refused as error:
        assert error.status == status and text in error.text, f"expected {status} {text}, got {error}"
    else:
        raise AssertionError(f"not refused: {act.__name__}{arguments}")


def rule(name, **fields):
    """A rule that every instance tagged `node` is a target of; None leaves a field out."""
    fields = {
        "allowed": [{"IPProtocol": "tcp", "ports": ["22", "8000-8080"]}],
        "sourceRanges": ["10.0.0.0/8"],
        "targetTags": ["node"],
        **fields,
    }
    return {"name": name} | {field: value for field, value in fields.items() if value is not None}


def names(rules):
    return [rule["name"] for rule in rules]


DEFAULT = [f"default-allow-{name}" for name in ("icmp", "internal", "rdp", "ssh")]


def any_project_exists_with_a_default_network(client):
    assert client.network_names() == ["default"]
    link = f"{ROOT}projects/{client.project}/global/networks/default"
    assert client.network("default")["selfLink"] == link
    assert client.network("default")["networkFirewallPolicyEnforcementOrder"] == "AFTER_CLASSIC_FIREWALL"
    (rules,) = client.pages(500)
    assert names(rules) == DEFAULT
    assert all(rule["priority"] == 65534 and rule["network"] == link for rule in rules)
    (quota,) = [quota for quota in client.quotas() if quota["metric"] == "FIREWALLS"]
    assert (quota["limit"], quota["usage"]) == (200, 4)


def a_rule_is_stored_in_its_normal_form(client):
    sent = rule("a", network="global/networks/default", sourceTags=["web"])
    operation = client.operation(client.insert(sent))
    assert operation["operationType"] == "insert" and operation["progress"] == 100 and operation["endTime"]
    assert operation["targetLink"] == f"{ROOT}projects/{client.project}/global/firewalls/a"
    stored = client.get("a")
    assert stored["id"] == operation["targetId"] and stored["id"].isdecimal()
    filled = {
        "kind": "compute#firewall",
        "description": "",
        "direction": "INGRESS",
        "disabled": False,
        "priority": 1000,
        "logConfig": {"enable": False},
        "network": f"{ROOT}projects/{client.project}/global/networks/default",
        "selfLink": f"{ROOT}projects/{client.project}/global/firewalls/a",
    }
    for field in ("id", "creationTimestamp", "enableLogging"):
        stored.pop(field, None)
    assert stored == {**sent, **filled}, stored


def order_and_split_of_protocols_are_kept(client):
    allowed = [{"IPProtocol": p, **({"ports": ports} if ports else {})} for p, ports in (
        ("udp", ["53"]), ("tcp", ["443"]), ("tcp", ["80"]), ("58", []), ("6", ["1-2"]), ("esp", []))]
    client.insert(rule("a", allowed=allowed))
    assert client.get("a")["allowed"] == allowed


def without_a_source_a_rule_is_open_to_the_world(client):
    client.insert(rule("a", sourceRanges=None))
    assert client.get("a")["sourceRanges"] == ["0.0.0.0/0"]
    client.insert(rule("out", sourceRanges=None, direction="EGRESS"))
    assert client.get("out")["destinationRanges"] == ["0.0.0.0/0"]
    client.insert(rule("b"))
    if client.clears_by_patch:
        client.patch("b", {"sourceRanges": []})
    else:
        client.update("b", rule("b", sourceRanges=None))
    assert client.get("b")["sourceRanges"] == ["0.0.0.0/0"]


def without_targets_a_rule_is_for_every_instance(client):
    client.insert(rule("a", targetTags=None))
    assert "targetTags" not in client.get("a") and "targetServiceAccounts" not in client.get("a")


def a_patch_replaces_what_it_names(client):
    client.insert(rule("a", description="before", sourceTags=["web"]))
    before = client.get("a")
    operation = client.operation(client.patch("a", {"allowed": [{"IPProtocol": "icmp"}], "disabled": True}))
    assert operation["operationType"] == "patch" and operation["targetId"] == before["id"]
    assert client.get("a") == {**before, "allowed": [{"IPProtocol": "icmp"}], "disabled": True}


def ranges_become_tags_at_once(client):
    client.insert(rule("a"))
    if client.clears_by_patch:
        client.patch("a", {"sourceTags": ["web"]})
        assert client.get("a")["sourceRanges"] == ["10.0.0.0/8"], "a field that is left out stays"
        client.patch("a", {"sourceRanges": [], "sourceTags": ["web"]})
    else:
        client.update("a", rule("a", sourceRanges=None, sourceTags=["web"]))
    assert "sourceRanges" not in client.get("a") and client.get("a")["sourceTags"] == ["web"]


def an_update_resets_what_it_leaves_out(client):
    client.insert(rule("a", description="before", priority=7))
    before = client.get("a")
    client.update("a", rule("a"))
    assert client.get("a") == {**before, "description": "", "priority": 1000}


def identity_and_action_stay(client):
    client.insert(rule("a"))
    denied = [{"IPProtocol": "all"}]
    for fields in ({"direction": "EGRESS"}, {"name": "b"}):
        refused(400, "Unsupported update operation", client.patch, "a", fields)
    refused(400, "both allowed and denied", client.patch, "a", {"denied": denied})
    refused(400, "Unsupported update operation", client.update, "a", rule("a", allowed=None, denied=denied))


def lists_come_in_pages(client):
    for name in ("a", "b", "c", "d", "e"):
        client.insert(rule(name))
    pages = client.pages(2)
    assert [len(page) for page in pages] == [2, 2, 2, 2, 1]
    assert sorted(names(sum(pages, []))) == sorted(["a", "b", "c", "d", "e", *DEFAULT])
    settings(client, pageSize=4)
    assert [len(page) for page in client.pages(500)] == [4, 4, 1]


def lists_are_filtered(client):
    network = f"{ROOT}projects/{client.project}/global/networks/default"
    client.insert(rule("rsgsync-a"))
    client.insert(rule("rsgsync-b", priority=5, sourceTags=["web"]))
    for text, expected in (
        ("name=rsgsync-a", ["rsgsync-a"]),
        ('name = "rsgsync-a"', ["rsgsync-a"]),
        ("name!=rsgsync-a", [*DEFAULT, "rsgsync-b"]),
        (f'network="{network}"', [*DEFAULT, "rsgsync-a", "rsgsync-b"]),
        (f'network="{network}x"', []),
        ("name eq rsgsync-.*", ["rsgsync-a", "rsgsync-b"]),
        ("name eq rsgsync", []),
        ('name ne "default.*"', ["rsgsync-a", "rsgsync-b"]),
        (f'(network="{network}") AND (priority<10)', ["rsgsync-b"]),
        ("(priority=5) (name=rsgsync-a)", []),
        ("(priority=5) OR (name=rsgsync-a)", ["rsgsync-a", "rsgsync-b"]),
        ("sourceTags:web", ["rsgsync-b"]),
        ("NOT name:default", ["rsgsync-a", "rsgsync-b"]),
    ):
        found = sorted(names(sum(client.pages(500, text), [])))
        assert found == expected, f"{text}: {found}"
    refused(400, "filter", client.pages, 500, "name=")


def what_is_not_there_is_not_found(client):
    missing = f"The resource 'projects/{client.project}/global/firewalls/a' was not found"
    for act in (client.get, client.delete):
        refused(404, missing, act, "a")
    refused(404, missing, client.patch, "a", {"disabled": True})
    refused(404, "networks/other' was not found", client.insert, rule("a", network="global/networks/other"))
    refused(404, "was not found", client.operation, "operation-1")


def names_are_taken_once(client):
    client.insert(rule("a"))
    refused(409, f"The resource 'projects/{client.project}/global/firewalls/a' already exists", client.insert, rule("a"))
    client.delete("a")
    refused(404, "was not found", client.get, "a")
    client.insert(rule("a"))


def wrong_rules_are_refused(client):
    accounts = ["x@p.iam.gserviceaccount.com"]
    for fields, text in (
        ({"name": "Upper"}, "resource.name"),
        ({"name": "a" * 64}, "resource.name"),
        ({"sourceRanges": ["10.0.0.1/8"]}, "resource.sourceRanges[0]"),
        ({"sourceRanges": ["10.0.0.0/8", "fd00::/8"]}, "IPv4 and IPv6"),
        ({"sourceRanges": ["anywhere"]}, "CIDR"),
        ({"sourceTags": ["-"]}, "resource.sourceTags[0]"),
        ({"sourceServiceAccounts": accounts}, "cannot be specified in the same firewall"),
        ({"targetTags": None, "targetServiceAccounts": accounts, "sourceTags": ["a"]}, "cannot be specified"),
        ({"direction": "EGRESS", "sourceTags": ["a"]}, "egress"),
        ({"allowed": None}, "at least one of allowed or denied"),
        ({"denied": [{"IPProtocol": "tcp"}]}, "both allowed and denied"),
        ({"allowed": [{"IPProtocol": "tcpp"}]}, "IPProtocol"),
        ({"allowed": [{"IPProtocol": "256"}]}, "IPProtocol"),
        ({"allowed": [{"IPProtocol": "icmp", "ports": ["8"]}]}, "Ports may only"),
        ({"allowed": [{"IPProtocol": "tcp", "ports": ["65536"]}]}, "ports[0]"),
        ({"allowed": [{"IPProtocol": "tcp", "ports": ["20-10"]}]}, "ports[0]"),
        ({"priority": 65536}, "resource.priority"),
        ({"description": "x" * 2049}, "resource.description"),
        ({"network": "default"}, "malformed"),
        ({"network": "projects/other/global/networks/default"}, "Cross-project"),
    ):
        refused(400, text, client.insert, rule(**{"name": "a", **fields}))
    assert names(sum(client.pages(500), [])) == DEFAULT


def lists_have_a_greatest_length(client):
    ranges = [f"10.{i // 256}.{i % 256}.0/24" for i in range(5001)]
    client.insert(rule("a", sourceRanges=ranges[:5000]))
    for fields, maximum in (
        ({"sourceRanges": ranges}, 5000),
        ({"sourceTags": [f"t{i}" for i in range(31)]}, 30),
        ({"targetTags": [f"t{i}" for i in range(71)]}, 70),
        ({"targetTags": None, "targetServiceAccounts": [f"x{i}@p.com" for i in range(11)]}, 10),
    ):
        refused(413, f"maximum size {maximum} element(s)", client.insert, rule("b", **fields))


def a_full_quota_fails_the_operation(client):
    settings(client, quotas={"FIREWALLS": 5})
    client.insert(rule("a"))
    refused(403, "Quota 'FIREWALLS' exceeded.  Limit: 5.0 globally.", client.insert, rule("b"))
    refused(404, "was not found", client.get, "b")
    (quota,) = [quota for quota in client.quotas() if quota["metric"] == "FIREWALLS"]
    assert (quota["limit"], quota["usage"]) == (5, 5)


def operations_can_fail_late(client):
    failure = {"failOperation": {"code": "RESOURCE_NOT_READY", "message": "try again", "status": 400}}
    fault(client, failure, method="firewalls.insert")
    fault(client, {"slow": {"looks": 3}}, method="firewalls.insert")
    refused(400, "try again", client.insert, rule("a"))
    refused(404, "was not found", client.get, "a")
    client.insert(rule("a"))


def slow_operations_end(client):
    fault(client, {"slow": {"looks": 2}}, method="firewalls.insert")
    fault(client, {"delay": {"milliseconds": 300}}, method="firewalls.delete")
    client.insert(rule("a"))
    start = time.monotonic()
    client.delete("a")
    assert time.monotonic() - start >= 0.3


def a_request_id_is_carried_out_once(client):
    request = str(uuid.uuid4())
    first = client.insert(rule("a"), request)
    assert client.insert(rule("a"), request) == first
    for wrong in ("0", str(uuid.UUID(int=0))):
        refused(400, "requestId", client.insert, rule("b"), wrong)


def refusals_on_demand(client):
    for then, status, text in (
        ({"error": {"status": 503, "retryAfter": 1}}, 503, "Internal error"),
        ({"error": {"status": 500, "message": "oops"}}, 500, "oops"),
        ({"rateLimit": {}}, 403, "Quota exceeded"),
        ("concurrentOperations", 403, "Quota exceeded"),
        ("deny", 403, "Required 'compute.firewalls.get' permission"),
        ("expireToken", 401, ""),
    ):
        fault(client, then, method="firewalls.get", name="default-allow-ssh")
        assert client.get("default-allow-rdp")
        refused(status, text, client.get, "default-allow-ssh")
        assert client.get("default-allow-ssh")


def others_write_between_two_calls(client):
    client.insert(rule("a"))
    fault(client, {"writeAfter": {"firewall": "a", "body": {"disabled": True}}}, method="firewalls.get")
    fault(client, {"writeBefore": {"firewall": "b", "body": rule("b")}}, method="firewalls.list")
    fault(client, {"writeAfter": {"firewall": "b"}}, method="firewalls.list", skip=1)
    assert not client.get("a")["disabled"]
    assert client.get("a")["disabled"]
    assert [len(sum(client.pages(500), [])) for _ in range(3)] == [6, 6, 5]


def policies_hold_for_networks(client):
    network = client.network("default")["selfLink"]
    assert names(client.effective("default")["firewalls"]) == DEFAULT
    client.insert_policy("policy")
    assert client.get_policy("policy")["ruleTupleCount"] == 8
    matches = {"srcIpRanges": ["10.0.0.0/8"], "layer4Configs": [{"ipProtocol": "tcp", "ports": ["22"]}]}
    deny = {"priority": 10, "action": "deny", "direction": "INGRESS", "match": matches}
    client.add_policy_rule("policy", deny)
    refused(400, "same priority", client.add_policy_rule, "policy", deny)
    assert client.get_policy_rule("policy", 10)["action"] == "deny"
    assert not client.effective("default").get("firewallPolicys")
    client.associate("policy", network)
    (policy,) = client.effective("default")["firewallPolicys"]
    assert policy["type"] == "NETWORK" and policy["name"] == "policy"
    assert [rule["priority"] for rule in policy["rules"]] == [10, *range(2147483644, 2147483648)]
    refused(412, "Invalid fingerprint", client.patch_policy, "policy", {"description": "x", "fingerprint": "AAAAAAAAAAA="})
    fingerprint = client.get_policy("policy")["fingerprint"]
    client.patch_policy("policy", {"description": "x", "fingerprint": fingerprint})
    assert client.get_policy("policy")["fingerprint"] != fingerprint
    client.remove_policy_rule("policy", 10)
    refused(400, "does not contain a rule at priority 10", client.get_policy_rule, "policy", 10)
    above = {"type": "HIERARCHY", "name": "1234", "rules": [deny]}
    settings(client, inherited={"default": [above]})
    assert [policy["type"] for policy in client.effective("default")["firewallPolicys"]] == ["HIERARCHY", "NETWORK"]


def instances_are_listed_by_zone(client):
    link = "global/networks/default"
    others = "projects/host/global/networks/default"
    account = "nodes@demo.iam.gserviceaccount.com"
    node = {"name": "node", "tags": {"items": ["node"]}, "networkInterfaces": [{"network": link}, {"network": others}]}
    alone = {"name": "alone", "serviceAccounts": [{"email": account}], "networkInterfaces": [{}]}
    settings(client, instances={"europe-west1-b": [node], "us-east1-c": [alone, {**alone, "name": "z"}]})
    (page,) = client.zones(500)
    assert page["zones/europe-west1-c"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    (found,) = page["zones/europe-west1-b"]["instances"]
    assert found["tags"]["items"] == ["node"] and found["status"] == "RUNNING" and found["id"].isdecimal()
    own = f"{ROOT}projects/{client.project}"
    assert found["selfLink"] == f"{own}/zones/europe-west1-b/instances/node"
    assert found["zone"] == f"{own}/zones/europe-west1-b"
    assert [nic["network"] for nic in found["networkInterfaces"]] == [f"{own}/{link}", f"{ROOT}{others}"]
    first, second = page["zones/us-east1-c"]["instances"]
    assert first["serviceAccounts"] == [{"email": account}] and "items" not in first["tags"]
    assert first["networkInterfaces"][0]["network"] == f"{own}/{link}"
    pages = [
        sorted(found["name"] for scope in page.values() for found in scope.get("instances", []))
        for page in client.zones(2)
    ]
    assert pages == [["alone", "node"], ["z"]], pages
    settings(client, instances={"us-east1-c": []})
    assert "warning" in client.zones(500)[0]["zones/us-east1-c"]


def requests_are_counted(client):
    client.insert(rule("a"))
    client.pages(500)
    counts = log(client)["counts"]
    assert counts["firewalls.insert"] == 1 and counts["firewalls.list"] == 1, counts
    assert {request["caller"] for request in log(client)["requests"]} == {"nobody"}
    control("DELETE", f"log?project={client.project}")
    assert log(client)["requests"] == []
    control("POST", f"reset?project={client.project}")
    refused(404, "was not found", client.get, "a")


def credentials_are_checked_when_strict(client):
    settings(client, strict=True)
    refused(401, "", client.get, "default-allow-ssh")
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/compute"])
    known = type(client)(client.project, credentials)
    assert known.get("default-allow-ssh")
    assert log(client)["requests"][-1]["caller"] == credentials.service_account_email


def tokens_are_exchanged_and_expire(client):
    settings(client, strict=True)
    scopes = ["https://www.googleapis.com/auth/compute"]
    with open(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]) as file:
        key = json.load(file)
    assert key["token_uri"] == f"{SERVER}/token"
    key["token_uri"] += "/2"  # seconds
    account = service_account.Credentials.from_service_account_info(key, scopes=scopes)
    account.refresh(Request())
    known = type(client)(client.project, user_credentials.Credentials(account.token))
    assert known.get("default-allow-ssh")
    time.sleep(2)
    refused(401, "", known.get, "default-allow-ssh")
    account.refresh(Request())
    known = type(client)(client.project, user_credentials.Credentials(account.token))
    fault(client, "expireToken")
    for _ in range(2):
        refused(401, "", known.get, "default-allow-ssh")
    key["client_email"] = "other@demo.iam.gserviceaccount.com"
    other = service_account.Credentials.from_service_account_info(key, scopes=scopes)
    try:
        other.refresh(Request())
    except RefreshError as error:
        assert "account not found" in str(error)
    else:
        raise AssertionError("a token for an account that isn't there")


CHECKS = [
    any_project_exists_with_a_default_network,
    a_rule_is_stored_in_its_normal_form,
    order_and_split_of_protocols_are_kept,
    without_a_source_a_rule_is_open_to_the_world,
    without_targets_a_rule_is_for_every_instance,
    a_patch_replaces_what_it_names,
    ranges_become_tags_at_once,
    an_update_resets_what_it_leaves_out,
    identity_and_action_stay,
    lists_come_in_pages,
    lists_are_filtered,
    what_is_not_there_is_not_found,
    names_are_taken_once,
    wrong_rules_are_refused,
    lists_have_a_greatest_length,
    a_full_quota_fails_the_operation,
    operations_can_fail_late,
    slow_operations_end,
    a_request_id_is_carried_out_once,
    refusals_on_demand,
    others_write_between_two_calls,
    policies_hold_for_networks,
    instances_are_listed_by_zone,
    requests_are_counted,
    credentials_are_checked_when_strict,
    tokens_are_exchanged_and_expire,
]


def main():
    kind = {"compute": Compute, "discovery": Discovery}[sys.argv[1]]
    failed = 0
    for check in CHECKS:
        client = kind(f"check-{uuid.uuid4().hex[:12]}", AnonymousCredentials())
        try:
            check(client)
        except Exception as error:  # the other checks run as well
            failed += 1
            traceback.print_exc()
            print(f"FAILED {check.__name__}: {error}", file=sys.stderr)
        else:
            print(f"ok {check.__name__}")
        control("POST", f"reset?project={client.project}")
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks hold for {kind.__doc__.split('.')[0]}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
