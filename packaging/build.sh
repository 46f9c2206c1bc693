#!/usr/bin/env bash
# Builds what a release hands out, into packaging/out: a static program for any Linux, as an archive and as a Debian package,
# and the folder that packaging/Containerfile makes an image of. Needs what README needs, musl-gcc (Debian: musl-tools) and
# half an hour on two cores.
# usage: bash packaging/build.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

arch=$(uname -m)
target=$arch-unknown-linux-musl
cargo_deb=3.8.0
out=packaging/out
built=${CARGO_TARGET_DIR:-target}/$target/dist

for needed in musl-gcc dpkg-deb; do
  command -v "$needed" >/dev/null || { echo "$needed is missing: on Debian, apt-get install musl-tools dpkg" >&2; exit 1; }
done
if command -v rustup >/dev/null; then rustup --quiet target add "$target"; fi
"$out/tools/bin/cargo-deb" --version 2>/dev/null | grep -qx "cargo-deb $cargo_deb" ||
  cargo install --locked --root "$out/tools" --version "$cargo_deb" cargo-deb

export "CC_${target//-/_}=musl-gcc"
cargo build --locked --profile dist --target "$target"
program=$built/rsgsync
version=$("$program" --version | cut -d' ' -f2)

# What the program says of itself.
pages=$out/pages
rm -rf "$pages" && mkdir -p "$pages"
"$program" man --out "$pages/man"
"$program" completions bash >"$pages/rsgsync.bash"
"$program" completions zsh >"$pages/_rsgsync"
"$program" completions fish >"$pages/rsgsync.fish"
gzip --best --no-name "$pages"/man/*.1
git ls-files -z examples | xargs -0 cp --parents -t "$pages"

name=rsgsync-$version-$target
rm -rf "${out:?}/$name" && mkdir -p "$out/$name"
cp -r "$program" "$pages/man" "$pages/examples" LICENSE CHANGELOG.md README.md docs "$out/$name"
mkdir "$out/$name/completions" && cp "$pages"/*rsgsync* "$out/$name/completions"
tar --sort=name --owner=0 --group=0 --numeric-owner -C "$out" -czf "$out/$name.tar.gz" "$name"
rm -rf "${out:?}/$name"

"$out/tools/bin/cargo-deb" deb --no-build --no-strip --profile dist --target "$target" --output "$out/rsgsync_$version-1_$(dpkg --print-architecture).deb"

rm -rf "$out/image" && mkdir -p "$out/image/state"
cp "$program" packaging/Containerfile /etc/ssl/certs/ca-certificates.crt "$out/image"

(cd "$out" && sha256sum -- *.tar.gz *.deb >SHA256SUMS && ls -l --human-readable -- *.tar.gz *.deb image/rsgsync)
