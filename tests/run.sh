#!/usr/bin/env bash
# Runs every test, with every service that they need: LocalStack is installed into localstack/run and started.
# usage: bash tests/run.sh [ARGUMENTS OF THE TEST RUNNER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

exports=$(localstack/up aws)
trap 'localstack/down aws 2>/dev/null' EXIT
eval "$exports"

# The program is built first, alone: the largest crate takes gigabytes.
cargo build --locked --workspace
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --locked --workspace --no-fail-fast "$@"
else
  cargo test --locked --workspace --no-fail-fast "$@"
fi
