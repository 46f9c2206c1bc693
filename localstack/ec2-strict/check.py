"""boto3 against the strict EC2 server and against LocalStack.

AGREED: the same calls on both; their answers must be the same, but for what LocalStack leaves out. STRICT: what AWS
documents and LocalStack does otherwise; asserted of our server alone. Needs the variables that `localstack/up ec2-strict`
and then `localstack/up aws` export. Each check has accounts of its own.
"""

import difflib
import http.client
import itertools
import json
import os
import re
import sys
import time
import traceback
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

OURS = os.environ["RSGSYNC_EC2_STRICT"]
LOCALSTACK = os.environ["AWS_ENDPOINT_URL"]
ACCOUNTS = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000 * 1000)
# What AWS tells and LocalStack doesn't; that ours does is a check of its own.
LEFT_OUT = {"GroupOwnerId", "SecurityGroupRuleArn", "RevokedSecurityGroupRules", "UnknownIpPermissions", "Return"}


class Client:
    """boto3, with the number of the account."""

    def __init__(self, endpoint, account=None, patience=60):
        self.account = account or f"{next(ACCOUNTS):012}"
        self.ec2 = boto3.client(
            "ec2",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.account,
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=patience, parameter_validation=False),
        )

    def __getattr__(self, action):
        return getattr(self.ec2, action)

    def group(self, name="web", **more):
        return self.create_security_group(GroupName=name, Description="for checks", **more)["GroupId"]

    def vpc(self):
        return self.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]

    def allow(self, group, *permissions, **more):
        answer = self.authorize_security_group_ingress(GroupId=group, IpPermissions=list(permissions), **more)
        return answer["SecurityGroupRules"]

    def rules(self, group):
        filters = [{"Name": "group-id", "Values": [group]}]
        return self.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]

    def ingress(self, group):
        return [rule for rule in self.rules(group) if not rule["IsEgress"]]


def tcp(port, *ranges, description=None, to=None):
    """A permission for TCP: IPv4 and IPv6 ranges, groups and prefix lists."""
    more = {"Description": description} if description is not None else {}
    kinds = {"IpRanges": [], "Ipv6Ranges": [], "UserIdGroupPairs": [], "PrefixListIds": []}
    for text in ranges:
        if text.startswith("sg-"):
            kinds["UserIdGroupPairs"].append({"GroupId": text, **more})
        elif text.startswith("pl-"):
            kinds["PrefixListIds"].append({"PrefixListId": text, **more})
        elif ":" in text:
            kinds["Ipv6Ranges"].append({"CidrIpv6": text, **more})
        else:
            kinds["IpRanges"].append({"CidrIp": text, **more})
    permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port if to is None else to}
    return {**permission, **{key: values for key, values in kinds.items() if values}}


def protocol(word, *ports, cidr="10.0.0.0/8"):
    permission = {"IpProtocol": word, "IpRanges": [{"CidrIp": cidr}]}
    return {**permission, **dict(zip(("FromPort", "ToPort"), ports))}


def named(name, *values):
    return [{"Name": name, "Values": list(values)}]


def tags(**pairs):
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def tagged(resource, **pairs):
    return [{"ResourceType": resource, "Tags": tags(**pairs)}]


def told(call, **arguments):
    """The answer, or the code of the refusal."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    del answer["ResponseMetadata"]
    return answer


def refused(code, call, **arguments):
    answer = told(call, **arguments)
    assert answer == code, f"expected {code}, got {answer}"


# What both do.


def a_group_is_made_and_described(client):
    yield client.create_security_group(GroupName="web", Description="for checks", TagSpecifications=tagged("security-group", a="1", b=""))["GroupId"]
    (group,) = client.describe_security_groups(Filters=named("group-name", "web"))["SecurityGroups"]
    yield group
    yield client.rules(group["GroupId"])


def a_vpc_has_a_default_group(client):
    # LocalStack leaves the rule out that lets the group in from itself.
    yield [{**group, "IpPermissions": []} for group in client.describe_security_groups()["SecurityGroups"]]
    (vpc,) = client.describe_vpcs(Filters=named("is-default", "true"))["Vpcs"]
    yield {key: vpc[key] for key in ("CidrBlock", "IsDefault", "OwnerId", "State", "VpcId")}
    other = client.vpc()
    (group,) = client.describe_security_groups(Filters=named("vpc-id", other))["SecurityGroups"]
    yield {**group, "IpPermissions": []}
    yield [vpc["VpcId"] for vpc in client.describe_vpcs(Filters=named("vpc-id", other))["Vpcs"]]
    yield told(client.describe_vpcs, VpcIds=["vpc-0123456789abcdef0"])
    yield told(client.describe_security_groups, Filters=named("vpc-id", "vpc-0123456789abcdef0"))


def names_are_taken_once_a_vpc(client):
    client.group()
    yield told(client.create_security_group, GroupName="web", Description="again")
    client.group(VpcId=client.vpc())
    yield len(client.describe_security_groups(Filters=named("group-name", "web"))["SecurityGroups"])


def a_dry_run_does_nothing(client):
    yield told(client.create_security_group, GroupName="web", Description="dry", DryRun=True)
    yield told(client.describe_security_groups, Filters=named("group-name", "web"))


def what_is_not_there_is_not_found(client):
    missing = "sg-0123456789abcdef0"
    yield told(client.describe_security_groups, GroupIds=[missing])
    yield told(client.delete_security_group, GroupId=missing)
    yield told(client.authorize_security_group_ingress, GroupId=missing, IpPermissions=[tcp(22, "10.0.0.0/8")])
    yield told(client.describe_security_group_rules, SecurityGroupRuleIds=["sgr-0123456789abcdef0"])
    yield told(client.describe_security_group_rules, Filters=named("group-id", missing))
    yield told(client.authorize_security_group_ingress, GroupId=client.group(), IpPermissions=[tcp(22, missing)])


def a_group_is_deleted(client):
    group = client.group()
    client.delete_security_group(GroupId=group)
    yield told(client.describe_security_groups, Filters=named("group-name", "web"))
    yield told(client.describe_security_groups, GroupIds=[group])
    client.group()


def the_rules_of_a_permission_are_answered(client):
    group, other = client.group(), client.group("other")
    permission = tcp(22, "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", description="by hand")
    yield client.allow(group, permission)
    yield client.allow(group, tcp(23, other, group))
    yield told(client.describe_security_groups, GroupIds=[group])
    yield told(client.describe_security_group_rules, Filters=named("group-id", group))


def peers_of_the_same_traffic_share_a_permission(client):
    group = client.group()
    for peer in ("10.0.0.0/8", "2001:db8::/32", group, "192.0.2.0/24"):
        client.allow(group, tcp(22, peer))
    client.allow(group, tcp(22, "10.0.0.0/8", to=23))
    yield told(client.describe_security_groups, GroupIds=[group])


def protocols_are_named(client):
    group = client.group()
    for permission in (
        protocol("udp", 53, 53),
        protocol("17", 54, 54),
        protocol("6", 55, 55),
        protocol("icmp", -1, -1),
        protocol("icmp", 8, 0),
        protocol("1", 3, -1),
        protocol("50", -1, -1),
        protocol("-1"),
    ):
        client.allow(group, permission)
    # LocalStack tells ports of "all traffic" and of protocols without ports in both; AWS in the rules only.
    for rule in client.rules(group):
        yield [rule[key] for key in ("IpProtocol", "FromPort", "ToPort", "CidrIpv4")]
    yield told(client.authorize_security_group_ingress, GroupId=group, IpPermissions=[protocol("tcp", 55, 55)])


def a_rule_is_there_once(client):
    group = client.group()
    client.allow(group, tcp(22, "10.0.0.0/8", description="by hand"))
    for description in ("by hand", "otherwise", None):
        permission = tcp(22, "10.0.0.0/8", description=description)
        yield told(client.authorize_security_group_ingress, GroupId=group, IpPermissions=[permission])
    yield told(client.describe_security_group_rules, Filters=named("group-id", group))


def egress_is_apart(client):
    group = client.group()
    yield told(client.authorize_security_group_egress, GroupId=group, IpPermissions=[protocol("-1", cidr="0.0.0.0/0")])
    yield told(client.authorize_security_group_egress, GroupId=group, IpPermissions=[tcp(443, "10.0.0.0/8")])
    client.revoke_security_group_egress(GroupId=group, IpPermissions=[protocol("-1", cidr="0.0.0.0/0")])
    yield told(client.describe_security_groups, GroupIds=[group])


def rules_go_by_their_properties(client):
    group = client.group()
    client.allow(group, tcp(22, "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", description="by hand"))
    client.allow(group, tcp(23, group))
    yield told(client.revoke_security_group_ingress, GroupId=group, IpPermissions=[tcp(22, "10.0.0.0/8", "2001:db8::/32", description="otherwise")])
    yield told(client.revoke_security_group_ingress, GroupId=group, IpPermissions=[tcp(23, group)])
    yield told(client.describe_security_groups, GroupIds=[group])


def rules_go_by_their_ids(client):
    group = client.group()
    (first, second) = client.allow(group, tcp(22, "10.0.0.0/8", "192.0.2.0/24"))
    yield told(client.revoke_security_group_ingress, GroupId=group, SecurityGroupRuleIds=[first["SecurityGroupRuleId"]])
    yield [rule["SecurityGroupRuleId"] == second["SecurityGroupRuleId"] for rule in client.ingress(group)]


def a_rule_that_is_not_there_is_refused(client):
    group = client.group(VpcId=client.vpc())
    client.allow(group, tcp(22, "10.0.0.0/8"))
    yield told(client.revoke_security_group_ingress, GroupId=group, IpPermissions=[tcp(23, "10.0.0.0/8")])


def descriptions_change_in_place(client):
    group = client.group()
    client.allow(group, tcp(22, "10.0.0.0/8", "2001:db8::/32", description="by hand"))
    before = client.ingress(group)
    permission = tcp(22, "10.0.0.0/8", "2001:db8::/32", description="better")
    yield told(client.update_security_group_rule_descriptions_ingress, GroupId=group, IpPermissions=[permission])
    after = client.ingress(group)
    yield sorted(rule["SecurityGroupRuleId"] for rule in before) == sorted(rule["SecurityGroupRuleId"] for rule in after)
    egress = protocol("-1", cidr="0.0.0.0/0")
    egress["IpRanges"][0]["Description"] = "everything"
    yield told(client.update_security_group_rule_descriptions_egress, GroupId=group, IpPermissions=[egress])
    yield told(client.describe_security_group_rules, Filters=named("group-id", group))


def groups_and_rules_have_tags(client):
    group = client.group(TagSpecifications=tagged("security-group", a="1"))
    (rule,) = client.allow(group, tcp(22, "10.0.0.0/8"), TagSpecifications=tagged("security-group-rule", r="1"))
    yield rule
    both = [group, rule["SecurityGroupRuleId"]]
    yield told(client.create_tags, Resources=both, Tags=tags(a="2", b="3", c="4"))
    yield told(client.delete_tags, Resources=both, Tags=[{"Key": "b"}])
    yield told(client.delete_tags, Resources=both, Tags=tags(c="other"))
    yield told(client.delete_tags, Resources=both, Tags=[{"Key": "never-there"}])
    yield told(client.describe_security_groups, GroupIds=[group])
    yield told(client.describe_security_group_rules, Filters=named("tag:r", "1"))
    yield told(client.describe_security_group_rules, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])


def filters_find_groups(client):
    (default,) = client.describe_security_groups()["SecurityGroups"]
    web = client.group("web-a", TagSpecifications=tagged("security-group", owner="x"))
    client.group("web-b", TagSpecifications=tagged("security-group", owner="y"))
    client.allow(web, tcp(22, "192.0.2.0/24", "2001:db8::/32", web))
    for filters in (
        named("group-name", "web-a"),
        named("group-name", "web-a", "web-b", "nobody"),
        named("group-name", "web-*"),
        named("group-name", "web-?"),
        named("group-name", "web"),
        named("group-id", web, default["GroupId"]),
        named("vpc-id", default["VpcId"]),
        named("vpc-id", default["VpcId"]) + named("tag:owner", "x", "y"),
        named("tag:owner", "x"),
        named("tag-key", "own*"),
        named("tag-key", "x"),
        named("description", "for checks"),
        named("owner-id", client.account),
        named("ip-permission.cidr", "192.0.2.0/24"),
        named("ip-permission.group-id", web),
    ):
        yield sorted(group["GroupName"] for group in client.describe_security_groups(Filters=filters)["SecurityGroups"])


def interfaces_carry_groups(client):
    group = client.group()
    (vpc,) = client.describe_vpcs(Filters=named("is-default", "true"))["Vpcs"]
    subnet = client.describe_subnets(Filters=named("vpc-id", vpc["VpcId"]))["Subnets"][0]["SubnetId"]
    made = client.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]
    yield made["Groups"]
    found = client.describe_network_interfaces(Filters=named("group-id", group))["NetworkInterfaces"]
    yield [interface["NetworkInterfaceId"] == made["NetworkInterfaceId"] for interface in found]
    yield [interface["Groups"] for interface in found]


def malformed_ranges_are_refused(client):
    group = client.group()
    for text in ("10.0.0.0/33", "anywhere"):
        yield told(client.authorize_security_group_ingress, GroupId=group, IpPermissions=[tcp(22, text)])


AGREED = [
    a_group_is_made_and_described,
    a_vpc_has_a_default_group,
    names_are_taken_once_a_vpc,
    a_dry_run_does_nothing,
    what_is_not_there_is_not_found,
    a_group_is_deleted,
    the_rules_of_a_permission_are_answered,
    peers_of_the_same_traffic_share_a_permission,
    protocols_are_named,
    a_rule_is_there_once,
    egress_is_apart,
    rules_go_by_their_properties,
    rules_go_by_their_ids,
    a_rule_that_is_not_there_is_refused,
    descriptions_change_in_place,
    groups_and_rules_have_tags,
    filters_find_groups,
    interfaces_carry_groups,
    malformed_ranges_are_refused,
]

# What AWS documents, and LocalStack does otherwise.


def a_default_group_lets_itself_in(client):
    (default,) = client.describe_security_groups()["SecurityGroups"]
    pairs = [{"UserId": client.account, "GroupId": default["GroupId"]}]
    (permission,) = default["IpPermissions"]
    assert permission["IpProtocol"] == "-1" and permission["UserIdGroupPairs"] == pairs, permission
    refused("CannotDelete", client.delete_security_group, GroupId=default["GroupId"])


def wrong_groups_are_refused(client):
    for fields, code in (
        ({"VpcId": "vpc-0123456789abcdef0"}, "InvalidVpcID.NotFound"),
        ({"VpcId": "mine"}, "InvalidVpcId.Malformed"),
        ({"GroupName": "sg-web"}, "InvalidParameterValue"),
        ({"GroupName": "SG-web"}, "InvalidParameterValue"),
        ({"GroupName": "web\u00e9"}, "InvalidParameterValue"),
        ({"GroupName": "a" * 256}, "InvalidParameterValue"),
        ({"Description": "a < b"}, "InvalidParameterValue"),
        ({"Description": "a" * 256}, "InvalidParameterValue"),
        ({"Description": ""}, "MissingParameter"),
        ({"TagSpecifications": tagged("instance", a="1")}, "InvalidParameterValue"),
        ({"TagSpecifications": tagged("security-group", **{"aws:a": "1"})}, "InvalidParameterValue"),
    ):
        refused(code, client.create_security_group, **{"GroupName": "web", "Description": "for checks", **fields})
    assert len(client.describe_security_groups()["SecurityGroups"]) == 1
    client.group()
    refused("InvalidGroup.Duplicate", client.create_security_group, GroupName="WEB", Description="case does not matter")
    refused("InvalidGroupId.Malformed", client.describe_security_groups, GroupIds=["web"])


def answers_are_complete(client):
    made = client.create_security_group(
        GroupName="web", Description="for checks", TagSpecifications=tagged("security-group", a="1")
    )
    assert made["Tags"] == tags(a="1"), made
    group = made["GroupId"]
    rules = client.allow(group, tcp(22, "10.0.0.0/8"), tcp(23, "10.0.0.0/8", "::/0", group, description="by hand"))
    assert [rule["FromPort"] for rule in rules] == [22, 23, 23, 23], rules
    assert [rule.get("Description") for rule in rules] == [None, *["by hand"] * 3]
    assert all(rule["GroupOwnerId"] == client.account and rule["SecurityGroupRuleArn"] for rule in rules)
    assert client.ingress(group) == rules
    (described,) = client.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    (reference,) = [pair for p in described["IpPermissions"] for pair in p["UserIdGroupPairs"]]
    assert reference["Description"] == "by hand"
    revoked = client.revoke_security_group_ingress(GroupId=group, IpPermissions=[tcp(23, group)])
    assert revoked["Return"] is True
    (gone,) = revoked["RevokedSecurityGroupRules"]
    assert gone["ReferencedGroupId"] == group and gone["SecurityGroupRuleId"] == rules[3]["SecurityGroupRuleId"]


def a_batch_is_carried_out_whole_or_not_at_all(client):
    group = client.group(VpcId=client.vpc())
    client.allow(group, tcp(22, "10.0.0.0/8"))
    three = [tcp(21, "10.0.0.0/8"), tcp(22, "10.0.0.0/8"), tcp(23, "10.0.0.0/8")]
    refused("InvalidPermission.Duplicate", client.authorize_security_group_ingress, GroupId=group, IpPermissions=three)
    refused("InvalidPermission.NotFound", client.revoke_security_group_ingress, GroupId=group, IpPermissions=three[1:])
    assert [rule["FromPort"] for rule in client.ingress(group)] == [22]
    twice = [tcp(24, "10.0.0.0/8"), tcp(24, "10.0.0.0/8", description="again")]
    refused("InvalidParameterValue", client.authorize_security_group_ingress, GroupId=group, IpPermissions=twice)
    both = [client.ingress(group)[0]["SecurityGroupRuleId"], "sgr-0123456789abcdef0"]
    for call, arguments in (
        (client.revoke_security_group_ingress, {"GroupId": group, "SecurityGroupRuleIds": both}),
        (client.create_tags, {"Resources": both, "Tags": tags(a="1")}),
    ):
        refused("InvalidSecurityGroupRuleId.NotFound", call, **arguments)
    assert client.ingress(group)[0]["Tags"] == []


def in_a_default_vpc_unknown_rules_are_told(client):
    group = client.group()
    client.allow(group, tcp(22, "10.0.0.0/8"))
    both = [tcp(22, "10.0.0.0/8"), tcp(23, "10.0.0.0/8")]
    answer = client.revoke_security_group_ingress(GroupId=group, IpPermissions=both)
    assert [p["FromPort"] for p in answer["UnknownIpPermissions"]] == [23], answer
    assert [r["FromPort"] for r in answer["RevokedSecurityGroupRules"]] == [22], answer
    assert client.ingress(group) == []


def the_other_end_must_be_there(client):
    group, elsewhere = client.group(), client.group(VpcId=client.vpc())
    stranger = Client(OURS)
    theirs = stranger.group()
    allow = client.authorize_security_group_ingress
    refused("InvalidGroup.NotFound", allow, GroupId=group, IpPermissions=[tcp(22, elsewhere)])
    refused("InvalidGroup.NotFound", allow, GroupId=group, IpPermissions=[tcp(22, theirs)])
    permission = tcp(22)
    permission["UserIdGroupPairs"] = [{"GroupId": theirs, "UserId": stranger.account}]
    (rule,) = client.allow(group, permission)
    assert rule["ReferencedGroupInfo"] == {"GroupId": theirs, "UserId": stranger.account}
    permission["UserIdGroupPairs"][0]["GroupId"] = "sg-0123456789abcdef0"
    refused("InvalidGroup.NotFound", allow, GroupId=group, IpPermissions=[permission])


def references_are_rules_like_others(client):
    group = client.group()
    client.allow(group, tcp(22, group, description="by hand"))
    again = [tcp(22, group, description="otherwise")]
    refused("InvalidPermission.Duplicate", client.authorize_security_group_ingress, GroupId=group, IpPermissions=again)
    client.update_security_group_rule_descriptions_ingress(GroupId=group, IpPermissions=again)
    assert client.ingress(group)[0]["Description"] == "otherwise"
    client.revoke_security_group_ingress(GroupId=group, IpPermissions=[tcp(22, group)])
    assert client.ingress(group) == []


def ranges_are_stored_in_their_normal_form(client):
    group = client.group()
    rules = client.allow(group, tcp(22, "10.1.2.3/16", "2001:0DB8:0:0::1/32"))
    assert [rule.get("CidrIpv4") or rule["CidrIpv6"] for rule in rules] == ["10.1.0.0/16", "2001:db8::/32"]
    for text in ("10.1.0.0/16", "10.1.9.9/16", "2001:db8::/32"):
        permission = [tcp(22, text)]
        refused("InvalidPermission.Duplicate", client.authorize_security_group_ingress, GroupId=group, IpPermissions=permission)
    for permission in ({"CidrIp": "::/0"}, {"CidrIp": "10.0.0.1"}):
        permission = {**tcp(22), "IpRanges": [permission]}
        refused("InvalidParameterValue", client.authorize_security_group_ingress, GroupId=group, IpPermissions=[permission])


def protocols_and_ports_are_checked(client):
    group = client.group()
    rules = client.allow(group, protocol("58", 128, 0), protocol("50"), protocol("47", 1, 2), protocol("-1", 22, 22))
    told = [(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in rules]
    assert told == [("icmpv6", 128, 0), ("50", -1, -1), ("47", -1, -1), ("-1", -1, -1)], told
    (described,) = client.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    ports = {p["IpProtocol"]: p.get("FromPort") for p in described["IpPermissions"]}
    assert ports == {"icmpv6": 128, "50": None, "47": None, "-1": None}, ports
    for permission, code in (
        (protocol("icmpv6", 128, 0), "InvalidPermission.Duplicate"),
        (protocol("foo", 1, 1), "InvalidParameterValue"),
        (protocol("esp"), "InvalidParameterValue"),
        (protocol("256"), "InvalidParameterValue"),
        (protocol("tcp"), "InvalidParameterValue"),
        (protocol("tcp", 70000, 70000), "InvalidParameterValue"),
        (protocol("tcp", -1, -1), "InvalidParameterValue"),
        (protocol("udp", 100, 50), "InvalidParameterValue"),
        (protocol("icmp"), "InvalidParameterValue"),
        (protocol("icmp", -1, 0), "InvalidParameterValue"),
        (protocol("icmp", 256, 0), "InvalidParameterValue"),
        (tcp(22), "MissingParameter"),
        (tcp(22, "10.0.0.0/8", description="caf\u00e9"), "InvalidParameterValue"),
        (tcp(22, "10.0.0.0/8", description="a" * 256), "InvalidParameterValue"),
    ):
        refused(code, client.authorize_security_group_ingress, GroupId=group, IpPermissions=[permission])
    assert len(client.ingress(group)) == 4


def prefix_lists_count_with_their_longest(client):
    settings(client, prefixLists={"pl-63a5400a": 58})
    group = client.group()
    (rule,) = client.allow(group, tcp(443, "pl-63a5400a", description="S3"))
    assert rule["PrefixListId"] == "pl-63a5400a" and rule["Description"] == "S3"
    permission = [tcp(443, "pl-00000000")]
    refused("InvalidPrefixListID.NotFound", client.authorize_security_group_ingress, GroupId=group, IpPermissions=permission)
    three = [tcp(port, "10.0.0.0/8") for port in (1, 2, 3)]
    refused("RulesPerSecurityGroupLimitExceeded", client.authorize_security_group_ingress, GroupId=group, IpPermissions=three)
    client.allow(group, *three[:2])


def each_family_has_a_quota(client):
    group = client.group()
    client.allow(group, *(tcp(port, "10.0.0.0/8", "2001:db8::/32") for port in range(1, 60)))
    client.allow(group, tcp(60, group))
    for peer in ("10.0.0.0/8", "2001:db8::/32", group):
        permission = [tcp(61, peer)]
        refused("RulesPerSecurityGroupLimitExceeded", client.authorize_security_group_ingress, GroupId=group, IpPermissions=permission)
    full, other = client.group("full"), [tcp(port, "10.0.0.0/8") for port in range(1, 62)]
    refused("RulesPerSecurityGroupLimitExceeded", client.authorize_security_group_ingress, GroupId=full, IpPermissions=other)
    assert client.ingress(full) == []
    settings(client, groups=3)
    refused("SecurityGroupLimitExceeded", client.create_security_group, GroupName="more", Description="for checks")


def descriptions_go_and_change_by_id(client):
    group = client.group()
    (rule,) = client.allow(group, tcp(22, "10.0.0.0/8", description="by hand"))
    update = client.update_security_group_rule_descriptions_ingress
    said = {"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "Description": "better"}
    assert update(GroupId=group, SecurityGroupRuleDescriptions=[said])["Return"] is True
    assert client.ingress(group)[0]["Description"] == "better"
    update(GroupId=group, IpPermissions=[tcp(22, "10.0.0.0/8")])
    assert "Description" not in client.ingress(group)[0]
    refused("InvalidPermission.NotFound", update, GroupId=group, IpPermissions=[tcp(23, "10.0.0.0/8", description="x")])
    said["SecurityGroupRuleId"] = "sgr-0123456789abcdef0"
    refused("InvalidSecurityGroupRuleId.NotFound", update, GroupId=group, SecurityGroupRuleDescriptions=[said])


def lists_come_in_pages(client):
    groups = {client.group(f"web-{n:02}") for n in range(11)}
    for group in groups:
        client.allow(group, tcp(22, "10.0.0.0/8"))
    ask = {"Filters": named("group-name", "web-*"), "MaxResults": 5}
    pages = list(client.get_paginator("describe_security_groups").paginate(**ask))
    assert [len(page["SecurityGroups"]) for page in pages] == [5, 5, 1]
    assert {group["GroupId"] for page in pages for group in page["SecurityGroups"]} == groups
    assert len(client.describe_security_groups(Filters=ask["Filters"])["SecurityGroups"]) == 11
    pages = client.get_paginator("describe_security_group_rules").paginate(PaginationConfig={"PageSize": 7})
    assert [len(page["SecurityGroupRules"]) for page in pages] == [7, 7, 7, 3]
    token = client.describe_security_groups(**ask)["NextToken"]
    for wrong in ({"NextToken": "x"}, {"NextToken": token, "Filters": named("group-name", "*")}):
        refused("InvalidPaginationToken", client.describe_security_groups, **{**ask, **wrong})
    for size in (4, 1001):
        refused("InvalidParameterValue", client.describe_security_groups, **{**ask, "MaxResults": size})
    settings(client, page=5)
    assert len(client.describe_security_groups(**{**ask, "MaxResults": 1000})["SecurityGroups"]) == 5


def filters_are_checked(client):
    refused("InvalidParameterValue", client.describe_security_groups, Filters=named("name", "web"))
    refused("InvalidParameterValue", client.describe_security_group_rules, Filters=named("tag-key", "web"))
    ids = [f"sg-{n:017x}" for n in range(201)]
    for call in (client.describe_security_groups, client.describe_security_group_rules, client.describe_network_interfaces):
        refused("FilterLimitExceeded", call, Filters=named("group-id", *ids))
        assert not isinstance(told(call, Filters=named("group-id", *ids[:200])), str)
    client.group("a*b")
    client.group("acb")
    count = lambda name: len(client.describe_security_groups(Filters=named("group-name", name))["SecurityGroups"])
    assert (count("a*b"), count("a\\*b"), count("A*b")) == (2, 1, 0)


def what_is_in_use_stays(client):
    a, b = client.group("a"), client.group("b")
    client.allow(a, tcp(22, b))
    client.allow(b, tcp(22, b))
    refused("DependencyViolation", client.delete_security_group, GroupId=b)
    client.revoke_security_group_ingress(GroupId=a, IpPermissions=[tcp(22, b)])
    client.delete_security_group(GroupId=b)
    subnet = client.describe_subnets()["Subnets"][0]["SubnetId"]
    client.create_network_interface(SubnetId=subnet, Groups=[a])
    refused("DependencyViolation", client.delete_security_group, GroupId=a)


def parameters_are_known(client):
    group = client.group()
    refused("InvalidParameterCombination", client.delete_security_group, GroupId=group, GroupName="web")
    refused("MissingParameter", client.delete_security_group)
    refused("InvalidAction", client.describe_instances)
    status, text = raw(client, "Action=DescribeSecurityGroups&Colour=red")
    assert status == 400 and "<Code>UnknownParameter</Code>" in text, text


def tags_have_limits(client):
    group = client.group(TagSpecifications=tagged("security-group", **{f"k{n}": "" for n in range(49)}))
    client.create_tags(Resources=[group], Tags=tags(last="1"))
    refused("TagLimitExceeded", client.create_tags, Resources=[group], Tags=tags(more="1"))
    client.create_tags(Resources=[group], Tags=tags(last="2"))
    client.delete_tags(Resources=[group])
    assert client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["Tags"] == []
    vpc = client.vpc()
    client.create_tags(Resources=[vpc], Tags=tags(Name="prod"))
    assert [v["VpcId"] for v in client.describe_vpcs(Filters=named("tag:Name", "prod"))["Vpcs"]] == [vpc]


def tokens_run_out(client):
    settings(client, throttle={"writes": {"size": 2, "refill": 5}, "unfiltered": {"size": 3, "refill": 0}})
    answers = [told(client.create_security_group, GroupName=f"web-{n}", Description="x") for n in range(3)]
    assert answers[2] == "RequestLimitExceeded" and "GroupId" in answers[1], answers
    time.sleep(0.25)
    client.group("web-2")
    answers = [told(client.describe_security_groups) for _ in range(4)]
    assert answers[3] == "RequestLimitExceeded" and "SecurityGroups" in answers[2]
    assert len(client.describe_security_groups(Filters=named("group-name", "web-*"))["SecurityGroups"]) == 3


def reads_lag(client):
    settings(client, lag=2, staleWrites=True)
    group = client.group()
    find = lambda: len(client.describe_security_groups(Filters=named("group-name", "web"))["SecurityGroups"])
    assert find() == 0
    refused("InvalidGroup.NotFound", client.authorize_security_group_ingress, GroupId=group, IpPermissions=[tcp(22, group)])
    assert find() == 1
    refused("InvalidGroup.Duplicate", client.create_security_group, GroupName="web", Description="again")


def a_policy_allows_actions(client):
    settings(client, policy=["ec2:Describe*", "ec2:CreateSecurityGroup"])
    client.describe_security_groups()
    client.group()
    specification = tagged("security-group", a="1")
    for call, arguments in (
        (client.create_security_group, {"GroupName": "b", "Description": "x", "TagSpecifications": specification}),
        (client.delete_security_group, {"GroupName": "web"}),
    ):
        refused("UnauthorizedOperation", call, **arguments)


def faults_come_on_demand(client):
    patient = Client(OURS, client.account)
    hasty = Client(OURS, client.account, patience=1)
    for then, fails, done in (
        ({"error": {"status": 503}}, "Unavailable", False),
        ({"error": {"status": 500, "code": "InternalError", "retryAfter": 7}}, "InternalError", False),
        ({"throttle": {}}, "RequestLimitExceeded", False),
        ("reset", "ConnectionClosedError", False),
        ("lose", "ConnectionClosedError", True),
        ("half", "ConnectionClosedError", True),
        ("garble", "ResponseParserError", True),
        ("hang", "ReadTimeoutError", False),
    ):
        fault(client, then, action="CreateSecurityGroup", nth=2)
        client.group("before")
        try:
            (hasty if then == "hang" else patient).group("web")
        except ClientError as error:
            failed, waits = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPHeaders"]
            assert waits.get("retry-after") == ("7" if "retryAfter" in str(then) else None)
        except (BotoCoreError, ResponseParserError) as error:
            failed = type(error).__name__
        else:
            failed = None
        assert failed == fails, f"{then}: {failed}"
        found = [group["GroupName"] for group in client.describe_security_groups()["SecurityGroups"]]
        assert ("web" in found) == done, f"{then}: {found}"
        control("POST", f"reset?account={client.account}")


def half_an_answer_is_more_than_none(client):
    fault(client, "half", action="DescribeVpcs")
    try:
        raw(client, "Action=DescribeVpcs")
    except http.client.IncompleteRead as error:
        assert error.partial.startswith(b"<?xml") and error.expected > 0, error
    else:
        raise AssertionError("the answer is whole")


def strangers_write_before_and_after(client):
    call = "Action=CreateSecurityGroup&GroupDescription=x&GroupName="
    fault(client, {"writeBefore": call + "before"}, action="DescribeSecurityGroups")
    fault(client, {"writeAfter": call + "after"}, action="DescribeSecurityGroups")
    count = lambda: len(client.describe_security_groups()["SecurityGroups"])
    assert (count(), count()) == (2, 3)


def calls_are_logged(client):
    client.group()
    log = control("GET", f"log?account={client.account}")
    assert log["counts"] == {"CreateSecurityGroup": 1}, log
    (call,) = log["calls"]
    assert call["status"] == 200 and call["code"] is None and call["parameters"]["GroupName"] == "web"


def control(verb, path, body=None):
    request = urllib.request.Request(f"{OURS}/control/{path}", method=verb, data=body and json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{verb} {path}: {error.read().decode()}") from error


def settings(client, **fields):
    control("POST", f"settings?account={client.account}", fields)


def fault(client, then, **fields):
    control("POST", "faults", {"account": client.account, "then": then, **fields})


def raw(client, form):
    """A request as no client of Amazon's would send it."""
    authorization = f"AWS4-HMAC-SHA256 Credential={client.account}/20250101/us-east-1/ec2/aws4_request"
    request = urllib.request.Request(OURS, data=form.encode(), headers={"Authorization": authorization})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


STRICT = [
    a_default_group_lets_itself_in,
    wrong_groups_are_refused,
    answers_are_complete,
    a_batch_is_carried_out_whole_or_not_at_all,
    in_a_default_vpc_unknown_rules_are_told,
    the_other_end_must_be_there,
    references_are_rules_like_others,
    ranges_are_stored_in_their_normal_form,
    protocols_and_ports_are_checked,
    prefix_lists_count_with_their_longest,
    each_family_has_a_quota,
    descriptions_go_and_change_by_id,
    lists_come_in_pages,
    filters_are_checked,
    what_is_in_use_stays,
    parameters_are_known,
    tags_have_limits,
    tokens_run_out,
    reads_lag,
    a_policy_allows_actions,
    faults_come_on_demand,
    half_an_answer_is_more_than_none,
    strangers_write_before_and_after,
    calls_are_logged,
]

ID = re.compile(r"\b(sgr|sg|vpc|subnet|eni)-[0-9a-f]{8,17}\b")


def canonical(value, account):
    """Ids become numbers in the order in which they come, lists sets, and accounts one account."""

    def sort(value):
        if isinstance(value, dict):
            # An empty list is as good as none.
            return {key: sort(v) for key, v in sorted(value.items()) if key not in LEFT_OUT and v != []}
        if isinstance(value, list):
            return sorted((sort(v) for v in value), key=lambda v: ID.sub(r"\1", json.dumps(v)))
        return value

    seen = {}
    number = lambda match: seen.setdefault(match[0], f"{match[1]}#{len(seen)}")
    text = ID.sub(number, json.dumps([sort(v) for v in value], indent=1))
    return text.replace(account, "ACCOUNT")


def agree(check):
    answers = []
    for endpoint in (OURS, LOCALSTACK):
        client = Client(endpoint)
        answers.append(canonical(list(check(client)), client.account))
    ours, theirs = answers
    if ours != theirs:
        lines = difflib.unified_diff(theirs.splitlines(), ours.splitlines(), "LocalStack", "ec2-strict", lineterm="")
        raise AssertionError("they differ\n" + "\n".join(lines))


def main():
    failed = 0
    for check in AGREED + STRICT:
        try:
            if check in AGREED:
                agree(check)
            else:
                check(Client(OURS))
        except Exception as error:  # the other checks run as well
            failed += 1
            traceback.print_exc()
            print(f"FAILED {check.__name__}: {error}", file=sys.stderr)
        else:
            print(f"ok {check.__name__}")
    print(f"{len(AGREED + STRICT) - failed} of {len(AGREED + STRICT)} checks hold")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
