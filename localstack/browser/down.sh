#!/usr/bin/env bash
# Nothing runs between tests. What was installed stays for the next time.
set -euo pipefail
