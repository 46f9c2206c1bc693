#!/usr/bin/env bash
# Runs every fuzz target; fails on a panic, a hang or too much memory, and says on which input.
# usage: bash fuzz/run.sh [SECONDS A TARGET] [TARGET ...]
#
# Without seconds (or RSGSYNC_FUZZ_SECONDS) a short run that is the same each time; with them a longer one with new luck.
# Builds on the stable toolchain what `cargo fuzz build --sanitizer none` would, and needs no cargo-fuzz for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-${RSGSYNC_FUZZ_SECONDS:-}}
shift || true
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"$|\1|p' Cargo.toml)
if [ -n "$seconds" ]; then bounds=(-max_total_time="$seconds"); else bounds=(-max_total_time=20 -runs=100000 -seed=1); fi

# The flags of cargo-fuzz: counters for libFuzzer, and comparisons that it can look into.
host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=" -Cllvm-args=-sanitizer-coverage-$option"
done
RUSTFLAGS="$flags" cargo build --quiet --locked --release --bins --target "$host"
built=${CARGO_TARGET_DIR:-target}/$host/release

# The program makes what only it can make: a state file and saved plans.
program=${RSGSYNC:-}
if [ -z "$program" ]; then
  cargo build --quiet --locked --no-default-features --manifest-path ../Cargo.toml
  program=$(realpath "${CARGO_TARGET_DIR:-../target}/debug/rsgsync")
fi
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT
(
  cd "$made"
  export XDG_STATE_HOME=$made
  cat >small.yaml <<'YAML'
version: 1
owner: platform
networks: { lab: { simulated: { state: cloud.json } } }
clusters: { prod: { network: lab, profile: downstream-k3s, groups: { all: { roles: [k3s-server, k3s-agent] } } } }
peers: { workload-clients: { cidrs: [203.0.113.0/24] } }
YAML
  "$program" plan --quiet -i small.yaml --out create.json
  "$program" apply --quiet --yes -i small.yaml
  sed 's/203.0.113/198.51.100/' small.yaml >other.yaml
  "$program" plan --quiet -i other.yaml --out change.json
) >"$made/log" 2>&1 || { cat "$made/log" >&2; exit 1; }

# Files of the repository, and those made above, that a target starts from.
seeds() {
  case $1 in
    inventory) ls ../examples/*.yaml ../core/tests/data/*.yaml "$made"/*.yaml ;;
    profile) ls ../core/profiles/*.yaml ;;
    state) ls "$made"/cloud.json ;;
    journal) ls "$made"/rsgsync/*.jsonl ;;
    plan) ls "$made"/create.json "$made"/change.json ;;
    # What is made of bytes starts from bytes that are as good as random, and the same each time.
    diff_then_prove) gzip -nc ../Cargo.lock | split -b 400 - "$made/bytes." && ls "$made"/bytes.* ;;
  esac
}

for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" "artifacts/$target" "$made/$target"
  seeds "$target" | while read -r file; do cp "$file" "$made/$target"; done
  # The words of the seeds, for texts to be made of.
  { grep -ahoE '[a-z][a-z0-9_-]{2,}' "$made/$target"/* || true; echo 65535; echo 4294967295; echo 18446744073709551615; } |
    sort -u | sed 's/.*/"&"/' >"$made/$target.dict"
  echo "fuzz $target"
  if ! "$built/$target" "${bounds[@]}" -timeout=30 -rss_limit_mb=1024 -dict="$made/$target.dict" -print_final_stats=1 \
    -verbosity=0 -artifact_prefix="artifacts/$target/" "corpus/$target" "$made/$target" >"$made/$target.log" 2>&1; then
    grep -aE 'panicked at|ERROR: libFuzzer' -A1 "$made/$target.log" >&2 || tail -50 "$made/$target.log" >&2
    input=$(sed -n 's/.*Test unit written to //p' "$made/$target.log" | tail -1)
    echo "error: fuzz $target failed; once more: $(realpath "$built/$target") $(realpath "${input:-.}")" >&2
    exit 1
  fi
  grep -a 'stat::' "$made/$target.log" | sed 's/^/  /'
done
