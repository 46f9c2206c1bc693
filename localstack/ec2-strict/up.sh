#!/usr/bin/env bash
# EC2's security groups as the crate in this folder has them, as strict as AWS, on the loopback address only.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../service.sh
source "$(dirname "$(realpath "$0")")/../service.sh"
# shellcheck source-path=SCRIPTDIR source=../aws/exports.sh
source "$home/../aws/exports.sh"

ready() {
  [[ -s $run/port ]] && (exec 3<>"/dev/tcp/127.0.0.1/$(cat "$run/port")") 2>/dev/null
}

lock
if ! running server; then
  rm -f "$run/port"
  build_server ec2-strict
  say "starting"
  start server "$run/server" "$run/port"
fi
wait_for server ready
endpoint=http://127.0.0.1:$(cat "$run/port")
write_profile "$endpoint"
print_aws_exports "$endpoint" RSGSYNC_EC2_STRICT="$endpoint"
