#!/usr/bin/env bash
# Keystone and Neutron as they are, on the loopback address only: no agents, no hypervisors, nothing that forwards packets.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../service.sh
source "$(dirname "$(realpath "$0")")/../service.sh"

python() { env -i HOME="$run/home" PATH=/usr/bin:/bin LANG=C.UTF-8 "$venv/bin/python" -I -W ignore "$@"; }

# Making the databases takes most of a first start. They are kept to start from, for as long as what made them is the same.
make_template() {
  local key
  key=$(cat "$home"/{requirements.txt,database.py,keystone.conf} | sha256sum)
  if [[ $(cat "$run/template/key" 2>/dev/null) == "$key" ]]; then return; fi
  say "making the databases, once"
  rm -rf "$run/template" "$run/files"
  mkdir -p "$run/files" "$run/home"
  (cd "$run" && python "$home/database.py") >"$run/database.log" 2>&1 || {
    tail -n 25 "$run/database.log" >&2
    die "the databases could not be made; the log: $run/database.log"
  }
  mv "$run/files" "$run/template"
  echo "$key" >"$run/template/key"
}

url() { echo "http://127.0.0.1:$(cat "$run/$1.port")"; }
has_port() { [[ -s $run/$1.port ]]; }
ready() { python "$home/check.py" "$run/clouds.yaml.new" "$1" 2>/dev/null; }

# Replaced in one go, as clients may be reading it; written last, so that without it a start was not finished.
write_clouds() {
  local keystone short_lived
  keystone=$(url keystone) short_lived=$(url short-lived)
  rm -f "$run/clouds.yaml.new"
  (umask 077 && sed "s|@KEYSTONE@|$keystone/v3|; s|@SHORT_LIVED@|$short_lived/v3|" "$run/files/clouds.yaml" \
    >"$run/clouds.yaml.new")
}

# Whatever the caller has set for a real cloud must lose: clients put OS_PASSWORD or OS_REGION_NAME over what clouds.yaml
# says, and take passwords from a secure.yaml of their own.
print_openstack_exports() {
  local name exports=(
    OS_CLIENT_CONFIG_FILE="$run/clouds.yaml"
    OS_CLIENT_SECURE_FILE="$run/secure.yaml"
    OS_CLOUD=demo
  )
  for name in $(compgen -e OS_ || true); do
    [[ " ${exports[*]}" == *" $name="* ]] || exports+=("$name=")
  done
  print_exports "${exports[@]}"
}

lock
if ! { running keystone && running neutron && [[ -s $run/clouds.yaml ]]; }; then
  stop neutron
  stop keystone
  rm -rf "$run"/{clouds.yaml,files,*.port}
  install_packages "Keystone 30.0.0 and Neutron 29.0.0 (110 packages, 250 MB)" 11 13 --no-compile --only-binary :all:
  make_template
  cp -a "$run/template" "$run/files"
  echo "clouds: {}" >"$run/secure.yaml"

  say "starting"
  start keystone "$venv/bin/python" -I -W ignore "$home/server.py" keystone
  wait_for keystone has_port short-lived
  start neutron "$venv/bin/python" -I -W ignore "$home/server.py" neutron "$(url keystone)/v3"
fi
write_clouds
wait_for keystone ready keystone
wait_for neutron ready neutron
mv "$run/clouds.yaml.new" "$run/clouds.yaml"
print_openstack_exports
