#!/usr/bin/env bash
# Builds rsgsync and runs it beside its peers on one service after the other: tables on stdout, progress on stderr. What they
# mean: docs/benchmarks.md. Keystone and Neutron are installed into benches/run, and run only as long as this does.
# TERRAFORM_PLUGINS names a folder that has hashicorp/aws where the registry can't be reached; without `terraform` it is left out.
# usage: bash benches/run.sh [--sizes 1,25,250] [--peers rsgsync,tight,plain,terraform,ansible] [--emulators moto,ec2-strict,neutron]
#        [--json FILE]
#        bash benches/run.sh --start    how long programs take to start
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=benches/run/venv
if [[ ! -e $venv/ready ]] || [[ benches/requirements.txt -nt $venv/ready ]]; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r benches/requirements.txt
  touch "$venv/ready"
fi
cargo build --locked --release -p rsgsync -p ec2-strict
RSGSYNC=$(realpath "${CARGO_TARGET_DIR:-target}/release/rsgsync")
EC2_STRICT=$(realpath "${CARGO_TARGET_DIR:-target}/release/ec2-strict")
export RSGSYNC EC2_STRICT
if [[ ${1:-} == --start ]]; then
  exec "$venv/bin/python" benches/start.py
fi
exec "$venv/bin/python" benches/compare.py "$@"
