//! What EC2 refuses, refused here: the codes and messages of its API reference.

use rsgsync_core::traffic::Traffic;

use super::*;

/// A world of two groups, `one` and `two`, and their ids.
fn world() -> (World, String, String) {
    let mut world = World::default();
    let one = world.create_group("one", "the first", Tags::new()).unwrap();
    let two = world.create_group("two", "the second", Tags::new()).unwrap();
    (world, one, two)
}

fn ingress(traffic: &str, peer: Peer) -> Permission {
    Permission { direction: Direction::Ingress, traffic: Traffic::parse(traffic).unwrap(), peer }
}

fn from(traffic: &str, cidr: &str) -> Permission {
    ingress(traffic, Peer::Cidr(Cidr::parse(cidr).unwrap()))
}

fn authorize(world: &mut World, group: &str, rules: &[Permission]) -> Result<(), Refusal> {
    let rules = rules.iter().map(|rule| (rule.clone(), String::new())).collect();
    world.authorize(group, Direction::Ingress, rules, &Tags::new())
}

/// The call is refused with `code`, and nothing has changed.
fn refused<T>(world: &mut World, code: &str, call: impl FnOnce(&mut World) -> Result<T, Refusal>) -> String {
    let before = world.clone();
    let refusal = call(world).err().unwrap_or_else(|| panic!("{code} expected"));
    assert_eq!(refusal.code, code, "{}", refusal.message);
    assert_eq!(*world, before);
    refusal.message
}

#[test]
fn a_new_group_lets_everything_out_to_ipv4() {
    let (world, one, _) = world();
    let rules: Vec<&Permission> = world.find(&one).unwrap().rules.iter().map(|rule| &rule.permission).collect();
    assert_eq!(rules, [&default_egress()]);
}

#[test]
fn a_name_is_taken_once() {
    let (mut world, ..) = world();
    refused(&mut world, "InvalidGroup.Duplicate", |w| w.create_group("one", "again", Tags::new()));
}

#[test]
fn a_name_like_an_id_is_refused() {
    let (mut world, ..) = world();
    refused(&mut world, "InvalidParameterValue", |w| w.create_group("sg-web", "a group", Tags::new()));
    refused(&mut world, "InvalidGroup.Reserved", |w| w.create_group("default", "a group", Tags::new()));
}

#[test]
fn a_batch_with_one_duplicate_is_refused_whole() {
    let (mut world, one, _) = world();
    authorize(&mut world, &one, &[from("22/tcp", "10.0.0.0/8")]).unwrap();
    let batch = [from("80/tcp", "10.0.0.0/8"), from("22/tcp", "10.0.0.0/8")];
    let message = refused(&mut world, "InvalidPermission.Duplicate", |w| authorize(w, &one, &batch));
    assert!(message.contains("10.0.0.0/8, 22/tcp"), "{message}");
}

#[test]
fn a_description_makes_no_other_rule() {
    let (mut world, one, _) = world();
    authorize(&mut world, &one, &[from("22/tcp", "10.0.0.0/8")]).unwrap();
    let described = vec![(from("22/tcp", "10.0.0.0/8"), "ssh".to_owned())];
    refused(&mut world, "InvalidPermission.Duplicate", |w| {
        w.authorize(&one, Direction::Ingress, described, &Tags::new())
    });
}

#[test]
fn host_bits_make_no_other_rule() {
    let (mut world, one, _) = world();
    authorize(&mut world, &one, &[from("22/tcp", "10.1.0.0/16")]).unwrap();
    refused(&mut world, "InvalidPermission.Duplicate", |w| authorize(w, &one, &[from("22/tcp", "10.1.2.3/16")]));
}

#[test]
fn a_batch_that_says_a_rule_twice_is_refused() {
    let (mut world, one, _) = world();
    let batch = [from("22/tcp", "10.0.0.0/8"), from("22/tcp", "10.0.0.0/8")];
    refused(&mut world, "InvalidParameterValue", |w| authorize(w, &one, &batch));
}

#[test]
fn a_reference_needs_its_group() {
    let (mut world, one, _) = world();
    let rule = ingress("22/tcp", Peer::Group("sg-99".to_owned()));
    refused(&mut world, "InvalidGroup.NotFound", |w| authorize(w, &one, &[rule]));
}

#[test]
fn revoking_one_missing_rule_refuses_the_batch() {
    let (mut world, one, _) = world();
    let there = from("22/tcp", "10.0.0.0/8");
    authorize(&mut world, &one, std::slice::from_ref(&there)).unwrap();
    let batch = [there, from("80/tcp", "10.0.0.0/8")];
    refused(&mut world, "InvalidPermission.NotFound", |w| w.revoke(&one, &batch));
}

#[test]
fn a_referenced_group_is_not_deleted_and_the_message_says_why() {
    let (mut world, one, two) = world();
    authorize(&mut world, &one, &[ingress("22/tcp", Peer::Group(two.clone()))]).unwrap();
    let message = refused(&mut world, "DependencyViolation", |w| w.delete_group(&two));
    assert!(message.contains(&format!("{one} (one)")), "{message}");
}

#[test]
fn a_group_that_refers_to_itself_is_deleted() {
    let (mut world, one, _) = world();
    authorize(&mut world, &one, &[ingress("22/tcp", Peer::Group(one.clone()))]).unwrap();
    world.delete_group(&one).unwrap();
    assert!(world.find("one").is_none());
    refused(&mut world, "InvalidGroup.NotFound", |w| w.delete_group(&one));
}

#[test]
fn ids_are_never_given_out_twice() {
    let (mut world, _, two) = world();
    world.delete_group(&two).unwrap();
    assert_ne!(world.create_group("two", "again", Tags::new()).unwrap(), two);
}

/// 60 rules of one family, as ports from 1 up.
fn sixty(cidr: &str) -> Vec<Permission> {
    (1..=60).map(|port| from(&format!("{port}/tcp"), cidr)).collect()
}

#[test]
fn families_are_counted_apart() {
    let (mut world, one, _) = world();
    authorize(&mut world, &one, &sixty("10.0.0.0/8")).unwrap();
    authorize(&mut world, &one, &sixty("fd00::/8")).unwrap();
    let code = "RulesPerSecurityGroupLimitExceeded";
    refused(&mut world, code, |w| authorize(w, &one, &[from("99/tcp", "10.0.0.0/8")]));
}

#[test]
fn a_reference_counts_in_both_families() {
    let (mut world, one, two) = world();
    authorize(&mut world, &one, &sixty("fd00::/8")).unwrap();
    let rule = ingress("22/tcp", Peer::Group(two));
    refused(&mut world, "RulesPerSecurityGroupLimitExceeded", |w| authorize(w, &one, &[rule]));
}

#[test]
fn directions_are_counted_apart() {
    let (mut world, one, _) = world();
    authorize(&mut world, &one, &sixty("10.0.0.0/8")).unwrap();
    let out = Permission { direction: Direction::Egress, ..from("22/tcp", "10.0.0.0/8") };
    world.authorize(&one, Direction::Egress, vec![(out, String::new())], &Tags::new()).unwrap();
}

#[test]
fn a_batch_over_the_quota_adds_nothing() {
    let (mut world, one, _) = world();
    let mut batch = sixty("10.0.0.0/8");
    batch.push(from("61/tcp", "10.0.0.0/8"));
    refused(&mut world, "RulesPerSecurityGroupLimitExceeded", |w| authorize(w, &one, &batch));
}

#[test]
fn groups_have_a_quota() {
    let (mut world, ..) = world();
    world.quota.groups = 2;
    refused(&mut world, "SecurityGroupLimitExceeded", |w| w.create_group("three", "a group", Tags::new()));
}

#[test]
fn descriptions_have_an_alphabet_and_a_length() {
    let (mut world, one, _) = world();
    for bad in ["etcd <peer>", "für etcd", "a\u{7}", "it's", &"x".repeat(256)] {
        let rules = vec![(from("22/tcp", "10.0.0.0/8"), bad.to_owned())];
        refused(&mut world, "InvalidParameterValue", |w| w.authorize(&one, Direction::Ingress, rules, &Tags::new()));
        refused(&mut world, "InvalidParameterValue", |w| w.create_group("three", bad, Tags::new()));
    }
    let fine = "a-zA-Z0-9 ._-:/()#,@[]+=&;{}!$*".to_owned() + &"x".repeat(224);
    assert_eq!(fine.len(), 255);
    world.authorize(&one, Direction::Ingress, vec![(from("22/tcp", "::/0"), fine)], &Tags::new()).unwrap();
}

#[test]
fn a_resource_has_fifty_tags() {
    let (mut world, one, _) = world();
    let tags = |from: u32, to: u32| (from..to).map(|n| (format!("k{n}"), String::new())).collect::<Tags>();
    world.tag_group(&one, &tags(0, 50)).unwrap();
    world.tag_group(&one, &tags(10, 20)).unwrap();
    refused(&mut world, "TagLimitExceeded", |w| w.tag_group(&one, &tags(50, 51)));
}
