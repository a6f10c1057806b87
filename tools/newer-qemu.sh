#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Provides a QEMU newer than this machine's, for boards that need one: Debian 13's packages, unpacked under build/qemu
# and run from there with their own C library. Nothing of the machine changes, and no privileges are needed. Prints the
# path of the emulator. Called by tools/emulator for a board whose emulator.minimum_version this machine's QEMU is below.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
private=$root/build/qemu
emulator=$private/bin/qemu-system-aarch64

say() { echo "newer-qemu: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# Two tests may want it at once.
mkdir -p "$root/build"
exec 9>"$private.lock"
flock 9

if ! [ -e "$private/complete" ]; then
    [ "$(uname -m)" = x86_64 ] || die "Debian's packages are taken on x86-64 only: install a newer qemu-system-aarch64"
    command -v apt-get >/dev/null || die "Debian's packages need apt: install a newer qemu-system-aarch64"
    say "fetching QEMU from Debian 13 into build/qemu (about 40 MB, used only by this project)"
    rm -rf "$private"
    mkdir -p "$private/bin"
    private_apt() { "$root/tools/private-apt.sh" "$private/apt" amd64 trixie "$@" >&2; }
    private_apt apt-get -q update
    private_apt apt-get -q install --download-only -y --no-install-recommends qemu-system-arm qemu-system-data ipxe-qemu
    for deb in "$private"/apt/cache/archives/*.deb; do dpkg-deb -x "$deb" "$private/root"; done
    rm -rf "$private/apt/cache/archives"
    libraries=$private/root/usr/lib/x86_64-linux-gnu
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" -L "%s" "$@"\n' "$libraries/ld-linux-x86-64.so.2" \
        "$libraries" "$private/root/usr/bin/qemu-system-aarch64" "$private/root/usr/share/qemu" >"$emulator"
    chmod +x "$emulator"
    touch "$private/complete"
fi
exec 9>&-
"$emulator" --version >&2 || die "the QEMU of build/qemu does not start: remove build/qemu and try again"
echo "$emulator"
