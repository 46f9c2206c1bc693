"""Neutron by another client than ours, python-openstacksdk. Each line on stdin is a question, answered by a line on stdout.

A question is `[CLOUD, PROJECT, ACTION, ARGUMENTS...]`; without PROJECT it is the cloud's own. `groups` gives the project's
security groups as the SDK lists them, METHOD PATH [JSON] makes one call to Neutron, and `project NAME GROUPS RULES` makes a
project with quotas that the user `demo` is a member of. `domain-role` lets `demo` log in to its domain. `token` gives a
token, `whose` the project's id. `credential ROLE FILE` makes an application credential with the access rules of a file, and
gives its id; its secret is `secret`.
"""

import functools
import json
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


def domain_role(cloud):
    user, role = cloud.identity.find_user("demo", domain_id="default"), cloud.identity.find_role("member")
    cloud.identity.put(f"/domains/default/users/{user.id}/roles/{role.id}").raise_for_status()


def call(cloud, method, path, body="null"):
    answer = cloud.network.request(path, method, json=json.loads(body))
    if answer.status_code >= 300:
        sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer.json() if answer.text else None


@functools.cache
def connect(cloud, project):
    return openstack.connect(cloud=cloud, **({"project_name": project} if project else {}))


def answer(cloud, action, *arguments):
    match action:
        case "project":
            return project(cloud, *arguments)
        case "domain-role":
            return domain_role(cloud)
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


for line in sys.stdin:
    name, of_project, *question = json.loads(line)
    print(json.dumps(answer(connect(name, of_project), *question), default=str), flush=True)
