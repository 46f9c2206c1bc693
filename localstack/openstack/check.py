"""Whether the cloud serves its main user. Arguments: clouds.yaml, and `keystone` to log in only or `neutron` to list, too."""

import json
import sys
from urllib.request import ProxyHandler, Request, build_opener

import yaml

clouds_file, service = sys.argv[1:]
direct = build_opener(ProxyHandler({}))  # proxies must not matter

with open(clouds_file) as f:
    auth = yaml.safe_load(f)["clouds"]["demo"]["auth"]
user = {"name": auth["username"], "domain": {"name": auth["user_domain_name"]}, "password": auth["password"]}
project = {"name": auth["project_name"], "domain": {"name": auth["project_domain_name"]}}
body = {
    "auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": project},
    }
}
login = Request(auth["auth_url"] + "/auth/tokens", json.dumps(body).encode(), {"Content-Type": "application/json"})
with direct.open(login, timeout=5) as answer:
    token = answer.headers["X-Subject-Token"]
    catalog = json.load(answer)["token"]["catalog"]

if service == "neutron":
    network = next(entry["endpoints"][0]["url"] for entry in catalog if entry["type"] == "network")
    # Not the security groups: a project's first look at them makes its default group.
    direct.open(Request(network + "/v2.0/networks", headers={"X-Auth-Token": token}), timeout=5)
