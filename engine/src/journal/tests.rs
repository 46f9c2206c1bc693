use super::*;

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A line without its moment, which must be one.
#[track_caller]
fn timeless(mut line: serde_json::Value) -> serde_json::Value {
    let at = line.as_object_mut().unwrap().remove("at").unwrap();
    at.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    line
}

fn journal(path: &Path) -> Journal {
    Journal::create(path, "apply", serde_json::Value::Null).unwrap()
}

#[test]
fn the_plan_is_on_the_disk_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/run.jsonl");
    let _journal = Journal::create(&path, "apply", serde_json::json!({ "digest": "abc" })).unwrap();
    let header =
        serde_json::json!({ "event": "header", "version": 1, "command": "apply", "plan": { "digest": "abc" } });
    let found: Vec<_> = lines(&path).into_iter().map(timeless).collect();
    assert_eq!(found, [header]);
}

#[test]
fn an_event_is_a_line_that_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let mut journal = journal(&path);
    let done = Done { group_id: Some("sg-1".to_owned()), request_id: None, already: true };
    let event = Event::outcome(StepId(7), Ok(&done));
    journal.note(event.clone());
    journal.sync().unwrap();
    let line = timeless(lines(&path).pop().unwrap());
    let expected =
        serde_json::json!({ "event": "outcome", "step": 7, "ok": true, "already": true, "group_id": "sg-1" });
    assert_eq!(line, expected);
    assert_eq!(serde_json::from_value::<Event>(line).unwrap(), event);
}

#[test]
fn an_existing_file_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    fs::write(&path, "precious").unwrap();
    assert!(Journal::create(&path, "apply", serde_json::Value::Null).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn nothing_is_written_behind_what_somebody_else_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let mut journal = journal(&path);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"event\":\"closed\"}\n").unwrap();
    journal.note(Event::Intent { step: StepId(1) });
    assert!(journal.sync().is_err());
    journal.note(Event::End { done: 0, failed: 0, skipped: 0 });
    assert!(journal.sync().is_err(), "once broken, it stays so");
    assert_eq!(lines(&path).len(), 2, "and what the other wrote is still there");
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let _journal = journal(&path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
