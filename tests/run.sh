#!/usr/bin/env bash
# Runs the fuzz targets for a moment (unless arguments select tests), then every test, with every service that they need:
# LocalStack, Keystone and Neutron are installed into localstack/run and started, and so are our own servers for EC2 and GCP.
# Chromium and Node are installed where they are missing, and what drives them into localstack/run.
# usage: bash tests/run.sh [ARGUMENTS OF THE TEST RUNNER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

services=(ec2-strict aws openstack gcp browser) # what `aws` exports comes after the same of `ec2-strict`
trap 'for service in "${services[@]}"; do localstack/down "$service" 2>/dev/null; done' EXIT
for service in "${services[@]}"; do
  exports=$(localstack/up "$service")
  eval "$exports"
done

# The program is built first, alone: the largest crate takes gigabytes.
cargo build --locked --workspace

# Fuzzing goes first, so that the summary of the tests comes last; they run even if it finds something.
status=0
if [ $# -eq 0 ]; then
  RSGSYNC=$(realpath "${CARGO_TARGET_DIR:-target}/debug/rsgsync") bash fuzz/run.sh || status=$?
fi

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --locked --workspace --no-fail-fast "$@" || status=$?
else
  cargo test --locked --workspace --no-fail-fast "$@" || status=$?
fi
exit "$status"
