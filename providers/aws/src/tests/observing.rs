//! Reading groups: how many calls, and what they mean.

use rsgsync_core::inventory::Ownership;
use rsgsync_core::name::Origin;
use rsgsync_core::observed::{LimitSource, Observed, ObservedGroup, Scope};
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Cloud, CloudError};
use serde_json::json;

use super::replay::{Answer, Replay, group, groups, groups_page, ok, permission, rule_entries, rule_entry, vpcs};
use super::{ACCOUNT, aws, aws_at, mark, owned_scope, scope};

const MADE: [(&str, &str); 1] = [("rsgsync:platform/prod", "made")];

fn made(n: usize) -> String {
    group(&format!("sg-{n:x}"), &format!("g{n}"), &MADE, "", "")
}

async fn observe(replay: &Replay, groups: &[&str]) -> Result<(Observed, Atoms), CloudError> {
    let mut atoms = Atoms::new();
    let observed = aws(replay).observe(&scope(groups.iter().copied()), &mut atoms).await?;
    Ok((observed, atoms))
}

/// The rules of one group, as `direction traffic peer "description"`.
fn spelled(group: &ObservedGroup, atoms: &Atoms) -> Vec<String> {
    use rsgsync_core::rule::RulePeer::{Addresses, Opaque};
    group
        .rules
        .iter()
        .map(|r| {
            let peer = match r.rule.peer {
                Addresses(cidr) => cidr.to_string(),
                Opaque(_, atom, family) => format!("{} {}", atoms.text(atom), family.as_str()),
            };
            format!("{} {} {peer} {:?}", r.rule.direction.as_str(), r.rule.traffic, r.description)
        })
        .collect()
}

#[tokio::test]
async fn a_hundred_groups_are_one_call() {
    let listed: Vec<String> = (0..100).map(made).collect();
    let replay = Replay::new([groups(&listed)]);
    let aws = aws(&replay);
    let names: Vec<String> = (0..100).map(|n| format!("g{n}")).collect();
    let scope = scope(names.iter().map(String::as_str));
    let observed = aws.observe(&scope, &mut Atoms::new()).await.unwrap();
    assert_eq!(observed.groups.len(), 100);
    assert_eq!(aws.calls(), [("DescribeSecurityGroups".to_owned(), 1)].into());
    let asked = replay.asked(0);
    assert_eq!(asked.values("Filter.1", "Name"), ["vpc-id"]);
    assert_eq!(asked.values("Filter.1.Value", ""), ["vpc-1"]);
    assert_eq!(asked.values("Filter.2.Value", "").len(), 100);
}

#[tokio::test]
async fn more_than_200_names_list_the_vpc_page_by_page() {
    let first: Vec<String> = (0..150).map(made).collect();
    let mut second: Vec<String> = (150..201).map(made).collect();
    second.push(group("sg-f00d", "not-asked-for", &[], "", ""));
    let replay = Replay::new([groups_page(&first, "more"), groups(&second)]);
    let names: Vec<String> = (0..201).map(|n| format!("g{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (observed, _) = observe(&replay, &names).await.unwrap();
    assert_eq!(observed.groups.len(), 201);
    assert_eq!(replay.asked(0).values("Filter.", "Name"), ["vpc-id"]);
    assert_eq!(replay.asked(0).value("MaxResults"), Some("1000"));
    assert_eq!(replay.asked(1).value("NextToken"), Some("more"));
}

/// The same with whatever carries our mark.
fn with_marked<'a>(groups: impl IntoIterator<Item = &'a str>) -> Scope {
    Scope { marked: true, ..scope(groups) }
}

fn ids(observed: &Observed) -> Vec<&str> {
    observed.groups.iter().map(|g| g.id.as_str()).collect()
}

#[tokio::test]
async fn groups_with_our_mark_are_all_found_at_once() {
    let replay = Replay::new([groups(&[made(1), made(2)])]);
    let aws = aws(&replay);
    let observed = aws.observe(&with_marked(["g1"]), &mut Atoms::new()).await.unwrap();
    assert_eq!(ids(&observed), ["sg-1", "sg-2"]);
    assert_eq!(aws.calls(), [("DescribeSecurityGroups".to_owned(), 1)].into());
    let asked = replay.asked(0);
    assert_eq!(asked.values("Filter.", "Name"), ["vpc-id", "tag-key"]);
    assert_eq!(asked.values("Filter.2.Value", ""), ["rsgsync:platform/*"]);
    assert_eq!(observed.usage.groups, None, "the VPC was not listed");
}

#[tokio::test]
async fn groups_without_our_mark_are_asked_for_by_name() {
    let stranger = groups(&[group("sg-3", "g3", &[], "", "")]);
    let replay = Replay::new([groups(&[made(1), made(2)]), stranger, rule_entries(&[])]);
    let aws = aws(&replay);
    let observed = aws.observe(&with_marked(["g1", "g3", "g4"]), &mut Atoms::new()).await.unwrap();
    assert_eq!(ids(&observed), ["sg-1", "sg-2", "sg-3"]);
    let actions = ["DescribeSecurityGroups", "DescribeSecurityGroups", "DescribeSecurityGroupRules"];
    assert_eq!(replay.actions(), actions, "the stranger's rules have tags that decide");
    let asked = replay.asked(1);
    assert_eq!(asked.values("Filter.", "Name"), ["vpc-id", "group-name"]);
    assert_eq!((asked.value("Filter.2.Value.1"), asked.value("Filter.2.Value.2")), (Some("g3"), Some("g4")));
}

#[tokio::test]
async fn what_another_owner_marked_is_not_ours_whatever_the_filter_gives() {
    let theirs = group("sg-2", "g2", &[("rsgsync:sales/shop", "made")], "", "");
    let replay = Replay::new([groups(&[made(1), theirs])]);
    let observed = aws(&replay).observe(&with_marked(["g1"]), &mut Atoms::new()).await.unwrap();
    assert_eq!(ids(&observed), ["sg-1"]);
}

#[tokio::test]
async fn a_vpc_that_is_listed_gives_its_orphans_and_its_size_without_another_call() {
    let mut listed: Vec<String> = (0..201).map(made).collect();
    listed.push(group("sg-f00d", "not-asked-for", &MADE, "", ""));
    listed.push(group("sg-beef", "not-ours", &[], "", ""));
    let names: Vec<String> = (0..201).map(|n| format!("g{n}")).collect();
    let replay = Replay::new([groups(&listed)]);
    let observed =
        aws(&replay).observe(&with_marked(names.iter().map(String::as_str)), &mut Atoms::new()).await.unwrap();
    assert_eq!(replay.actions().len(), 1);
    assert_eq!(observed.groups.len(), 202);
    assert!(ids(&observed).contains(&"sg-f00d"));
    assert_eq!(observed.usage.groups, Some(203));
}

#[tokio::test]
async fn marks_of_rules_are_read_of_orphans_that_are_not_simply_deleted() {
    let joined = group("sg-3", "g3", &[("rsgsync:platform/prod", "joined")], "", "");
    let co_owned = group("sg-4", "g4", &[("rsgsync:platform/prod", "made"), ("rsgsync:sales/shop", "joined")], "", "");
    let gone = group("sg-5", "g5", &[("rsgsync:platform/gone", "joined")], "", "");
    let replay = Replay::new([groups(&[made(1), made(2), joined, co_owned, gone]), rule_entries(&[])]);
    let observed = aws(&replay).observe(&with_marked(["g1"]), &mut Atoms::new()).await.unwrap();
    assert_eq!(observed.groups.len(), 5);
    assert_eq!(replay.asked(1).values("Filter.1.Value", ""), ["sg-3", "sg-4"]);
}

#[tokio::test]
async fn groups_by_id_are_one_more_call_and_unknown_ids_are_absent() {
    let replay = Replay::new([groups(&[made(1)]), groups(&[made(2)])]);
    let (observed, _) = observe(&replay, &["g1", "sg-2", "sg-3"]).await.unwrap();
    assert_eq!(observed.groups.iter().map(|g| g.id.as_str()).collect::<Vec<_>>(), ["sg-1", "sg-2"]);
    assert_eq!(replay.asked(1).values("Filter.1.", "Name"), ["group-id"]);
    assert_eq!(replay.asked(1).values("Filter.1.Value", ""), ["sg-2", "sg-3"]);
}

#[tokio::test]
async fn a_group_asked_for_by_name_and_by_id_is_there_once() {
    let replay = Replay::new([groups(&[made(1)]), groups(&[made(1)])]);
    let (observed, _) = observe(&replay, &["g1", "sg-1"]).await.unwrap();
    assert_eq!(observed.groups.len(), 1);
}

#[tokio::test]
async fn a_group_by_id_in_another_vpc_is_an_error_that_names_both() {
    let elsewhere = made(1).replace("vpc-1", "vpc-2");
    let error = observe(&Replay::new([groups(&[elsewhere])]), &["sg-1"]).await.unwrap_err();
    assert_eq!(error.message, "it is in vpc-2, but network `eu` is vpc-1");
}

#[tokio::test]
async fn a_star_in_a_name_is_no_wildcard() {
    let replay = Replay::new([groups(&[group("sg-1", "a*", &MADE, "", ""), group("sg-2", "ab", &MADE, "", "")])]);
    let (observed, _) = observe(&replay, &["a*"]).await.unwrap();
    assert_eq!(replay.asked(0).values("Filter.2.Value", ""), ["a\\*"]);
    assert_eq!(observed.groups.len(), 1);
}

#[tokio::test]
async fn when_no_group_exists_the_vpc_is_checked_once() {
    let replay = Replay::new([groups(&[]), vpcs(&[("vpc-1", &[("Name", "prod")])]), groups(&[])]);
    let aws = aws(&replay);
    for _ in 0..2 {
        let observed = aws.observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap();
        assert_eq!((observed.groups.len(), observed.place.as_str()), (0, "eu-west-1 · vpc-1 (prod)"));
    }
    assert_eq!(replay.actions(), ["DescribeSecurityGroups", "DescribeVpcs", "DescribeSecurityGroups"]);
}

#[tokio::test]
async fn where_nothing_carries_our_mark_the_default_group_tells_that_the_vpc_exists() {
    let replay = Replay::new([groups(&[]), groups(&[group("sg-d", "default", &[], "", "")])]);
    let observed = aws(&replay).observe(&with_marked(["g1"]), &mut Atoms::new()).await.unwrap();
    assert_eq!(replay.actions(), ["DescribeSecurityGroups", "DescribeSecurityGroups"]);
    assert_eq!(replay.asked(1).values("Filter.2.Value", ""), ["default", "g1"]);
    assert_eq!((observed.groups.len(), observed.account.as_deref()), (0, Some(ACCOUNT)));
}

#[tokio::test]
async fn a_vpc_is_found_by_its_tags_once() {
    let replay = Replay::new([vpcs(&[("vpc-1", &[("Name", "prod")])]), groups(&[made(1)]), groups(&[made(1)])]);
    let aws = aws_at(&replay, json!({ "region": "eu-west-1", "vpc": { "tags": { "Name": "prod" } } }));
    for _ in 0..2 {
        let observed = aws.observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap();
        assert_eq!(observed.place, "eu-west-1 · vpc-1 (prod)");
    }
    assert_eq!(replay.actions(), ["DescribeVpcs", "DescribeSecurityGroups", "DescribeSecurityGroups"]);
    assert_eq!(replay.asked(0).values("Filter.1.", "Name"), ["tag:Name"]);
}

#[tokio::test]
async fn tags_that_two_vpcs_have_are_an_error_that_lists_both() {
    let replay = Replay::new([vpcs(&[("vpc-1", &[("Name", "prod")]), ("vpc-2", &[("Name", "prod")])])]);
    let aws = aws_at(&replay, json!({ "vpc": { "tags": { "Name": "prod" } } }));
    let error = aws.observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap_err();
    assert_eq!(error.message, "2 VPCs have them: vpc-1, vpc-2");
}

#[tokio::test]
async fn without_vpc_it_is_the_default_one() {
    let replay = Replay::new([vpcs(&[("vpc-9", &[])]), groups(&[made(1)])]);
    let observed = aws_at(&replay, json!({})).observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap();
    assert_eq!(observed.place, "us-east-1 · vpc-9");
    assert_eq!(replay.asked(0).values("Filter.1.", "Name"), ["is-default"]);
    assert_eq!(replay.asked(1).values("Filter.1.Value", ""), ["vpc-9"]);
}

#[tokio::test]
async fn a_region_without_default_vpc_is_an_error() {
    let error = aws_at(&Replay::new([vpcs(&[])]), json!({})).observe(&scope(["g1"]), &mut Atoms::new()).await;
    assert_eq!(error.unwrap_err().message, "the region has no default VPC");
}

#[tokio::test]
async fn every_kind_of_peer_is_read_with_its_description() {
    let ingress = "<item><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>25</toPort>\
        <groups>\
        <item><userId>111122223333</userId><groupId>sg-1</groupId><description>self</description></item>\
        <item><userId>444455556666</userId><groupId>sg-2</groupId><peeringStatus>active</peeringStatus></item>\
        </groups>\
        <ipRanges><item><cidrIp>10.1.2.3/16</cidrIp><description>v4</description></item></ipRanges>\
        <ipv6Ranges><item><cidrIpv6>2001:0DB8::/32</cidrIpv6><description>v6</description></item></ipv6Ranges>\
        <prefixListIds><item><prefixListId>pl-1</prefixListId><description>list</description></item></prefixListIds></item>";
    let egress = permission("-1", -1, -1, &["0.0.0.0/0"]);
    let replay = Replay::new([groups(&[group("sg-1", "g1", &MADE, ingress, &egress)])]);
    let (observed, atoms) = observe(&replay, &["g1"]).await.unwrap();
    assert_eq!(
        spelled(&observed.groups[0], &atoms),
        [
            "ingress 22-25/tcp 10.1.0.0/16 \"v4\"",
            "ingress 22-25/tcp 2001:db8::/32 \"v6\"",
            "ingress 22-25/tcp pl-1 both \"list\"",
            "ingress 22-25/tcp sg-1 both \"self\"",
            "ingress 22-25/tcp 444455556666/sg-2 both \"\"",
            "egress all 0.0.0.0/0 \"\"",
        ]
    );
    assert_eq!(observed.account.as_deref(), Some(ACCOUNT));
}

#[tokio::test]
async fn marks_of_a_group_are_its_rsgsync_tags() {
    let tags = [
        ("Name", "x"),
        ("rsgsync:platform/prod", "made"),
        ("rsgsync:other/lab", "joined"),
        ("rsgsync:platform/odd", "?"),
        ("rsgsync:no mark", "made"),
    ];
    let replay = Replay::new([groups(&[group("sg-1", "g1", &tags, "", "")])]);
    let (observed, _) = observe(&replay, &["g1"]).await.unwrap();
    let marks: Vec<(String, Origin)> =
        observed.groups[0].marks.iter().map(|m| (m.mark.to_string(), m.origin)).collect();
    assert_eq!(
        marks,
        [
            ("other/lab".to_owned(), Origin::Joined),
            ("platform/odd".to_owned(), Origin::Joined),
            ("platform/prod".to_owned(), Origin::Made),
        ]
    );
}

#[tokio::test]
async fn rules_of_shared_groups_get_ids_and_marks_in_one_more_call() {
    let ingress = permission("tcp", 22, 22, &["10.0.0.0/8", "10.9.0.0/16"]);
    let replay = Replay::new([
        groups(&[group("sg-1", "g1", &[], &ingress, ""), group("sg-2", "g2", &MADE, &ingress, "")]),
        rule_entries(&[
            rule_entry("sgr-2", "sg-1", 22, "10.9.0.0/16", &[]),
            rule_entry("sgr-1", "sg-1", 22, "10.0.0.0/8", &[("rsgsync:platform/prod", "made"), ("a", "b")]),
        ]),
    ]);
    let (observed, _) = observe(&replay, &["g1", "g2"]).await.unwrap();
    let of = |group: usize| -> Vec<(Option<&str>, Vec<String>)> {
        let rules = observed.groups[group].rules.iter();
        rules
            .map(|r| (r.id.as_ref().map(|id| id.as_str()), r.marks.iter().map(ToString::to_string).collect()))
            .collect()
    };
    assert_eq!(of(0), [(Some("sgr-1"), vec!["platform/prod".to_owned()]), (Some("sgr-2"), vec![])]);
    assert_eq!(of(1), [(None, vec![]), (None, vec![])]);
    assert_eq!(replay.asked(1).values("Filter.1.Value", ""), ["sg-1"]);
}

#[tokio::test]
async fn declared_exclusive_groups_need_no_rule_tags() {
    let replay = Replay::new([groups(&[group("sg-1", "g1", &[], "", "")])]);
    let scope = owned_scope([("g1", Some(Ownership::Exclusive))]);
    assert!(aws(&replay).observe(&scope, &mut Atoms::new()).await.is_ok());
}

#[tokio::test]
async fn rules_of_shared_groups_are_asked_for_200_groups_a_call_and_paged() {
    let listed: Vec<String> = (0..201).map(|n| group(&format!("sg-{n:x}"), &format!("g{n}"), &[], "", "")).collect();
    let page = |next: &str| ok(&format!("<securityGroupRuleSet/><nextToken>{next}</nextToken>"));
    let replay = Replay::new([groups(&listed), page("more"), rule_entries(&[]), rule_entries(&[])]);
    let names: Vec<String> = (0..201).map(|n| format!("g{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    observe(&replay, &names).await.unwrap();
    let sizes: Vec<usize> = (1..4).map(|n| replay.asked(n).values("Filter.1.Value", "").len()).collect();
    assert_eq!(sizes, [200, 200, 1]);
    assert_eq!(replay.asked(2).value("NextToken"), Some("more"));
}

#[tokio::test]
async fn quotas_are_assumed_unless_the_inventory_states_them() {
    let mut network = super::network(json!({ "vpc": "vpc-1" }));
    network.quotas.insert("rules_per_group".to_owned(), 100);
    let replay = Replay::new([groups(&[made(1)])]);
    let aws = crate::Aws::with_config(&network, replay.config()).unwrap();
    let limits = aws.observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap().limits;
    let said = |limit: Option<rsgsync_core::observed::Limit>| limit.map(|l| (l.at_most, l.source));
    assert_eq!(said(limits.rules_per_group), Some((100, LimitSource::Configured)));
    assert_eq!(said(limits.groups), Some((2500, LimitSource::Assumed)));
}

#[tokio::test]
async fn something_that_ec2_never_lists_is_one_clear_error() {
    for (ingress, what) in [
        (permission("foo", 1, 2, &["10.0.0.0/8"]), "a rule for the protocol `foo`"),
        (permission("tcp", 70000, 70001, &["10.0.0.0/8"]), "a rule for tcp from 70000 to 70001"),
        (permission("tcp", 25, 22, &["10.0.0.0/8"]), "a rule for tcp from 25 to 22"),
        (permission("tcp", 22, 22, &["nonsense"]), "a rule for the address range `nonsense`"),
        (
            "<item><ipProtocol>-1</ipProtocol><groups><item/></groups></item>".to_owned(),
            "a rule that refers to a group or prefix list without an id",
        ),
    ] {
        let replay = Replay::new([groups(&[group("sg-1", "g1", &MADE, &ingress, "")])]);
        let error = observe(&replay, &["g1"]).await.unwrap_err();
        assert_eq!(error.doing, "reading security group `g1` (sg-1)");
        assert_eq!(error.message, format!("AWS lists {what}, which rsgsync does not understand"));
    }
}

#[tokio::test]
async fn a_group_without_id_is_an_error() {
    let broken = made(1).replace("<groupId>sg-1</groupId>", "");
    let error = observe(&Replay::new([groups(&[broken])]), &["g1"]).await.unwrap_err();
    assert!(error.message.starts_with("AWS lists `` is not a valid security group id"), "{}", error.message);
}

#[tokio::test]
async fn nothing_is_called_before_observe() {
    let replay = Replay::new(std::iter::empty::<Answer>());
    assert!(aws(&replay).calls().is_empty());
    assert!(replay.actions().is_empty());
}

#[tokio::test]
async fn marks_are_told_from_other_tags_of_rules() {
    let replay = Replay::new([
        groups(&[group("sg-1", "g1", &[], &permission("tcp", 22, 22, &["10.0.0.0/8"]), "")]),
        rule_entries(&[rule_entry("sgr-1", "sg-1", 22, "10.0.0.0/8", &[("rsgsync:a/b", ""), ("rsgsyncx:a/c", "")])]),
    ]);
    let (observed, _) = observe(&replay, &["g1"]).await.unwrap();
    assert_eq!(observed.groups[0].rules[0].marks, [mark("a/b")]);
}
