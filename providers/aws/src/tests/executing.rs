//! Carrying steps out: which calls are made, and what is done when EC2 refuses one.

use rsgsync_core::name::Origin;
use rsgsync_core::plan::{Action, Step};
use rsgsync_core::rule::{Atoms, Direction, Rule};
use rsgsync_engine::{Cloud, Done, ErrorKind};

use super::replay::{Answer, Replay, error, group, groups, ok, permission, rule_entries, rule_entry, yes};
use super::{
    adding, aws, creating, described, group_peer, mark, marked, removing, rule, rule_from, scope, step, with_id,
};

/// What EC2 gives when it made a group.
fn created(id: &str) -> Answer {
    ok(&format!("<groupId>{id}</groupId>"))
}

fn duplicate() -> Answer {
    error(400, "InvalidPermission.Duplicate", "the specified rule already exists")
}

fn missing() -> Answer {
    error(400, "InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
}

async fn execute(replay: &Replay, step: &Step, atoms: &Atoms) -> Result<Done, rsgsync_engine::CloudError> {
    aws(replay).execute(step, atoms).await
}

#[tokio::test]
async fn a_group_is_created_with_its_marks_as_tags() {
    let mut atoms = Atoms::new();
    let replay = Replay::new([created("sg-1")]);
    let done = execute(&replay, &creating(atoms.intern("prod-etcd"), &["platform/prod"]), &atoms).await.unwrap();
    assert_eq!(done, Done { group_id: Some("sg-1".to_owned()), request_id: Some("req-ok".to_owned()), already: false });
    let asked = replay.asked(0);
    for (key, value) in [
        ("Action", "CreateSecurityGroup"),
        ("GroupName", "prod-etcd"),
        ("GroupDescription", "etcd nodes"),
        ("VpcId", "vpc-1"),
        ("TagSpecification.1.ResourceType", "security-group"),
        ("TagSpecification.1.Tag.1.Key", "rsgsync:platform/prod"),
        ("TagSpecification.1.Tag.1.Value", "made"),
    ] {
        assert_eq!(asked.value(key), Some(value), "{key}");
    }
}

#[tokio::test]
async fn rules_that_name_groups_made_in_this_run_are_sent_with_their_ids() {
    let mut atoms = Atoms::new();
    let (etcd, control) = (atoms.intern("etcd"), atoms.intern("control"));
    let replay = Replay::new([created("sg-1"), created("sg-2"), yes()]);
    let aws = aws(&replay);
    aws.execute(&creating(etcd, &[]), &atoms).await.unwrap();
    aws.execute(&creating(control, &[]), &atoms).await.unwrap();
    let rules = vec![
        described(rule_from("2379/tcp", group_peer(&mut atoms, "control")), "client requests"),
        rule_from("2379/tcp", group_peer(&mut atoms, "etcd")),
    ];
    aws.execute(&adding(etcd, rules), &atoms).await.unwrap();
    let asked = replay.asked(2);
    assert_eq!(asked.value("GroupId"), Some("sg-1"));
    assert_eq!(asked.values("IpPermissions.1.Groups", "GroupId"), ["sg-2", "sg-1"]);
    assert_eq!(asked.value("IpPermissions.1.Groups.1.Description"), Some("client requests"));
    assert_eq!(asked.value("IpPermissions.2.IpProtocol"), None);
}

#[tokio::test]
async fn rules_that_name_a_group_made_in_another_network_are_sent_with_its_id_and_account() {
    let mut atoms = Atoms::new();
    let etcd = atoms.intern("sg-1");
    let replay = Replay::new([yes()]);
    let aws = aws(&replay);
    aws.made_elsewhere("hub › db", "222233334444/sg-0b");
    let rules = vec![rule_from("2379/tcp", group_peer(&mut atoms, "hub › db"))];
    aws.execute(&adding(etcd, rules), &atoms).await.unwrap();
    let asked = replay.asked(0);
    assert_eq!(asked.values("IpPermissions.1.Groups", "GroupId"), ["sg-0b"]);
    assert_eq!(asked.value("IpPermissions.1.Groups.1.UserId"), Some("222233334444"));
}

#[tokio::test]
async fn rules_of_a_direction_are_one_authorize_with_tags_for_rules() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([yes()]);
    let rules = vec![
        marked(described(rule("22/tcp", "10.0.0.0/8"), "ssh"), &["platform/prod"]),
        marked(rule("22/tcp", "2001:db8::/32"), &["platform/prod"]),
        marked(rule("80/tcp", "0.0.0.0/0"), &["platform/prod"]),
    ];
    let done = execute(&replay, &adding(id, rules), &atoms).await.unwrap();
    assert!(!done.already);
    assert_eq!(replay.actions(), ["AuthorizeSecurityGroupIngress"]);
    let asked = replay.asked(0);
    assert_eq!(asked.values("IpPermissions.", "FromPort"), ["22", "80"]);
    assert_eq!(asked.value("IpPermissions.1.IpRanges.1.CidrIp"), Some("10.0.0.0/8"));
    assert_eq!(asked.value("IpPermissions.1.IpRanges.1.Description"), Some("ssh"));
    assert_eq!(asked.value("IpPermissions.1.Ipv6Ranges.1.CidrIpv6"), Some("2001:db8::/32"));
    assert_eq!(asked.value("TagSpecification.1.ResourceType"), Some("security-group-rule"));
    assert_eq!(asked.value("TagSpecification.1.Tag.1.Key"), Some("rsgsync:platform/prod"));
}

#[tokio::test]
async fn egress_rules_go_to_the_egress_actions() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let mut outbound = rule("all", "0.0.0.0/0");
    outbound.rule = Rule { direction: Direction::Egress, ..outbound.rule };
    let egress = |step: Step| Step { direction: Some(Direction::Egress), ..step };
    let replay = Replay::new([yes(), yes(), yes()]);
    let aws = aws(&replay);
    aws.execute(&egress(adding(id, vec![outbound.clone()])), &atoms).await.unwrap();
    aws.execute(&egress(removing(id, vec![outbound.clone()])), &atoms).await.unwrap();
    let describing = Step { adds: vec![outbound], ..step(Action::UpdateDescriptions, id) };
    aws.execute(&egress(describing), &atoms).await.unwrap();
    assert_eq!(
        replay.actions(),
        ["AuthorizeSecurityGroupEgress", "RevokeSecurityGroupEgress", "UpdateSecurityGroupRuleDescriptionsEgress"]
    );
    assert_eq!(replay.asked(0).value("IpPermissions.1.IpProtocol"), Some("-1"));
}

#[tokio::test]
async fn a_batch_refused_for_a_duplicate_is_read_again_and_the_rest_is_sent() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let there = permission("tcp", 22, 22, &["10.0.0.0/8"]);
    let replay = Replay::new([duplicate(), groups(&[group("sg-1", "g1", &[], &there, "")]), yes()]);
    let rules = vec![rule("22/tcp", "10.0.0.0/8"), rule("80/tcp", "10.0.0.0/8")];
    let done = execute(&replay, &adding(id, rules), &atoms).await.unwrap();
    assert!(done.already);
    assert_eq!(
        replay.actions(),
        ["AuthorizeSecurityGroupIngress", "DescribeSecurityGroups", "AuthorizeSecurityGroupIngress"]
    );
    assert_eq!(replay.asked(2).values("IpPermissions.", "FromPort"), ["80"]);
}

#[tokio::test]
async fn the_same_traffic_with_another_description_counts_as_there() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let there = permission("tcp", 22, 22, &["10.0.0.0/8"]);
    let replay = Replay::new([duplicate(), groups(&[group("sg-1", "g1", &[], &there, "")])]);
    let rules = vec![described(rule("22/tcp", "10.0.0.0/8"), "ssh")];
    assert!(execute(&replay, &adding(id, rules), &atoms).await.unwrap().already);
}

#[tokio::test]
async fn a_reference_by_name_is_found_among_references_by_id() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let there = "<item><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort>\
        <groups><item><userId>111122223333</userId><groupId>sg-1</groupId></item></groups></item>";
    let listed = || groups(&[group("sg-1", "g1", &[], there, "")]);
    let replay = Replay::new([listed(), duplicate(), listed()]);
    let step = adding(id, vec![rule_from("22/tcp", group_peer(&mut atoms, "g1"))]);
    assert!(execute(&replay, &step, &atoms).await.unwrap().already);
    assert_eq!(replay.left(), 0);
}

#[tokio::test]
async fn a_rule_that_another_owner_was_quicker_to_add_gets_our_mark_and_a_strangers_does_not() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let there = permission("tcp", 22, 22, &["10.0.0.0/8", "192.0.2.0/24"]);
    let entries = [
        rule_entry("sgr-1", "sg-1", 22, "10.0.0.0/8", &[("rsgsync:security/prod", "made")]),
        rule_entry("sgr-2", "sg-1", 22, "192.0.2.0/24", &[("Name", "theirs")]),
    ];
    let replay =
        Replay::new([duplicate(), groups(&[group("sg-1", "g1", &[], &there, "")]), rule_entries(&entries), yes()]);
    let ours = |cidr| marked(rule("22/tcp", cidr), &["platform/prod"]);
    let step = adding(id, vec![ours("10.0.0.0/8"), ours("192.0.2.0/24")]);
    assert!(execute(&replay, &step, &atoms).await.unwrap().already);
    let asked = replay.asked(3);
    assert_eq!(asked.value("Action"), Some("CreateTags"));
    assert_eq!(asked.values("ResourceId.", ""), ["sgr-1"]);
    assert_eq!(asked.values("Tag.", "Key"), ["rsgsync:platform/prod"]);
    assert_eq!(replay.left(), 0);
}

#[tokio::test]
async fn a_duplicate_that_is_not_listed_yet_is_tried_again_later() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([duplicate(), groups(&[group("sg-1", "g1", &[], "", "")])]);
    let error = execute(&replay, &adding(id, vec![rule("22/tcp", "10.0.0.0/8")]), &atoms).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(error.message.starts_with("InvalidPermission.Duplicate: "), "{}", error.message);
}

#[tokio::test]
async fn rules_with_different_marks_are_authorized_apart() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([yes(), yes()]);
    let rules = vec![
        marked(rule("22/tcp", "10.0.0.0/8"), &["platform/a"]),
        marked(rule("23/tcp", "10.0.0.0/8"), &["platform/b"]),
    ];
    execute(&replay, &adding(id, rules), &atoms).await.unwrap();
    let tags = |n: usize| replay.asked(n).value("TagSpecification.1.Tag.1.Key").map(str::to_owned);
    assert_eq!((tags(0).as_deref(), tags(1).as_deref()), (Some("rsgsync:platform/a"), Some("rsgsync:platform/b")));
}

#[tokio::test]
async fn a_revoke_by_properties_echoes_the_descriptions() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([yes()]);
    let peer = group_peer(&mut atoms, "sg-2");
    execute(&replay, &removing(id, vec![described(rule_from("22/tcp", peer), "theirs")]), &atoms).await.unwrap();
    let asked = replay.asked(0);
    assert_eq!(asked.value("Action"), Some("RevokeSecurityGroupIngress"));
    assert_eq!(asked.value("IpPermissions.1.Groups.1.GroupId"), Some("sg-2"));
    assert_eq!(asked.value("IpPermissions.1.Groups.1.Description"), Some("theirs"));
}

#[tokio::test]
async fn a_revoke_refused_for_a_missing_rule_sends_the_rest_as_ec2_spells_it() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let there = permission("6", 80, 80, &["10.1.2.3/8"]);
    let replay = Replay::new([missing(), groups(&[group("sg-1", "g1", &[], &there, "")]), yes()]);
    let rules = vec![rule("22/tcp", "10.0.0.0/8"), rule("80/tcp", "10.0.0.0/8")];
    assert!(execute(&replay, &removing(id, rules), &atoms).await.unwrap().already);
    let asked = replay.asked(2);
    assert_eq!(asked.values("IpPermissions.", "CidrIp"), ["10.1.2.3/8"]);
    assert_eq!(asked.values("IpPermissions.", "IpProtocol"), ["6"]);
}

#[tokio::test]
async fn rules_that_are_all_gone_are_no_error() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([missing(), groups(&[group("sg-1", "g1", &[], "", "")])]);
    let done = execute(&replay, &removing(id, vec![rule("22/tcp", "10.0.0.0/8")]), &atoms).await.unwrap();
    assert!(done.already);
    assert_eq!(replay.left(), 0);
}

#[tokio::test]
async fn in_a_default_vpc_unknown_permissions_are_looked_up() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let unknown = permission("tcp", 22, 22, &["10.0.0.0/8"]);
    let replay = Replay::new([
        ok(&format!("<return>true</return><unknownIpPermissionSet>{unknown}</unknownIpPermissionSet>")),
        groups(&[group("sg-1", "g1", &[], "", "")]),
    ]);
    assert!(execute(&replay, &removing(id, vec![rule("22/tcp", "10.0.0.0/8")]), &atoms).await.unwrap().already);
    assert_eq!(replay.left(), 0);
}

/// Removes 22/tcp (`sgr-1`) and 80/tcp (`sgr-2`) of a shared group, both marked when they were planned; `tags` are those of
/// `sgr-1` now, `port` its port.
async fn remove_shared(port: u16, tags: &[(&str, &str)]) -> (Replay, Done) {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let ours = [("rsgsync:platform/prod", "made")];
    let replay = Replay::new([
        groups(&[]),
        super::replay::vpcs(&[("vpc-1", &[])]),
        rule_entries(&[
            rule_entry("sgr-1", "sg-1", port, "10.0.0.0/8", tags),
            rule_entry("sgr-2", "sg-1", 80, "10.0.0.0/8", &ours),
        ]),
        yes(),
        yes(),
    ]);
    let aws = aws(&replay);
    aws.observe(&scope(["g1"]), &mut atoms).await.unwrap();
    let rules = vec![
        with_id(marked(rule("22/tcp", "10.0.0.0/8"), &["platform/prod"]), "sgr-1"),
        with_id(marked(rule("80/tcp", "10.0.0.0/8"), &["platform/prod"]), "sgr-2"),
    ];
    let done = aws.execute(&removing(id, rules), &atoms).await.unwrap();
    (replay, done)
}

#[tokio::test]
async fn rules_of_a_shared_group_go_by_id_after_their_tags_were_read_again() {
    let (replay, done) = remove_shared(22, &[("rsgsync:platform/prod", "made")]).await;
    assert_eq!(replay.actions()[2..], ["DescribeSecurityGroupRules", "RevokeSecurityGroupIngress"]);
    assert_eq!(replay.asked(3).values("SecurityGroupRuleId.", ""), ["sgr-1", "sgr-2"]);
    assert!(!done.already);
}

#[tokio::test]
async fn a_rule_that_others_joined_meanwhile_only_loses_our_mark() {
    let (replay, _) = remove_shared(22, &[("rsgsync:platform/prod", "made"), ("rsgsync:other/lab", "joined")]).await;
    assert_eq!(replay.actions()[3..], ["DeleteTags", "RevokeSecurityGroupIngress"]);
    assert_eq!(replay.asked(3).values("ResourceId.", ""), ["sgr-1"]);
    assert_eq!(replay.asked(3).values("Tag.", ""), ["rsgsync:platform/prod"]);
    assert_eq!(replay.asked(4).values("SecurityGroupRuleId.", ""), ["sgr-2"]);
}

#[tokio::test]
async fn a_rule_that_lost_our_mark_meanwhile_stays() {
    for tags in [vec![], vec![("rsgsync:other/lab", "joined")]] {
        let (replay, done) = remove_shared(22, &tags).await;
        assert_eq!(replay.actions()[3..], ["RevokeSecurityGroupIngress"], "{tags:?}");
        assert_eq!(replay.asked(3).values("SecurityGroupRuleId.", ""), ["sgr-2"], "{tags:?}");
        assert!(done.already);
    }
}

#[tokio::test]
async fn a_rule_that_is_another_rule_now_stays() {
    let (replay, _) = remove_shared(443, &[("rsgsync:platform/prod", "made")]).await;
    assert_eq!(replay.asked(3).values("SecurityGroupRuleId.", ""), ["sgr-2"]);
}

#[tokio::test]
async fn marks_are_tags_put_on_and_taken_off() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([yes(), yes(), yes()]);
    let marking = Step {
        group_marks: vec![(mark("platform/prod"), Origin::Joined)],
        adds: vec![with_id(marked(rule("22/tcp", "10.0.0.0/8"), &["platform/prod"]), "sgr-1")],
        removes: vec![with_id(marked(rule("23/tcp", "10.0.0.0/8"), &["platform/prod"]), "sgr-2")],
        ..step(Action::SetMarks, id)
    };
    execute(&replay, &marking, &atoms).await.unwrap();
    assert_eq!(replay.actions(), ["CreateTags", "CreateTags", "DeleteTags"]);
    assert_eq!(replay.asked(0).values("ResourceId.", ""), ["sg-1"]);
    assert_eq!(replay.asked(0).values("Tag.1.", ""), ["rsgsync:platform/prod", "joined"]);
    assert_eq!(replay.asked(1).values("ResourceId.", ""), ["sgr-1"]);
    assert_eq!(replay.asked(2).values("ResourceId.", ""), ["sgr-2"]);
    assert_eq!(replay.asked(2).values("Tag.1.", ""), ["rsgsync:platform/prod"]);
}

#[tokio::test]
async fn a_group_that_is_left_loses_our_mark_alone() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([yes()]);
    let leaving = Step { group_unmarks: vec![mark("platform/prod")], ..step(Action::SetMarks, id) };
    execute(&replay, &leaving, &atoms).await.unwrap();
    assert_eq!(replay.actions(), ["DeleteTags"]);
    assert_eq!(replay.asked(0).values("ResourceId.", ""), ["sg-1"]);
    assert_eq!(replay.asked(0).values("Tag.", ""), ["rsgsync:platform/prod"]);
}

#[tokio::test]
async fn taking_off_no_mark_is_no_call() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([]);
    let leaving = Step { removes: vec![with_id(rule("22/tcp", "10.0.0.0/8"), "sgr-1")], ..step(Action::SetMarks, id) };
    assert!(execute(&replay, &leaving, &atoms).await.unwrap().already);
    assert!(replay.actions().is_empty());
}

#[tokio::test]
async fn ids_that_a_step_does_not_know_are_looked_up() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([
        rule_entries(&[
            rule_entry("sgr-7", "sg-1", 22, "10.0.0.0/8", &[]),
            rule_entry("sgr-8", "sg-1", 23, "10.0.0.0/8", &[]),
        ]),
        yes(),
    ]);
    let marking =
        Step { adds: vec![marked(rule("23/tcp", "10.0.0.0/8"), &["platform/prod"])], ..step(Action::SetMarks, id) };
    execute(&replay, &marking, &atoms).await.unwrap();
    assert_eq!(replay.asked(1).values("ResourceId.", ""), ["sgr-8"]);
}

#[tokio::test]
async fn descriptions_are_updated_in_place() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([yes()]);
    let describing =
        Step { adds: vec![described(rule("22/tcp", "10.0.0.0/8"), "ssh")], ..step(Action::UpdateDescriptions, id) };
    execute(&replay, &describing, &atoms).await.unwrap();
    assert_eq!(replay.actions(), ["UpdateSecurityGroupRuleDescriptionsIngress"]);
    assert_eq!(replay.asked(0).value("IpPermissions.1.IpRanges.1.Description"), Some("ssh"));
}

#[tokio::test]
async fn descriptions_of_rules_that_are_gone_are_left_out() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let there = permission("tcp", 80, 80, &["10.0.0.0/8"]);
    let replay = Replay::new([missing(), groups(&[group("sg-1", "g1", &[], &there, "")]), yes()]);
    let rules = vec![described(rule("22/tcp", "10.0.0.0/8"), "a"), described(rule("80/tcp", "10.0.0.0/8"), "b")];
    let describing = Step { adds: rules, ..step(Action::UpdateDescriptions, id) };
    execute(&replay, &describing, &atoms).await.unwrap();
    assert_eq!(replay.asked(2).values("IpPermissions.", "FromPort"), ["80"]);
}

#[tokio::test]
async fn a_group_that_our_lost_call_made_is_taken_as_made() {
    let mut atoms = Atoms::new();
    let name = atoms.intern("g1");
    let exists = || error(400, "InvalidGroup.Duplicate", "The security group 'g1' already exists for VPC 'vpc-1'");
    let listed = |tags: &[(&str, &str)]| groups(&[group("sg-1", "g1", tags, "", "")]);
    let replay = Replay::new([exists(), listed(&[("rsgsync:platform/prod", "made")])]);
    let done = execute(&replay, &creating(name, &["platform/prod"]), &atoms).await.unwrap();
    assert_eq!((done.group_id.as_deref(), done.already), (Some("sg-1"), true));

    for tags in [vec![], vec![("rsgsync:other/prod", "made")], vec![("rsgsync:platform/prod", "joined")]] {
        let replay = Replay::new([exists(), listed(&tags)]);
        let error = execute(&replay, &creating(name, &["platform/prod"]), &atoms).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Final, "{tags:?}");
        assert_eq!(error.message, "sg-1 took that name since the plan was made, and is not ours");
    }
}

#[tokio::test]
async fn a_group_that_is_gone_is_deleted_already() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([yes(), error(400, "InvalidGroup.NotFound", "gone")]);
    let aws = aws(&replay);
    let deleting = step(Action::DeleteGroup, id);
    assert!(!aws.execute(&deleting, &atoms).await.unwrap().already);
    assert!(aws.execute(&deleting, &atoms).await.unwrap().already);
    assert_eq!(replay.asked(0).value("GroupId"), Some("sg-1"));
}

#[tokio::test]
async fn a_name_that_nobody_has_is_an_error() {
    let mut atoms = Atoms::new();
    let name = atoms.intern("nobody");
    let replay = Replay::new([groups(&[])]);
    let error = execute(&replay, &adding(name, vec![rule("22/tcp", "10.0.0.0/8")]), &atoms).await.unwrap_err();
    assert_eq!(error.doing, "looking for security group `nobody` of vpc-1");
}

#[tokio::test]
async fn another_accounts_group_needs_its_id() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let peer = group_peer(&mut atoms, "444455556666/theirs");
    let replay = Replay::new([]);
    let error = execute(&replay, &adding(id, vec![rule_from("22/tcp", peer)]), &atoms).await.unwrap_err();
    assert_eq!(error.message, "AWS knows another account's groups by id alone");
}

#[tokio::test]
async fn calls_are_counted_repetitions_included() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([duplicate(), groups(&[group("sg-1", "g1", &[], "", "")]), error(503, "Unavailable", "")]);
    let aws = aws(&replay);
    let step = adding(id, vec![rule("22/tcp", "10.0.0.0/8")]);
    for _ in 0..2 {
        aws.execute(&step, &atoms).await.unwrap_err();
    }
    assert_eq!(
        aws.calls(),
        [("AuthorizeSecurityGroupIngress".to_owned(), 2), ("DescribeSecurityGroups".to_owned(), 1)].into()
    );
}
