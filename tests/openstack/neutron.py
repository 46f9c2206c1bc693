"""Neutron by another client than ours, python-openstacksdk.

`neutron.py groups` prints the project's security groups as the SDK lists them, `neutron.py METHOD PATH [JSON]` makes one
call, and `neutron.py project NAME GROUPS RULES` makes a project with quotas that the user `demo` is a member of. `token`
prints a token, `whose` the project's id. `credential ROLE FILE` makes an application credential with the access rules of a
file, and prints its id; its secret is `secret`. The cloud is `OS_CLOUD`, the project `PROJECT`, where it is set.
"""

import json
import os
import sys

import openstack


def project(cloud, name, groups, rules):
    made = cloud.identity.create_project(name=name, domain_id="default")
    user = cloud.identity.find_user("demo", domain_id="default")
    cloud.identity.assign_project_role_to_user(made, user, cloud.identity.find_role("member"))
    quota = {"security_group": int(groups), "security_group_rule": int(rules)}
    cloud.network.put(f"/quotas/{made.id}", json={"quota": quota}).raise_for_status()
    return {"id": made.id}


def credential(cloud, role, file):
    with open(file) as rules:
        made = cloud.identity.create_application_credential(
            cloud.current_user_id,
            name=f"{role} {cloud.current_project_id}",
            secret="secret",
            roles=[{"name": role}],
            access_rules=json.load(rules),
        )
    return made.id


def call(cloud, method, path, body="null"):
    answer = cloud.network.request(path, method, json=json.loads(body))
    if answer.status_code >= 300:
        sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer.json() if answer.text else None


def main(action, *arguments):
    scope = {"project_name": os.environ["PROJECT"]} if os.environ.get("PROJECT") else {}
    cloud = openstack.connect(**scope)
    match action:
        case "project":
            return project(cloud, *arguments)
        case "groups":
            groups = cloud.network.security_groups(project_id=cloud.current_project_id)
            return [group.to_dict(computed=False) for group in groups]
        case "token":
            return cloud.session.get_token()
        case "credential":
            return credential(cloud, *arguments)
        case "whose":
            return cloud.current_project_id
        case _:
            return call(cloud, action, *arguments)


print(json.dumps(main(*sys.argv[1:]), default=str))
