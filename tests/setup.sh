#!/usr/bin/env bash
# The programs that the tests drive. Installs what is missing as root on Debian; says what to install elsewhere.
# Without them their tests are skipped, but where CI=true a missing program is a failure.
# SETUP=no installs nothing.
set -euo pipefail

missing_apt=() missing_brew=()
need() { # need APT_PACKAGE BREW_PACKAGE PROGRAM...: one of the programs is enough
    local apt=$1 brew=$2 program
    shift 2
    for program; do
        if command -v "$program" >/dev/null; then return; fi
    done
    missing_apt+=("$apt") missing_brew+=("$brew")
}

look() {
    missing_apt=() missing_brew=()
    need chromium chromium chromium chromium-browser google-chrome
    need redis-server redis redis-server
    need nginx-light nginx nginx /usr/sbin/nginx
    need postgresql postgresql postgres /usr/lib/postgresql/*/bin/postgres
    need pgbouncer pgbouncer pgbouncer /usr/sbin/pgbouncer
    need nodejs node node
    need npm node npm
    if [ "$(uname)" = Linux ]; then
        need iproute2 - ip
        need systemd - systemd-analyze
    fi
}

look
if [ "$(uname)" = Linux ]; then
    need chromium-headless-shell - chromium-headless-shell # the tests run without it, but take longer
fi
if [ ${#missing_apt[@]} -gt 0 ] && [ "${SETUP:-}" != no ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing by apt-get, for the tests that drive them: ${missing_apt[*]}"
    echo "(SETUP=no make test installs no program, and skips these tests.)"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || true # an old list may do
    for package in "${missing_apt[@]}"; do # one by one: an unknown one would keep the others away
        apt-get install -qq --yes --no-install-recommends "$package" >/dev/null || true # looked at below
    done
    hash -r
fi

look

if [ ${#missing_apt[@]} -gt 0 ]; then
    if [ "$(uname)" = Darwin ]; then
        echo "Some tests are skipped for want of programs: brew install ${missing_brew[*]}" >&2
    else
        echo "Some tests are skipped for want of programs: apt-get install ${missing_apt[*]}" >&2
        echo "Without root, run them in a container: see docs/development.md." >&2
    fi
    if [ "${CI:-}" = true ]; then exit 1; fi
fi

# The tools of AsyncAPI are large, and on a busy machine no test should wait for them. Without them their tests are skipped.
if [ "${SETUP:-}" != no ] && command -v npm >/dev/null; then
    .venv/bin/python -m tests.npm tests/asyncapi || true
fi
