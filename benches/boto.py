"""Two boto3 scripts that make security groups as a file says: `plain`, as a person writes one, and `tight`, with the fewest
calls. Arguments: which, the file, and `check` to change nothing.

The file: {group: [[protocol, from, to, {"cidr": …} or {"group": …}], …]}, ingress rules alone.
"""

import json
import sys

import boto3
from botocore.exceptions import ClientError

ec2 = boto3.client("ec2")


def permission(rule, ids):
    protocol, first, last, peer = rule
    ports = {} if first is None else {"FromPort": first, "ToPort": last}
    if "group" in peer:
        to = {"UserIdGroupPairs": [{"GroupId": ids[peer["group"]]}]}
    elif ":" in peer["cidr"]:
        to = {"Ipv6Ranges": [{"CidrIpv6": peer["cidr"]}]}
    else:
        to = {"IpRanges": [{"CidrIp": peer["cidr"]}]}
    return {"IpProtocol": protocol, **ports, **to}


def keys(permission):
    """A permission of EC2's, one key a peer."""
    traffic = (permission["IpProtocol"], permission.get("FromPort"), permission.get("ToPort"))
    for pair in permission.get("UserIdGroupPairs", []):
        yield (*traffic, "group", pair["GroupId"])
    for entry in permission.get("IpRanges", []):
        yield (*traffic, "cidr", entry["CidrIp"])
    for entry in permission.get("Ipv6Ranges", []):
        yield (*traffic, "cidr", entry["CidrIpv6"])


def alone(key):
    protocol, first, last, kind, peer = key
    return permission([protocol, first, last, {kind: peer}], {peer: peer})


def plain(wanted, change):
    ids = {}
    for name in wanted:
        try:
            ids[name] = ec2.describe_security_groups(GroupNames=[name])["SecurityGroups"][0]["GroupId"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidGroup.NotFound":
                raise
            if change:
                ids[name] = ec2.create_security_group(GroupName=name, Description=name)["GroupId"]
    for name in ids if change or len(ids) == len(wanted) else []:
        found = ec2.describe_security_groups(GroupIds=[ids[name]])["SecurityGroups"][0]["IpPermissions"]
        have = {key for one in found for key in keys(one)}
        want = {key for rule in wanted[name] for key in keys(permission(rule, ids))}
        for key in sorted(want - have, key=str) if change else []:
            ec2.authorize_security_group_ingress(GroupId=ids[name], IpPermissions=[alone(key)])
        for key in sorted(have - want, key=str) if change else []:
            ec2.revoke_security_group_ingress(GroupId=ids[name], IpPermissions=[alone(key)])


def tight(wanted, change):
    pages = ec2.get_paginator("describe_security_groups").paginate(PaginationConfig={"PageSize": 1000})
    found = {group["GroupName"]: group for page in pages for group in page["SecurityGroups"] if group["GroupName"] in wanted}
    ids = {name: group["GroupId"] for name, group in found.items()}
    for name in wanted if change else []:
        if name not in ids:
            ids[name] = ec2.create_security_group(GroupName=name, Description=name)["GroupId"]
    for name in ids:
        have = {key for one in found.get(name, {}).get("IpPermissions", []) for key in keys(one)}
        known = len(ids) == len(wanted)
        want = {key for rule in wanted[name] for key in keys(permission(rule, ids))} if known else set()
        if not change:
            continue
        if want - have:
            ec2.authorize_security_group_ingress(GroupId=ids[name], IpPermissions=[alone(key) for key in want - have])
        if have - want:
            ec2.revoke_security_group_ingress(GroupId=ids[name], IpPermissions=[alone(key) for key in have - want])


which, file, *check = sys.argv[1:]
with open(file) as text:
    {"plain": plain, "tight": tight}[which](json.load(text), not check)
