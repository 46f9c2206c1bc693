# shellcheck shell=bash
# What the services share: a folder to run in, a lock, a Python with pinned packages, servers that outlive the caller.
# Sourced by SERVICE/up.sh and SERVICE/down.sh after `set -euo pipefail`.

[[ $(uname) == Linux ]] || {
  echo "the services run on Linux only: they need /proc, setsid and flock" >&2
  exit 1
}

home=$(dirname "$(realpath "${BASH_SOURCE[1]}")") # the folder of the script that sources this
service=$(basename "$home")
run=$(realpath -m "${RSGSYNC_LOCALSTACK_DIR:-$home/../run}/$service") # everything that is made lies in here
venv=$run/venv

say() { echo "$service: $*" >&2; }

die() {
  say "$@"
  exit 1
}

# One `up` or `down` at a time; held until the script ends.
lock() {
  local fd
  mkdir -p "$run"
  exec {fd}>"$run/lock"
  flock -n "$fd" || {
    say "another up or down is at work, waiting for it"
    flock "$fd"
  }
}

# Prints the path of the first Python 3.MIN to 3.MAX that can make virtual environments.
find_python() { # MIN MAX
  local candidate answer minor rejected=""
  local candidates=(python3)
  for ((minor = $2; minor >= $1; minor--)); do candidates+=("python3.$minor"); done
  [[ -z ${RSGSYNC_LOCALSTACK_PYTHON-} ]] || candidates=("$RSGSYNC_LOCALSTACK_PYTHON")

  for candidate in "${candidates[@]}"; do
    command -v "$candidate" >/dev/null || continue
    if answer=$("$candidate" -I - "$1" "$2" 2>&1 <<'PY'
import sys
if not (3, int(sys.argv[1])) <= sys.version_info[:2] <= (3, int(sys.argv[2])):
    sys.exit("is %d.%d" % sys.version_info[:2])
try:
    import ensurepip, venv
except ImportError:
    sys.exit("lacks venv")
print(sys.executable)
PY
    ); then
      echo "$answer"
      return
    fi
    rejected+=", $candidate ${answer%%$'\n'*}"
  done

  rejected=${rejected#, }
  die "needs Python 3.$1 to 3.$2 with venv, found ${rejected:-none of these: ${candidates[*]}}
  Debian, Ubuntu: apt-get install python3-venv
  or name another: RSGSYNC_LOCALSTACK_PYTHON=/path/to/python3.$2"
}

# Makes $venv with the packages of requirements.txt, unless it has them.
# The copy of requirements.txt is written last: a venv without it is half made and not trusted.
# -I: no PYTHONPATH or user packages that pip would take for installed. pip's own settings hold.
install_packages() { # WHAT PYTHON_MIN PYTHON_MAX [ARGUMENTS OF PIP INSTALL]
  local python
  if cmp -s {"$home","$venv"}/requirements.txt && "$venv/bin/python" -I -c '' 2>/dev/null; then return; fi
  python=$(find_python "$2" "$3")

  say "installing $1 into $venv, once; takes up to a minute"
  rm -rf "$venv"
  if ! { "$python" -I -m venv "$venv" &&
    "$venv/bin/python" -I -m pip --quiet --no-input --disable-pip-version-check \
      install --no-deps "${@:4}" --requirement "$home/requirements.txt" &&
    cp "$home/requirements.txt" "$venv/"; } >&2; then
    rm -rf "$venv"
    die "the installation failed and was removed, see above; another up tries again"
  fi
}

# Builds a server of our own into $run/server. With the features of the whole workspace, so that a build of all of it
# shares what is compiled here. The server runs from a copy: a build must be able to replace the original.
build_server() { # BINARY
  local target
  target=$(realpath -m "${CARGO_TARGET_DIR:-$home/../../target}")
  say "building"
  (cd "$home" && cargo build --quiet --locked --workspace --bin "$1" --target-dir "$target") >&2 ||
    die "the build failed, see above"
  cp "$target/debug/$1" "$run/server.new"
  mv "$run/server.new" "$run/server"
}

# Starts a server that holds nothing of the caller's: no terminal, no open file, no variable, no folder.
# COMMAND must be an absolute path of a binary: the process is later recognised by its arguments.
start() { # NAME COMMAND...
  local name=$1
  shift
  mkdir -p "$run/home"
  printf '%s\n' "$@" >"$run/$name.argv"
  (
    for fd in "/proc/$BASHPID/fd"/*; do
      fd=${fd##*/}
      if ((fd > 2)); then exec {fd}>&-; fi
    done
    cd "$run" || exit
    echo "$BASHPID" >"$run/$name.pid"
    exec env -i HOME="$run/home" PATH=/usr/bin:/bin LANG=C.UTF-8 setsid "$@"
  ) </dev/null >"$run/$name.log" 2>&1 &
  until running "$name" || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
}

# Whether the process that `start` noted is there and still that one: another may have got its id since.
# Between arguments a space is as good as a NUL: Neutron imports setproctitle, which leaves spaces there.
running() { # NAME
  local pid argv noted
  {
    pid=$(cat "$run/$1.pid") && argv=$(tr -s '\0' ' ' <"/proc/$pid/cmdline") && noted=$(tr -s '\n' ' ' <"$run/$1.argv")
  } 2>/dev/null && [[ $argv && $argv == "$noted" ]]
}

# Waits until READY succeeds; a server that dies or takes more than a minute shows the end of its log.
wait_for() { # NAME READY...
  local name=$1 problem="" deadline=$((SECONDS + 60))
  shift
  until "$@"; do
    if ! running "$name"; then
      problem="died at its start"
    elif ((SECONDS >= deadline)); then
      problem="was not ready within 60 s and was stopped"
      stop "$name"
    fi
    if [[ $problem ]]; then
      tail -n 25 "$run/$name.log" >&2
      die "$name $problem; its log: $run/$name.log"
    fi
    sleep 0.1
  done
}

# Stops a server, by force if it takes more than ten seconds.
stop() { # NAME
  local deadline=$((SECONDS + 10)) signal=TERM
  while running "$1"; do
    ((SECONDS < deadline)) || signal=KILL
    [[ -z $signal ]] || kill "-$signal" "$(cat "$run/$1.pid")" 2>/dev/null || true
    signal=""
    sleep 0.1
  done
  rm -f "$run/$1.pid" "$run/$1.argv"
}

# Prints a line of `export` for each, and keeps a proxy that the caller has away from the services.
print_exports() { # NAME=VALUE...
  local line name value list exports=("$@")
  if [[ ${http_proxy-}${HTTP_PROXY-}${all_proxy-}${ALL_PROXY-} ]]; then
    for name in NO_PROXY no_proxy; do
      list=${!name-}
      [[ $list == *127.0.0.1* || $list == "*" ]] || list=${list:+$list,}127.0.0.1
      exports+=("$name=$list")
    done
  fi
  for line in "${exports[@]}"; do
    value=${line#*=}
    [[ ! $value =~ [^a-zA-Z0-9_./:,@%+=-] ]] || value=$(printf %q "$value")
    echo "export ${line%%=*}=$value"
  done
}
