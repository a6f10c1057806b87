#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Makes this machine able to build and run Bulkhead: says what is missing, installs it on Debian 12 and 13, and writes
# build/toolchain.env, which the Makefile reads before it calls cargo. Fast and silent when nothing is missing. On other
# distributions it lists what they need. Called by every target of the Makefile that builds. With the argument `tests` it
# also sees to what only tests need.
#
# Rust comes from the first of these that works:
#   1. a toolchain that is already there, new enough and with both bare-metal targets;
#   2. rustup, which installs the pinned one (and is itself installed if there is none);
#   3. Debian 13's backports, unpacked under build/rust with the C library they need and used only from here; the
#      bare-metal core library, which no package has, is built from the package of its source.
# BULKHEAD_RUST=debian goes to 3 at once.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
env_file=build/toolchain.env
rust_version=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
rust_minor=$(echo "$rust_version" | cut -d. -f2)
targets="aarch64-unknown-none aarch64-unknown-none-softfloat"

say() { echo "setup: $*" >&2; }
die() {
    say "$*"
    exit 1
}
# Also finds what is meant for the administrator.
have() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

# --- packages -------------------------------------------------------------------------------------------------------

# One line per program: what to look for, the Debian package that has it, what it is for.
needed="qemu-system-aarch64 qemu-system-arm emulates_the_board
cc gcc links_programs_that_run_on_this_machine
curl curl downloads_the_Rust_installer
xz xz-utils unpacks_guest_kernel_modules
dpkg-deb dpkg unpacks_guest_kernels
fakeroot fakeroot gives_the_guests'_files_to_root
mke2fs e2fsprogs makes_the_guests'_file_systems"
if [ "${1:-}" = tests ]; then
    needed="$needed
clang clang compiles_the_C_programs_of_the_tests"
fi

missing_packages() {
    echo "$needed" | while read -r program package purpose; do
        have "$program" || echo "$package ($(echo "$purpose" | tr _ ' '))"
    done
    # gcc alone links nothing without the C library's start files.
    if have cc && ! [ -e "$(cc -print-file-name=crt1.o)" ]; then echo "libc6-dev (links programs that run on this machine)"; fi
    [ -e /etc/ssl/certs/ca-certificates.crt ] || echo "ca-certificates (checks the servers that crates come from)"
}

install_packages() {
    list=$(missing_packages)
    [ -n "$list" ] || return 0
    say "missing on this machine:"
    echo "$list" | sed 's/^/setup:   /' >&2
    packages=$(echo "$list" | cut -d' ' -f1 | sort -u | tr '\n' ' ')
    case " $packages" in *" gcc "*) packages="$packages libc6-dev" ;; esac
    release=
    if [ -r /etc/os-release ]; then release=$(. /etc/os-release && echo "${ID:-}-${VERSION_ID:-}"); fi
    case $release in
    debian-12 | debian-13) ;;
    *) die "automatic installation knows Debian 12 and 13 only (this is ${release:-unknown}). Install these yourself
  (names are Debian's) and run the command again: $packages
  Rust $rust_version or newer with the targets $targets, and dpkg and apt, which download the guest kernels, are needed too." ;;
    esac
    if [ "$(id -u)" = 0 ]; then
        as_root=env
    elif have sudo; then
        as_root="sudo env"
    else
        die "no sudo here; run this as root and try again: apt-get update && apt-get install -y $packages"
    fi
    say "installing with apt: $packages"
    $as_root apt-get update
    # shellcheck disable=SC2086 # a list of words
    $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
    [ -z "$(missing_packages)" ] || die "still missing after installation: $(missing_packages)"
}

# --- Rust -----------------------------------------------------------------------------------------------------------

# Whether the rustc in PATH (and RUSTUP_TOOLCHAIN) is new enough and can build for the board.
rust_works() {
    have cargo && have rustc || return 1
    version=$(rustc --version 2>/dev/null) || return 1
    cargo --version >/dev/null 2>&1 || return 1
    minor=$(echo "$version" | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
    [ "${minor:-0}" -ge "$rust_minor" ] || return 1
    sysroot=$(rustc --print sysroot) || return 1
    for target in $targets; do
        ls "$sysroot/lib/rustlib/$target/lib/"libcore-*.rlib >/dev/null 2>&1 || return 1
    done
}

# Writes the file that the Makefile reads. Arguments: lines to put in it.
write_env() {
    {
        echo "# Written by tools/setup.sh: how this machine runs cargo."
        for line in "$@"; do echo "$line"; done
    } >"$env_file"
}

# rustup, present or installed now, with the pinned toolchain or another new enough one.
rust_by_rustup() {
    if ! have rustup; then
        say "installing rustup and Rust $rust_version"
        installer=build/rustup-init.sh
        curl --proto '=https' --tlsv1.2 --connect-timeout 15 --max-time 120 -fsSL https://sh.rustup.rs -o "$installer" ||
            return 1
        # shellcheck disable=SC2086 # a list of words
        timeout 900 sh "$installer" -y --no-modify-path --profile minimal --default-toolchain "$rust_version" \
            --component rustfmt --component clippy $(echo " $targets" | sed 's/ / --target /g') || return 1
        rust_works
        return
    fi
    say "Rust $rust_version with $targets is not complete here: asking rustup"
    # shellcheck disable=SC2086
    if timeout 900 rustup toolchain install "$rust_version" --no-self-update --profile minimal \
        --component rustfmt --component clippy $(echo " $targets" | sed 's/ / --target /g') && rust_works; then
        return 0
    fi
    # Not the pinned one, then: a stable toolchain that is new enough will do.
    for toolchain in $(rustup toolchain list | cut -d' ' -f1 | grep -v nightly); do
        export RUSTUP_TOOLCHAIN="$toolchain"
        if rust_works; then return 0; fi
        # shellcheck disable=SC2086
        if timeout 600 rustup target add $targets && rust_works; then return 0; fi
    done
    unset RUSTUP_TOOLCHAIN
    return 1
}

# Builds the core and alloc libraries for the board into the private toolchain. Bitcode stays in for later link-time
# optimisation; the switches for that are unstable ones, used here only.
core_library() {
    say "building Rust's core library for the board (a minute)"
    mkdir -p "$private/core/src"
    printf '[package]\nname = "board"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$private/core/Cargo.toml"
    echo '#![no_std]' >"$private/core/src/lib.rs"
    for target in $targets; do
        (cd "$private/core" && RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Cembed-bitcode=yes' cargo build --release --target "$target" \
            --target-dir "$private/core/target" -Zbuild-std=core,alloc -Zbuild-std-features=compiler-builtins-mem)
        library=$private/root/usr/lib/rustlib/$target/lib
        mkdir -p "$library"
        for crate in core alloc compiler_builtins; do
            cp "$private/core/target/$target/release/deps/lib$crate-"*.rlib "$library/"
        done
    done
    rm -rf "$private/core"
}

# Debian's packages of a newer release, unpacked under build/rust and run with their own C library.
rust_by_debian() {
    private=$root/build/rust
    if ! [ -e "$private/complete" ]; then
        [ "$(uname -m)" = x86_64 ] || die "no Rust $rust_version here, and the fallback is for x86-64 only: install Rust with $targets"
        have apt-get || die "no Rust $rust_version here, and the fallback needs apt: install Rust with the targets $targets"
        say "fetching Rust from Debian 13's backports into build/rust (about 180 MB, used only by this project)"
        rm -rf "$private"
        mkdir -p "$private/bin" "$private/apt"
        # The linker and the C library's headers are this machine's: the private apt is told that it has them.
        for package in gcc binutils libc6-dev; do
            printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: 99\n' $package
            [ $package = libc6-dev ] && printf 'Provides: libc-dev (= 99)\n'
            printf 'Maintainer: none\nDescription: of this machine\n\n'
        done >"$private/apt/status"
        private_apt() { tools/private-apt.sh "$private/apt" amd64 trixie,trixie-backports "$@"; }
        private_apt apt-get update
        lld=$(private_apt apt-cache show -a rust-llvm | grep '^Depends' | grep -o 'lld-[0-9]*' | sort -t- -k2n | tail -n 1)
        private_apt apt-get install --download-only -y --no-install-recommends -t trixie-backports \
            rustc cargo rust-src rustfmt rust-clippy "$lld"
        say "unpacking"
        for deb in "$private"/apt/cache/archives/*.deb; do dpkg-deb -x "$deb" "$private/root"; done
        rm -rf "$private/apt/cache/archives"
        loader=$private/root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
        libraries=$private/root/usr/lib/x86_64-linux-gnu
        # wrapper NAME PROGRAM LIBRARIES [ARGUMENT]
        wrapper() {
            printf '#!/bin/sh\nexec "%s" --library-path "%s" --argv0 %s "%s" %s "$@"\n' \
                "$loader" "$3" "$1" "$2" "${4:-}" >"$private/bin/$1"
            chmod +x "$private/bin/$1"
        }
        for program in cargo cargo-fmt cargo-clippy rustfmt; do
            wrapper $program "$private/root/usr/bin/$program" "$libraries"
        done
        for program in rustc rustdoc clippy-driver; do
            wrapper $program "$private/root/usr/bin/$program" "$libraries" "--sysroot '$private/root/usr'"
        done
        llvm=$private/root/usr/lib/llvm-${lld#lld-}
        wrapper rust-lld "$llvm/bin/lld" "$libraries:$llvm/lib"
        PATH="$private/bin:$PATH" core_library
        touch "$private/complete"
    fi
    PATH="$private/bin:$PATH"
    export PATH
    say "using $(rustc --version) from build/rust"
    rust_works || die "the Rust of Debian's backports is not complete: remove build/rust and try again"
    write_env "export PATH='$private/bin':\"\$PATH\""
}

install_rust() {
    if [ "${BULKHEAD_RUST:-}" != debian ]; then
        cargo_bin=${CARGO_HOME:-$HOME/.cargo}/bin
        case ":$PATH:" in
        *":$cargo_bin:"*) ;;
        *) PATH="$cargo_bin:$PATH" && export PATH ;;
        esac
        if rust_works || rust_by_rustup; then
            set -- "export PATH='$cargo_bin':\"\$PATH\""
            [ -z "${RUSTUP_TOOLCHAIN:-}" ] || set -- "$@" "export RUSTUP_TOOLCHAIN='$RUSTUP_TOOLCHAIN'"
            write_env "$@"
            return
        fi
        say "rustup cannot provide Rust $rust_version with $targets on this machine: using Debian's"
    fi
    rust_by_debian
}

# Whether the toolchain that an earlier run chose still works.
chosen_rust_works() {
    [ -e "$env_file" ] || return 1
    (
        . "./$env_file"
        case $(command -v rustc) in
        "$root/build/rust/"*) [ -e build/rust/complete ] && rust_works ;;
        *) [ "${BULKHEAD_RUST:-}" != debian ] && rust_works ;;
        esac
    )
}

mkdir -p build
install_packages
chosen_rust_works || install_rust
