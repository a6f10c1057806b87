#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs an apt command with a configuration of its own, so that packages of another Debian release or architecture can
# be looked up and downloaded without touching the machine's sources, package lists or installed packages. The mirror
# is the one the machine's own apt uses; signatures and checksums are apt's business. Needs no privileges.
#
#   private-apt.sh FOLDER ARCH SUITE[,SUITE...] COMMAND [ARGUMENT...]
#
# FOLDER keeps the package lists and downloads between calls. COMMAND is apt-get or apt-cache. Called by tools/setup.sh
# (a Rust toolchain) and tools/xtask (guest kernels). DEBIAN_MIRROR=URI overrides the mirror.
set -eu

folder=$1 arch=$2 suites=$3 command=$4
shift 4

# Prints the address of the Debian mirror that this machine's apt uses.
mirror() {
    if [ -n "${DEBIAN_MIRROR:-}" ]; then
        echo "${DEBIAN_MIRROR%/}"
        return
    fi
    # Repositories that say they are Debian's first; before the first `apt-get update` nobody says anything, so then the
    # first one that has the main component of a release with Debian's names.
    targets=$(apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)' 'Created-By: Packages')
    found=$(printf '%s\n' "$targets" | grep -v -e '-security|' | grep -e '^Debian|main|' | head -n 1)
    [ -n "$found" ] || found=$(printf '%s\n' "$targets" |
        grep -E '\|main\|(bookworm|trixie|forky|sid|stable|oldstable|testing)(-updates)?\|' | head -n 1)
    [ -n "$found" ] || {
        echo "private-apt: this machine's apt has no Debian mirror: set DEBIAN_MIRROR=<address of one>" >&2
        exit 1
    }
    found=${found##*|}
    echo "${found%/}"
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || keyring=/usr/share/keyrings/debian-archive-keyring.pgp
[ -e "$keyring" ] || {
    echo "private-apt: Debian's signing keys are missing: install the package debian-archive-keyring" >&2
    exit 1
}

mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial" "$folder/parts"
folder=$(cd "$folder" && pwd)
[ -e "$folder/status" ] || : >"$folder/status"
uri=$(mirror)
printf '%s\n' "$suites" | tr ',' '\n' | while read -r suite; do
    echo "deb [arch=$arch signed-by=$keyring] $uri $suite main"
done >"$folder/sources.list"

exec "$command" \
    -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::Etc::preferences=/dev/null -o "Dir::Etc::preferencesparts=$folder/parts" \
    -o "Dir::State=$folder/state" -o "Dir::State::status=$folder/status" -o "Dir::Cache=$folder/cache" \
    -o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o APT::Sandbox::User= \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o Acquire::Retries=3 -o Debug::NoLocking=1 "$@"
