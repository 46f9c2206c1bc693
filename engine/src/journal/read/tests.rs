use rsgsync_core::document::{Document, checksum};
use serde_json::json;

use super::*;

/// A saved plan: group `db` is made, gets a rule, and then `web` loses one.
fn plan() -> Value {
    let step = |id: u32, group: &str, action: &str, depends_on: &[u32]| {
        json!({
            "id": id, "network": "lab", "security_group": group, "direction": "ingress", "action": action,
            "depends_on": depends_on, "resource": null, "rules": [], "removes": [], "marks": [], "unmarks": [],
        })
    };
    let steps =
        [step(1, "db", "create_group", &[]), step(2, "db", "add_rules", &[1]), step(3, "web", "remove_rules", &[2])];
    let proof = json!({
        "holds": true, "required_flows": 0, "held_before": 0, "kept": 0, "opened_outside_desired": 0, "guards": 0,
        "assumptions": [], "gaps": [], "gap_rules": [], "witness": null,
    });
    let mut plan = json!({
        "version": 1, "digest": "", "checksum": "", "created_by": "rsgsync test", "owner": "platform",
        "refused": null, "proof": proof, "steps": steps,
    });
    let lists = "networks groups observed required guards exempt trusted unopened without_members assumed foreign held \
                 needed_elsewhere lost notes";
    lists.split(' ').for_each(|list| plan[list] = json!([]));
    let mut document: Document = serde_json::from_value(plan).unwrap();
    document.checksum = checksum(&document);
    serde_json::to_value(document).unwrap()
}

pub(in crate::journal) fn header() -> String {
    json!({ "at": "2026-01-02T03:04:05.678Z", "event": "header", "version": 1, "command": "apply", "plan": plan() })
        .to_string()
}

fn intent(step: u32) -> String {
    json!({ "at": format!("2026-01-02T03:04:0{step}.000Z"), "event": "intent", "step": step }).to_string()
}

fn done(step: u32) -> String {
    json!({ "event": "outcome", "step": step, "ok": true }).to_string()
}

fn failed(step: u32) -> String {
    json!({ "event": "outcome", "step": step, "ok": false, "error": "denied" }).to_string()
}

fn read_back(step: u32) -> String {
    json!({ "event": "read_back", "steps": [step] }).to_string()
}

fn end(done: usize, failed: usize, skipped: usize) -> String {
    json!({ "event": "end", "done": done, "failed": failed, "skipped": skipped }).to_string()
}

const CLOSED: &str = "{\"event\":\"closed\"}";

/// What the lines behind a header tell.
fn told(lines: &[&str]) -> Result<Record, Damage> {
    let text = header() + "\n" + &lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    read(text.as_bytes()).map(|record| record.expect("a plan"))
}

#[track_caller]
fn refuses(lines: &[&str], line: usize, wrong: Wrong) {
    assert_eq!(told(lines).unwrap_err(), Damage { line, wrong });
}

#[test]
fn a_whole_run_is_told() {
    let lines = [&intent(1), &done(1), &intent(2), &done(2), &read_back(2), &intent(3), &failed(3), &end(2, 1, 0)];
    let record = told(&lines.map(String::as_str)).unwrap();
    assert_eq!((record.command.as_str(), record.ending, record.closed), ("apply", Ending::Finished, false));
    let done = Came::Done { group_id: None };
    assert_eq!(record.begun, BTreeMap::from([(StepId(1), done.clone()), (StepId(2), done), (StepId(3), Came::Failed)]));
    assert_eq!(record.plan.document.owner, "platform");
}

#[test]
fn the_id_of_a_new_group_is_told() {
    let made = json!({ "event": "outcome", "step": 1, "ok": true, "group_id": "sg-7" }).to_string();
    let record = told(&[&intent(1), &made]).unwrap();
    assert_eq!(record.begun[&StepId(1)], Came::Done { group_id: Some("sg-7".to_owned()) });
}

#[test]
fn a_kill_between_two_lines_leaves_a_step_of_which_nothing_is_known() {
    let record = told(&[&intent(1)]).unwrap();
    assert_eq!((record.ending, &record.begun[&StepId(1)]), (Ending::Stopped, &Came::Unknown));
    assert_eq!(record.last.as_deref(), Some("2026-01-02T03:04:01.000Z"));
}

#[test]
fn every_cut_of_a_journal_is_what_a_kill_leaves() {
    let whole = [header(), intent(1), done(1), end(1, 0, 2)].join("\n") + "\n";
    let head = header().len();
    for cut in 0..whole.len() {
        let record = read(&whole.as_bytes()[..cut]).unwrap();
        assert_eq!(record.is_some(), cut > head, "{cut}");
        let Some(record) = record else { continue };
        let torn = !whole[..cut].ends_with('\n');
        assert_eq!(record.ending, if torn { Ending::Torn } else { Ending::Stopped }, "{cut}");
    }
    assert_eq!(read(whole.as_bytes()).unwrap().unwrap().ending, Ending::Finished);
}

#[test]
fn a_journal_that_a_later_run_closed_says_so() {
    let record = told(&[&intent(1), CLOSED]).unwrap();
    assert_eq!((record.ending, record.closed), (Ending::Stopped, true));
    let torn = told(&[&intent(1), "{\"event\":\"outc", CLOSED]).unwrap();
    assert_eq!((torn.ending, torn.closed, &torn.begun[&StepId(1)]), (Ending::Torn, true, &Came::Unknown));
    for nothing in [format!("{CLOSED}\n"), format!("{}\n{CLOSED}\n", &header()[..99])] {
        assert!(read(nothing.as_bytes()).unwrap().is_none());
    }
}

#[test]
fn keys_that_are_not_known_are_passed_over() {
    assert!(told(&["{\"event\":\"intent\",\"step\":1,\"why\":[[1]]}", CLOSED]).is_ok());
}

#[test]
fn damage_before_the_last_line_is_named_with_its_line() {
    for junk in ["", "\u{0}\u{0}\u{0}", "{\"event\":\"int", "[]", "{\"event\":\"tea\"}", "{\"event\":\"intent\"}"] {
        let damage = told(&[&intent(1), junk, &done(1)]).unwrap_err();
        assert!(matches!(damage, Damage { line: 3, wrong: Wrong::Shape(_) }), "{junk}: {damage}");
    }
    assert!(matches!(read(b"hello\n{}\n"), Err(Damage { line: 1, wrong: Wrong::Shape(_) })));
    assert!(matches!(read(b"\n"), Err(Damage { line: 1, wrong: Wrong::Shape(_) })));
}

#[test]
fn the_first_line_must_be_the_header() {
    let text = intent(1) + "\n";
    let damage = read(text.as_bytes()).unwrap_err();
    assert_eq!(
        damage.to_string(),
        "line 1: not an event of a journal: the first line is a header with a version, not `intent`"
    );
    refuses(&[&header()], 2, Wrong::SecondHeader);
}

#[test]
fn a_journal_from_the_future_is_told_by_its_version_whatever_else_it_has() {
    let damage = read(b"{\"event\":\"header\",\"version\":2,\"scheme\":{}}\n{\"event\":\"tea\"}\n").unwrap_err();
    assert_eq!(damage, Damage { line: 1, wrong: Wrong::Version(2) });
    assert_eq!(damage.to_string(), "line 1: a journal of version 2; this program reads version 1");
}

#[test]
fn a_plan_that_is_damaged_is_damage_of_the_first_line() {
    let text = header().replace("platform", "plattform") + "\n";
    assert!(matches!(read(text.as_bytes()), Err(Damage { line: 1, wrong: Wrong::Plan(ReadError::Damaged { .. }) })));
}

#[test]
fn a_plan_of_a_later_program_with_more_keys_is_read() {
    let text = header();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["plan"]["steps"][0]["hue"] = "red".into();
    assert!(matches!(
        read(format!("{value}\n").as_bytes()),
        Err(Damage { line: 1, wrong: Wrong::Plan(ReadError::Damaged { .. }) })
    ));
    // With the checksum that such a program writes, which is of all keys.
    let Err(Damage { wrong: Wrong::Plan(ReadError::Damaged { expected, .. }), .. }) =
        read(format!("{value}\n").as_bytes())
    else {
        panic!("damaged")
    };
    value["plan"]["checksum"] = expected.into();
    assert!(read(format!("{value}\n").as_bytes()).unwrap().is_some());
}

#[test]
fn a_step_that_the_plan_does_not_have_is_refused() {
    refuses(&[&intent(9)], 2, Wrong::NoSuchStep(StepId(9)));
    refuses(&[&read_back(9)], 2, Wrong::NoSuchStep(StepId(9)));
}

#[test]
fn a_step_is_begun_once() {
    refuses(&[&intent(1), &intent(1)], 3, Wrong::BegunTwice(StepId(1)));
    refuses(&[&intent(1), &done(1), &intent(1)], 4, Wrong::BegunTwice(StepId(1)));
}

#[test]
fn a_step_is_begun_when_what_it_depends_on_is_done() {
    let early = |step, needs| Wrong::TooEarly { step: StepId(step), needs: StepId(needs) };
    refuses(&[&intent(2)], 2, early(2, 1));
    refuses(&[&intent(1), &intent(2)], 3, early(2, 1));
    refuses(&[&intent(1), &failed(1), &intent(2)], 4, early(2, 1));
}

#[test]
fn an_outcome_follows_its_intent_and_there_is_one() {
    refuses(&[&done(1)], 2, Wrong::NotUnderWay(StepId(1)));
    refuses(&[&intent(1), &done(1), &failed(1)], 4, Wrong::NotUnderWay(StepId(1)));
    refuses(&[&intent(1), &done(9)], 3, Wrong::NotUnderWay(StepId(9)));
}

#[test]
fn only_additions_that_are_done_are_read_back() {
    refuses(&[&intent(1), &done(1), &read_back(1)], 4, Wrong::NotAdded(StepId(1)));
    refuses(&[&intent(1), &done(1), &intent(2), &read_back(2)], 5, Wrong::NotAdded(StepId(2)));
}

#[test]
fn nothing_follows_the_end() {
    for line in [&intent(2), &end(1, 0, 2), &done(1), &read_back(1)] {
        refuses(&[&intent(1), &done(1), &end(1, 0, 2), line], 5, Wrong::AfterEnd);
    }
    refuses(&[&end(0, 0, 3), CLOSED], 3, Wrong::AfterEnd);
    let text = [header(), end(0, 0, 3), "{\"ev".to_owned()].join("\n");
    assert_eq!(read(text.as_bytes()).unwrap_err(), Damage { line: 3, wrong: Wrong::AfterEnd });
    assert!(matches!(told(&[CLOSED, &intent(1)]), Err(Damage { line: 2, wrong: Wrong::Shape(_) })));
}

#[test]
fn the_end_comes_when_nothing_is_under_way_and_counts_right() {
    refuses(&[&intent(1), &end(0, 0, 2)], 3, Wrong::StillUnderWay(StepId(1)));
    let wrong = Wrong::Counts { said: (3, 0, 0), found: (1, 0, 2) };
    refuses(&[&intent(1), &done(1), &end(3, 0, 0)], 4, wrong);
}

#[test]
fn a_line_that_is_far_too_long_is_refused_unread() {
    let long = format!("{{\"event\":\"intent\",\"step\":1,\"pad\":\"{}\"}}", "x".repeat(LONGEST));
    refuses(&[&long], 2, Wrong::TooLong);
}
