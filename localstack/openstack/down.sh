#!/usr/bin/env bash
# Stops what up.sh started. What was installed stays for the next time, and so do the databases to start from.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../service.sh
source "$(dirname "$(realpath "$0")")/../service.sh"

[[ -d $run ]] || exit 0
lock
running neutron || running keystone || exit 0
stop neutron
stop keystone
say "stopped"
