#!/usr/bin/env bash
# The firewall part of Google Compute Engine, as the crate in this folder has it, on the loopback address only.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../service.sh
source "$(dirname "$(realpath "$0")")/../service.sh"

ready() {
  [[ -s $run/port ]] && "$venv/bin/python" -I -S - "$(cat "$run/port")" 2>/dev/null <<'PY'
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=2)
connection.request("GET", "/control/health")
sys.exit(connection.getresponse().status != 200)
PY
}

# Whatever the caller has set for the real Google must lose: another project, a token, a gcloud of the caller's with an
# endpoint of its own or an account that it impersonates.
print_google_exports() { # ORIGIN
  local name exports=(
    GOOGLE_APPLICATION_CREDENTIALS="$run/key.json"
    CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE="$1/compute/v1/"
    RSGSYNC_GCP_SERVER="$1"
    GOOGLE_CLOUD_PROJECT=demo
    CLOUDSDK_CORE_PROJECT=demo
    CLOUDSDK_CONFIG="$run/home"
    GCE_METADATA_HOST=127.0.0.1:9
  )
  for name in $(compgen -e GOOGLE_ || true) $(compgen -e CLOUDSDK_ || true); do
    [[ " ${exports[*]}" == *" $name="* ]] || exports+=("$name=")
  done
  print_exports "${exports[@]}"
}

lock
if ! running server; then
  rm -f "$run"/{port,key.json}
  build_server gcp-server
  install_packages "google-cloud-compute 1.57.0 and google-api-python-client 2.202.0 (25 packages, 180 MB)" 11 13
  say "starting"
  (umask 077 && : >"$run/key.json")
  start server "$run/server" "$run/key.json" "$run/port"
fi
wait_for server ready
print_google_exports "http://127.0.0.1:$(cat "$run/port")"
