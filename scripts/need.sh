#!/bin/sh
# Brings the named tools: `scripts/need.sh cc cmake nginx`. What is there is left alone; what is missing is installed
# through apt where we may (root, or sudo without a password), else the one line to run is printed and we stop.
set -eu

# Small images and plain users have no sbin in their path, where nginx lives.
PATH=$PATH:/usr/sbin:/sbin

has() {
    case $1 in
        # A compiler without the C library's headers compiles nothing, and Debian packages them apart.
        cc) command -v cc >/dev/null 2>&1 && echo '#include <stdlib.h>' | cc -fsyntax-only -x c - 2>/dev/null ;;
        venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] || [ ! -d /etc/apt ] ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

packages_of() {
    case $1 in
        cc) echo gcc libc6-dev ;;
        venv) echo python3-venv ;;
        certificates) echo ca-certificates ;;
        nginx) echo nginx-light ;;
        npm) echo nodejs npm ;;
        perf) echo linux-perf ;;
        *) echo "$1" ;;
    esac
}

say() { printf 'setup: %s\n' "$*"; }

# Prints its last line for a person to copy, and stops.
stop() {
    printf 'setup: %s\n' "$1" >&2
    printf '    %s\n' "$2" >&2
    exit 1
}

missing=
packages=
for tool in "$@"; do
    has "$tool" && continue
    # Rust comes from rustup in the user's own hand, not from a script's.
    [ "$tool" != cargo ] || stop 'Rust is missing; run' \
        "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
    missing="$missing $tool"
    packages="$packages $(packages_of "$tool")"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    if command -v brew >/dev/null 2>&1; then
        stop "missing:$missing; run" "brew install$missing"
    fi
    stop "missing:$missing; install them with your system's packages, by Debian's names:" "${packages# }"
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    stop "missing:$missing; run" "sudo apt-get install -y$packages"
fi

say "missing:$missing; installing$packages"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    # Another apt may be at work on a machine that has just started: wait for it rather than fail.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1
}
# An image's package lists are often empty or out of date, so they are read anew when a package cannot be had.
# shellcheck disable=SC2086 # the list is words on purpose
if ! apt install -y --no-install-recommends $packages; then
    { apt update && apt install -y --no-install-recommends $packages; } || {
        tail -n 5 "$log" >&2
        stop "apt could not install them; run" "${as_root:+sudo }apt-get update && ${as_root:+sudo }apt-get install -y$packages"
    }
fi
for tool in $missing; do
    has "$tool" || stop "\`$tool\` is still missing after installing$packages; look at" "apt-cache policy$packages"
done
