#!/usr/bin/env bash
# LocalStack, without containers and without an account: EC2 only, on the loopback address only.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../service.sh
source "$(dirname "$(realpath "$0")")/../service.sh"

# Not curl: proxies of the caller must not matter, and Python is there anyway.
ready() {
  [[ -s $run/port ]] && "$venv/bin/python" -I -S - "$(cat "$run/port")" 2>/dev/null <<'PY'
import http.client, json, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=2)
connection.request("GET", "/_localstack/health")
sys.exit(json.load(connection.getresponse())["services"]["ec2"] != "running")
PY
}

# For clients that read profiles: one that has the same contents as the variables, and no way to any other.
# Replaced in one go, as clients may be reading it.
write_profile() { # ENDPOINT
  cat >"$run/profile.new" <<END
[default]
aws_access_key_id = test
aws_secret_access_key = test
region = us-east-1
endpoint_url = $1
END
  mv "$run/profile.new" "$run/profile"
}

# Whatever the caller has set for the real AWS must lose. An endpoint for one service beats that for all, a session
# token would be sent along, and a profile may bring an endpoint, a role to assume or FIPS.
print_aws_exports() { # ENDPOINT
  print_exports \
    AWS_ENDPOINT_URL="$1" \
    AWS_ENDPOINT_URL_EC2="$1" \
    AWS_ENDPOINT_URL_STS="$1" \
    AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false \
    AWS_ACCESS_KEY_ID=test \
    AWS_SECRET_ACCESS_KEY=test \
    AWS_SESSION_TOKEN= \
    AWS_REGION=us-east-1 \
    AWS_DEFAULT_REGION=us-east-1 \
    AWS_CONFIG_FILE="$run/profile" \
    AWS_SHARED_CREDENTIALS_FILE="$run/profile" \
    AWS_PROFILE=default \
    AWS_DEFAULT_PROFILE=default \
    AWS_USE_FIPS_ENDPOINT=false \
    AWS_USE_DUALSTACK_ENDPOINT=false \
    AWS_EC2_METADATA_DISABLED=true
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
