#!/usr/bin/env bash
# Chromium, and the packages that drive it and look for barriers: nothing is started, tests start the browser themselves.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../service.sh
source "$(dirname "$(realpath "$0")")/../service.sh"

modules=$run/modules

# Debian calls it so; Ubuntu's package of that name is a snap, which has no place in a container.
find_browser() { command -v chromium || command -v google-chrome-stable || command -v google-chrome; }

has_node() { node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null; }

missing() {
  find_browser >/dev/null || echo chromium
  has_node || echo nodejs
  command -v npm >/dev/null || echo npm
}

install_programs() {
  local packages
  mapfile -t packages < <(missing)
  ((${#packages[@]})) || return 0
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    say "installing ${packages[*]} with apt-get, once"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qqy install --no-install-recommends "${packages[@]}"; } >&2 ||
      die "the installation failed, see above"
    mapfile -t packages < <(missing)
    ((${#packages[@]})) || return 0
  fi
  die "needs Chromium, Node 18 or newer, and npm; missing: ${packages[*]}
  Debian, Ubuntu: apt-get install ${packages[*]}"
}

# The copy of the lock file is written last: packages without it are half there and not trusted.
install_modules() {
  if cmp -s "$home/package-lock.json" "$modules/installed"; then return; fi
  say "installing playwright-core and axe-core into $modules, once"
  rm -rf "$modules"
  mkdir -p "$modules"
  cp "$home"/{package.json,package-lock.json,.npmrc} "$modules/"
  if ! (cd "$modules" && npm ci --silent --ignore-scripts --no-audit --no-fund --no-update-notifier >&2); then
    rm -rf "$modules"
    die "the installation failed and was removed, see above; another up tries again"
  fi
  cp "$home/package-lock.json" "$modules/installed"
}

lock
install_programs
install_modules
print_exports RSGSYNC_BROWSER="$(find_browser)" RSGSYNC_BROWSER_MODULES="$modules"
