use super::*;
use crate::document::{checksum, document};
use crate::guard::GuardsInForce;
use crate::plan::tests::{plan_of, wish};
use crate::proof::Fault;
use crate::testing::group;

/// A plan that replaces a wide rule by a narrow one, makes a group, and uses every kind of rule.
fn saved() -> Value {
    let have = group("web", &["tcp from 10.0.0.0/8", "icmp/8/0 from g:web", "esp from ::/0", "all to 0.0.0.0/0"], true);
    let want = ["22/tcp from 10.0.0.0/8", "icmp/8/0 from g:web", "icmp/3 from g:db", "50/udp from fd00::/8"];
    let plan = plan_of(vec![wish("web", &want), wish("db", &["22/tcp from g:web"])], vec![have]);
    serde_json::to_value(document(&plan, &GuardsInForce::default(), "rsgsync test")).unwrap()
}

fn read(value: &Value) -> Result<Saved, ReadError> {
    Saved::read(value.to_string().as_bytes())
}

/// The plan after a change that a checksum doesn't show.
fn forged(change: impl FnOnce(&mut Value)) -> Proof {
    let mut value = saved();
    change(&mut value);
    seal(&mut value);
    read(&value).unwrap().prove()
}

/// Gives a changed plan the checksum of its contents.
fn seal(plan: &mut Value) {
    let document: Document = serde_json::from_value(plan.clone()).unwrap();
    plan["checksum"] = checksum(&document).into();
}

fn step_of(value: &mut Value, action: &str) -> usize {
    value["steps"].as_array().unwrap().iter().position(|s| s["action"] == action).unwrap()
}

#[test]
fn a_saved_plan_is_proved_again() {
    let value = saved();
    let proof = read(&value).unwrap().prove();
    assert!(proof.holds(), "{:?}", proof.witness);
    assert_eq!(proof.required_flows, value["proof"]["required_flows"]);
    assert_eq!(proof.held_before, value["proof"]["held_before"]);
}

#[test]
fn a_forgotten_dependency_is_found() {
    let proof = forged(|plan| {
        let at = step_of(plan, "remove_rules");
        plan["steps"][at]["depends_on"] = Value::Array(Vec::new());
    });
    assert_eq!(proof.witness.map(|w| w.fault), Some(Fault::Cut));
}

#[test]
fn a_rule_that_is_wider_by_one_port_is_found() {
    let proof = forged(|plan| {
        let adds = |s: &Value| s["action"] == "add_rules" && s["security_group"] == "web";
        let at = plan["steps"].as_array().unwrap().iter().position(adds).unwrap();
        let rules = plan["steps"][at]["rules"].as_array_mut().unwrap();
        let rule = rules.iter_mut().find(|r| r["from_port"] == 50).unwrap();
        rule["to_port"] = 51.into();
    });
    assert_eq!(proof.witness.map(|w| w.fault), Some(Fault::Opened));
}

/// A plan for a group that we share: a rule of ours goes, a stranger's and a joint one stay.
fn shared() -> Value {
    let rules = ["22/tcp from g:web # platform/prod", "23/tcp from g:web", "24/tcp from g:web # platform/prod, a/b"];
    let plan = plan_of(vec![wish("web", &[])], vec![group("web", &rules, false)]);
    serde_json::to_value(document(&plan, &GuardsInForce::default(), "rsgsync test")).unwrap()
}

#[test]
fn a_saved_plan_says_whose_rules_are() {
    let mut plan = shared();
    assert!(read(&plan).unwrap().prove().holds());
    for foreign in [1, 2] {
        let mut plan = plan.clone();
        let at = step_of(&mut plan, "remove_rules");
        plan["steps"][at]["rules"][0] = plan["observed"][0]["rules"][foreign].clone();
        seal(&mut plan);
        let proof = read(&plan).unwrap().prove();
        assert_eq!(proof.witness.map(|w| w.fault), Some(Fault::NotOurs), "{foreign}");
    }
    plan["clusters"] = Value::Array(Vec::new());
    seal(&mut plan);
    let witness = read(&plan).unwrap().prove().witness;
    assert_eq!(witness.map(|w| w.fault), Some(Fault::NotOurs), "no mark is ours without its cluster");
}

#[test]
fn a_plan_of_before_marks_were_saved_is_still_read_and_proved() {
    let mut plan = shared();
    plan.as_object_mut().unwrap().remove("clusters");
    for rule in plan["observed"][0]["rules"].as_array_mut().unwrap() {
        rule.as_object_mut().unwrap().remove("marks");
    }
    seal(&mut plan);
    assert!(read(&plan).unwrap().prove().holds());
}

#[test]
fn a_plan_with_fields_of_a_later_program_is_not_taken_for_damaged() {
    let mut plan = saved();
    plan["later"] = "word".into();
    plan["checksum"] = checksum_of(&plan).into();
    assert!(read(&plan).unwrap().prove().holds());
}

#[test]
fn damage_is_shown_by_the_checksum() {
    let mut value = saved();
    value["owner"] = "somebody".into();
    assert!(matches!(read(&value), Err(ReadError::Damaged { .. })));
}

#[test]
fn a_plan_of_another_version_is_named() {
    let mut value = saved();
    value["version"] = 2.into();
    assert_eq!(read(&value).err(), Some(ReadError::Version(2)));
}

#[test]
fn what_is_no_plan_is_an_error_and_never_a_panic() {
    let whole = saved().to_string();
    for end in (0..whole.len()).step_by(97) {
        assert!(matches!(Saved::read(&whole.as_bytes()[..end]), Err(ReadError::Shape(_))), "{end}");
    }
    for junk in [&b"\x00\xff"[..], b"[]", b"{}", b"null", b"{\"version\":\"1\"}", b"{\"version\":1}"] {
        assert!(matches!(Saved::read(junk), Err(ReadError::Shape(_))));
    }
}

#[test]
fn a_value_that_no_rule_has_is_named_with_its_place() {
    let mut value = saved();
    value["steps"][1]["rules"][0]["protocol"] = "tpc".into();
    seal(&mut value);
    assert_eq!(
        read(&value).err().map(|e| e.to_string()).as_deref(),
        Some("steps[1].rules[0]: `tpc` is not a protocol")
    );
}
