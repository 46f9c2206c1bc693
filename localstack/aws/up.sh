#!/usr/bin/env bash
# LocalStack, without containers and without an account: EC2 only, on the loopback address only.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../service.sh
source "$(dirname "$(realpath "$0")")/../service.sh"
# shellcheck source-path=SCRIPTDIR source=exports.sh
source "$home/exports.sh"

# Not curl: proxies of the caller must not matter, and Python is there anyway.
ready() {
  [[ -s $run/port ]] && "$venv/bin/python" -I -S - "$(cat "$run/port")" 2>/dev/null <<'PY'
import http.client, json, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=2)
connection.request("GET", "/_localstack/health")
sys.exit(json.load(connection.getresponse())["services"]["ec2"] != "running")
PY
}

lock
if ! running server; then
  install_packages "LocalStack 4.14.0 (77 packages, 236 MB)" 11 13
  rm -f "$run/port"
  say "starting"
  start server "$venv/bin/python" -I "$home/server.py" "$run/files" "$run/port"
fi
wait_for server ready
endpoint=http://127.0.0.1:$(cat "$run/port")
write_profile "$endpoint"
print_aws_exports "$endpoint"
