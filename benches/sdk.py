"""Two scripts on openstacksdk that make security groups as a file says: `plain`, as a person writes one, and `tight`, with
the fewest calls. Arguments: which, the file, and `check` to change nothing.

The file: {group: [rule, …]}, ingress rules alone, in Neutron's own fields, but `remote_group` names a group.
"""

import json
import sys

import openstack

# Groups, and rules of a group, in one call: what a busy Neutron answers before clients give up.
AT_ONCE = 100

FIELDS = ["ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix"]


def key(rule, remote_group):
    return (*(rule.get(field) for field in FIELDS), remote_group)


def alone(key):
    """The rule of a key, in Neutron's fields."""
    *values, group = key
    told = {**dict(zip(FIELDS, values)), "remote_group_id": group}
    return {"direction": "ingress", **{field: value for field, value in told.items() if value is not None}}


def wishes(rules, ids):
    return {key(rule, ids[rule["remote_group"]] if "remote_group" in rule else None) for rule in rules}


def stands(rules):
    """Ingress rules by key, with their ids."""
    return {key(rule, rule["remote_group_id"]): rule["id"] for rule in rules if rule["direction"] == "ingress"}


def plain(cloud, wanted, change):
    groups = {}
    for name in wanted:
        groups[name] = cloud.network.find_security_group(name)
        if groups[name] is None and change:
            groups[name] = cloud.network.create_security_group(name=name, description=name)
    if None in groups.values():
        return
    ids = {name: group.id for name, group in groups.items()}
    for name, rules in wanted.items():
        have, want = stands(groups[name].security_group_rules), wishes(rules, ids)
        for missing in sorted(want - have.keys(), key=str) if change else []:
            cloud.network.create_security_group_rule(security_group_id=ids[name], **sdk_names(alone(missing)))
        for extra in sorted(have.keys() - want, key=str) if change else []:
            cloud.network.delete_security_group_rule(have[extra])


def sdk_names(rule):
    return {{"ethertype": "ether_type"}.get(field, field): value for field, value in rule.items()}


def tight(cloud, wanted, change):
    # Through the session, since `cloud.network` asks first which versions there are.
    neutron = cloud.config.get_endpoint("network")

    def call(method, path, body=None):
        answer = cloud.session.request(f"{neutron}/v2.0{path}", method, json=body)
        return answer.json() if answer.content else None

    def groups():
        listed = call("GET", "/security-groups")["security_groups"]
        return {group["name"]: group for group in listed if group["name"] in wanted}

    def differences(found):
        """Of each group, the rules that are missing, and the ids of those that are too much."""
        ids = {name: group["id"] for name, group in found.items()}
        for name, group in found.items():
            have, want = stands(group["security_group_rules"]), wishes(wanted[name], ids)
            yield ids[name], sorted(want - have.keys(), key=str), [have[extra] for extra in have.keys() - want]

    found = groups()
    new = [name for name in wanted if name not in found]
    if not change:
        return None if new else list(differences(found))
    for some in parts(new):
        made = call("POST", "/security-groups", {"security_groups": [{"name": name, "description": name} for name in some]})
        found |= {group["name"]: group for group in made["security_groups"]}
    for group, missing, extra in differences(found):
        for some in parts(missing):
            rules = [{"security_group_id": group, **alone(rule)} for rule in some]
            call("POST", "/security-group-rules", {"security_group_rules": rules})
        for rule in extra:
            call("DELETE", f"/security-group-rules/{rule}")
    if any(missing or extra for _, missing, extra in differences(groups())):
        sys.exit("the rules are not what they should be")


def parts(all):
    return [all[i : i + AT_ONCE] for i in range(0, len(all), AT_ONCE)]


if __name__ == "__main__":
    which, file, *check = sys.argv[1:]
    with open(file) as text:
        {"plain": plain, "tight": tight}[which](openstack.connect(), json.load(text), not check)
