//! The server itself, checked with boto3 against what AWS documents, and against LocalStack where that is right.

use std::path::PathBuf;
use std::process::Command;

#[test]
fn boto3_finds_what_aws_documents_and_what_localstack_does() {
    let variables = ["RSGSYNC_EC2_STRICT", "AWS_ENDPOINT_URL"];
    assert!(
        variables.iter().all(|variable| std::env::var_os(variable).is_some()),
        "the servers are not there: run `bash tests/run.sh`"
    );
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("RSGSYNC_LOCALSTACK_DIR").map_or(root.join("localstack/run"), PathBuf::from);
    let python = folder.join("aws/venv/bin/python");
    let output = Command::new(python).arg("-I").arg(root.join("localstack/ec2-strict/check.py")).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}
