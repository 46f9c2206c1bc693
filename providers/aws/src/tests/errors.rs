//! What the engine and the user are told about failed calls.

use std::time::Duration;

use rsgsync_core::plan::Action;
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Cloud, CloudError, ErrorKind};
use serde_json::json;

use super::replay::{Answer, Replay, error, group, groups, ok};
use super::{adding, aws, aws_at, creating, rule, scope, step};

/// Adds a rule to `sg-1`; EC2 gives this answer.
async fn adding_gets(answer: Answer) -> CloudError {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let step = adding(id, vec![rule("22/tcp", "10.0.0.0/8")]);
    aws(&Replay::new([answer])).execute(&step, &atoms).await.unwrap_err()
}

async fn reading_gets(answer: Answer) -> CloudError {
    aws(&Replay::new([answer])).observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap_err()
}

fn help(error: &CloudError) -> &str {
    error.help.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn throttling_is_told_from_other_errors_and_says_how_long() {
    for code in ["RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"] {
        let kind = adding_gets(error(503, code, "slow down")).await.kind;
        assert_eq!(kind, ErrorKind::Throttled(None), "{code}");
    }
    let Answer::Http { status, body, .. } = error(503, "RequestLimitExceeded", "slow down") else { unreachable!() };
    let answer = Answer::Http { status, headers: vec![("retry-after", "7".to_owned())], body };
    assert_eq!(adding_gets(answer).await.kind, ErrorKind::Throttled(Some(Duration::from_secs(7))));
}

#[tokio::test]
async fn trouble_on_aws_side_is_transient() {
    for (status, code) in [(500, "InternalError"), (503, "Unavailable"), (503, "ServiceUnavailable")] {
        assert_eq!(adding_gets(error(status, code, "sorry")).await.kind, ErrorKind::Transient, "{code}");
    }
    let html = Answer::Http { status: 502, headers: Vec::new(), body: "<html>Bad Gateway</html>".to_owned() };
    let error = adding_gets(html).await;
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(error.message.starts_with("the answer (HTTP 502) can't be read"), "{}", error.message);
}

#[tokio::test]
async fn a_connection_that_breaks_loses_the_answer() {
    let error = adding_gets(Answer::Broken("connection reset by peer")).await;
    assert_eq!(error.kind, ErrorKind::Lost);
    assert_eq!(error.message, "the connection broke at https://ec2.eu-west-1.amazonaws.com: connection reset by peer");
}

#[tokio::test]
async fn a_garbled_answer_loses_the_answer() {
    for body in ["<html>Welcome to the hotel</html>", "", "<ACTIONResponse", "{}"] {
        let answer = Answer::Http { status: 200, headers: Vec::new(), body: body.to_owned() };
        let error = adding_gets(answer).await;
        assert_eq!(error.kind, ErrorKind::Lost, "{body}");
        assert!(error.message.starts_with("the answer (HTTP 200) can't be read: "), "{}", error.message);
        assert!(help(&error).contains("proxy"));
    }
}

#[tokio::test]
async fn a_garbled_answer_to_a_read_is_final() {
    let answer =
        Answer::Http { status: 200, headers: Vec::new(), body: "<html>Welcome to the hotel</html>".to_owned() };
    assert_eq!(reading_gets(answer).await.kind, ErrorKind::Final);
}

#[tokio::test]
async fn an_answer_that_ends_early_is_not_taken_for_fewer_groups() {
    let Answer::Http { status, headers, body } =
        groups(&[group("sg-1", "g1", &[], "", ""), group("sg-2", "g1", &[], "", "")])
    else {
        panic!("an answer")
    };
    let end = body.find("sg-2").unwrap();
    let error = reading_gets(Answer::Http { status, headers, body: body[..end].to_owned() }).await;
    assert_eq!(error.kind, ErrorKind::Lost);
    let said = &error.message;
    assert!(said.starts_with("the answer (HTTP 200) can't be read: "), "{said}");
    assert!(said.ends_with("it ends in the middle"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_first_read_that_hangs_is_final_and_a_later_call_loses_its_answer() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let error = reading_gets(Answer::Never).await;
    assert_eq!(error.kind, ErrorKind::Final);
    assert!(
        error.message.starts_with("no answer in time at https://ec2.eu-west-1.amazonaws.com: "),
        "{}",
        error.message
    );

    let replay = Replay::new([groups(&[]), super::replay::vpcs(&[("vpc-1", &[])]), Answer::Never, Answer::Never]);
    let aws = aws(&replay);
    aws.observe(&scope(["g1"]), &mut atoms).await.unwrap();
    assert_eq!(aws.observe(&scope(["g1"]), &mut atoms).await.unwrap_err().kind, ErrorKind::Lost);
    let adding = adding(id, vec![rule("22/tcp", "10.0.0.0/8")]);
    assert_eq!(aws.execute(&adding, &atoms).await.unwrap_err().kind, ErrorKind::Lost);
}

#[tokio::test]
async fn access_denied_names_the_permission_and_the_request() {
    let said = "You are not authorized to perform this operation. Encoded authorization failure message: abc";
    let error = adding_gets(error(403, "UnauthorizedOperation", said)).await;
    assert_eq!(error.kind, ErrorKind::Final);
    assert_eq!(error.doing, "adding 1 ingress rule to `sg-1` in eu-west-1");
    assert_eq!(error.message, format!("UnauthorizedOperation: {said}"));
    assert_eq!(error.request_id.as_deref(), Some("req-bad"));
    assert_eq!(
        help(&error),
        "allow `ec2:AuthorizeSecurityGroupIngress` to these credentials; `aws sts decode-authorization-message` shows which \
         policy refused"
    );
}

#[tokio::test]
async fn access_denied_for_another_action_names_that_one() {
    let said =
        "You are not authorized to perform: ec2:CreateTags on resource: arn:aws:ec2:eu-west-1:1:security-group/*";
    let error = adding_gets(error(403, "UnauthorizedOperation", said)).await;
    assert_eq!(help(&error), "allow `ec2:CreateTags` to these credentials");
}

#[tokio::test]
async fn the_request_id_of_the_header_is_kept() {
    let Answer::Http { status, body, .. } = error(403, "AccessDenied", "no") else { unreachable!() };
    let answer = Answer::Http { status, headers: vec![("x-amzn-requestid", "req-head".to_owned())], body };
    assert_eq!(adding_gets(answer).await.request_id.as_deref(), Some("req-head"));
}

#[tokio::test]
async fn expired_tokens_and_bad_keys_are_final_and_say_what_to_do() {
    for (code, advice) in [
        ("RequestExpired", "aws sso login"),
        ("ExpiredToken", "aws sso login"),
        ("AuthFailure", "check the keys"),
        ("SignatureDoesNotMatch", "clock"),
    ] {
        let error = reading_gets(error(400, code, "no")).await;
        assert_eq!(error.kind, ErrorKind::Final, "{code}");
        assert_eq!(error.request_id.as_deref(), Some("req-bad"));
        assert!(help(&error).contains(advice), "{code}: {}", help(&error));
    }
}

#[tokio::test]
async fn an_unknown_vpc_is_told_although_ec2_lists_no_group_there() {
    let unknown = error(400, "InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist");
    let replay = Replay::new([groups(&[]), unknown]);
    let error = aws(&replay).observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap_err();
    assert_eq!(error.doing, "looking for VPC `vpc-1` in eu-west-1");
    assert_eq!(error.message, "InvalidVpcID.NotFound: The vpc ID 'vpc-1' does not exist");
    assert_eq!(error.request_id.as_deref(), Some("req-bad"));
    assert!(help(&error).contains("`vpc:`"));
}

#[tokio::test]
async fn a_group_in_use_says_where_to_look() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([error(400, "DependencyViolation", "resource sg-1 has a dependent object")]);
    let error = aws(&replay).execute(&step(Action::DeleteGroup, id), &atoms).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Final);
    assert!(help(&error).contains("Name=group-id,Values=sg-1"), "{}", help(&error));
}

#[tokio::test]
async fn a_full_group_names_the_quota() {
    let error = adding_gets(error(400, "RulesPerSecurityGroupLimitExceeded", "The maximum number of rules")).await;
    assert_eq!(error.kind, ErrorKind::Final);
    assert!(help(&error).contains("rules_per_group"));
}

#[tokio::test]
async fn a_group_made_just_now_that_ec2_does_not_know_yet_is_tried_again() {
    let mut atoms = Atoms::new();
    let name = atoms.intern("g1");
    let unknown = || error(400, "InvalidGroup.NotFound", "The security group 'sg-1' does not exist");
    let replay = Replay::new([ok("<groupId>sg-1</groupId>"), unknown()]);
    let aws = aws(&replay);
    aws.execute(&creating(name, &[]), &atoms).await.unwrap();
    let adding = adding(name, vec![rule("22/tcp", "10.0.0.0/8")]);
    let error = aws.execute(&adding, &atoms).await.unwrap_err();
    assert_eq!(error.doing, "adding 1 ingress rule to `g1` (sg-1) in eu-west-1");
    assert_eq!(error.kind, ErrorKind::Transient);
    assert_eq!(adding_gets(unknown()).await.kind, ErrorKind::Final);
}

/// The answer of STS to GetCallerIdentity.
fn identity(account: &str) -> Answer {
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/ann</Arn><UserId>A</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    Answer::Http { status: 200, headers: Vec::new(), body }
}

#[tokio::test]
async fn another_account_is_refused_before_anything_else_is_called() {
    let replay = Replay::new([identity("999900001111")]);
    let aws = aws_at(&replay, json!({ "vpc": "vpc-1", "account": "111122223333" }));
    let error = aws.observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Final);
    assert_eq!(
        error.message,
        "the inventory says account 111122223333, but arn:aws:iam::999900001111:user/ann is of account 999900001111"
    );
    assert_eq!(replay.actions(), ["GetCallerIdentity"]);
}

#[tokio::test]
async fn a_step_is_refused_in_another_account_too() {
    let mut atoms = Atoms::new();
    let id = atoms.intern("sg-1");
    let replay = Replay::new([identity("999900001111")]);
    let aws = aws_at(&replay, json!({ "vpc": "vpc-1", "account": "111122223333" }));
    assert!(aws.execute(&adding(id, vec![rule("22/tcp", "10.0.0.0/8")]), &atoms).await.is_err());
    assert_eq!(replay.actions(), ["GetCallerIdentity"]);
}

#[tokio::test]
async fn the_account_is_checked_once() {
    let replay =
        Replay::new([identity("111122223333"), groups(&[]), super::replay::vpcs(&[("vpc-1", &[])]), groups(&[])]);
    let aws = aws_at(&replay, json!({ "vpc": "vpc-1", "account": "111122223333" }));
    for _ in 0..2 {
        aws.observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap();
    }
    assert_eq!(aws.calls().get("GetCallerIdentity"), Some(&1));
    assert_eq!(replay.left(), 0);
}

#[tokio::test]
async fn an_expired_token_at_sts_is_told() {
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>The security token included in \
                the request is expired</Message></Error><RequestId>req-sts</RequestId></ErrorResponse>";
    let headers = vec![("x-amzn-requestid", "req-sts".to_owned())];
    let replay = Replay::new([Answer::Http { status: 403, headers, body: body.to_owned() }]);
    let aws = aws_at(&replay, json!({ "vpc": "vpc-1", "account": "111122223333" }));
    let error = aws.observe(&scope(["g1"]), &mut Atoms::new()).await.unwrap_err();
    assert_eq!(error.message, "ExpiredToken: The security token included in the request is expired");
    assert_eq!(error.request_id.as_deref(), Some("req-sts"));
}
