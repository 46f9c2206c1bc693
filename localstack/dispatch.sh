#!/usr/bin/env bash
# Hands `up SERVICE` and `down SERVICE` to SERVICE/up.sh and SERVICE/down.sh: a folder with these two is a service.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
verb=$1
shift

services() {
  local script names=()
  for script in "$here"/*/"$verb.sh"; do
    names+=("$(basename "$(dirname "$script")")")
  done
  echo "${names[*]}"
}

usage() {
  case $verb in
    up) echo "usage: out=\$(localstack/up SERVICE) && eval \"\$out\"
Starts SERVICE unless it runs, and prints how to reach it: lines of \`export NAME=value\`." ;;
    down) echo "usage: localstack/down SERVICE
Stops SERVICE if it runs." ;;
  esac
  echo "services: $(services)"
}

fail() {
  echo "localstack/$verb: $1" >&2
  exit 2
}

case ${1-} in
  -h | --help) usage; exit ;;
  '') usage >&2; exit 2 ;;
esac
(($# == 1)) || fail "one service at a time, got \`$*\`"
[[ $1 =~ ^[a-z0-9-]+$ && -f $here/$1/$verb.sh ]] || fail "unknown service \`$1\`; known: $(services)"
exec bash "$here/$1/$verb.sh"
