#!/usr/bin/env bash
# Stops what up.sh started. What was built and installed stays for the next time.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../service.sh
source "$(dirname "$(realpath "$0")")/../service.sh"

[[ -d $run ]] || exit 0
lock
running server || exit 0
stop server
say "stopped"
