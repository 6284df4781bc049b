#!/bin/sh
# Installs the product on Debian. The container image, a plain machine and `make proof-install`
# run this one file, so what one of them shows holds for the others.
#
#   install.sh                     every step a machine needs: packages user build activate
#   install.sh STEP...             the steps named, in that order
#   install.sh switch RELEASE      make another installed release the current one (and back)
#
#   packages       what the running product needs from Debian
#   build-packages what building a release needs on top of that
#   user           the account `vending`, its state folder and its settings folder
#   dependencies   a virtual environment from the lock files; every file is checked by hash
#   application    the project's own wheel, byte code, and away with the build tools
#   build          build-packages dependencies application
#   activate       make this checkout's release the current one
#   units          systemd units, the settings file if there is none, and `vending-admin`
#   clean          Debian's package lists, which an image does not need
#
# Environment: RELEASE names the release (the project's version unless given); USER_ID fixes the
# number of the account. pip is configured by the machine (PIP_*, pip.conf), never from here.
set -eu
umask 022

# The checkout this file lies in.
source_dir=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
home_dir=/opt/vending
state_dir=/var/lib/vending
config_dir=/etc/vending
account=vending

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit 1
}

say() {
    printf 'install.sh: %s\n' "$1"
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update
    apt-get -q install --yes --no-install-recommends "$@"
}

project_version() {
    sed -n 's/^version = "\([0-9A-Za-z.+-]*\)"$/\1/p' "$source_dir/pyproject.toml" | head -n 1
}

release=${RELEASE:-$(project_version)}
case "$release" in
    '' | .* | *[!0-9A-Za-z.+_-]*) fail "'$release' cannot name a release" ;;
esac
release_dir=$home_dir/releases/$release
# Written last: a folder without it is a build that did not finish.
complete=$release_dir/.complete
tools_dir=$home_dir/build-tools-$release

step_packages() {
    apt_install python3 ca-certificates
}

step_build_packages() {
    apt_install python3 python3-venv
}

step_user() {
    if ! getent passwd "$account" >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir "$state_dir" \
            --shell /usr/sbin/nologin ${USER_ID:+--uid "$USER_ID"} "$account"
    fi
    install -d -o "$account" -g "$account" -m 0750 "$state_dir"
    install -d -o root -g "$account" -m 0750 "$config_dir"
    install -d -o root -g root -m 0700 "$config_dir/credentials"
}

# pip lives beside the release, not in it: what runs has neither an installer nor build tools.
run_pip() {
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore \
        "$tools_dir/bin/python" -m pip "$@"
}

step_dependencies() {
    [ ! -e "$complete" ] || fail "release $release is installed already; set RELEASE to another name"
    rm -rf "$release_dir" "$tools_dir"
    install -d "$home_dir/releases"
    python3 -m venv "$tools_dir"
    run_pip install --quiet --require-hashes --only-binary :all: \
        --requirement "$source_dir/.locks/build.txt"
    python3 -m venv --without-pip "$release_dir"
    run_pip --python "$release_dir/bin/python" install --quiet --no-compile \
        --require-hashes --only-binary :all: --requirement "$source_dir/.locks/run.txt"
}

step_application() {
    [ -x "$tools_dir/bin/python" ] || fail "the step 'dependencies' comes before 'application'"
    run_pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$tools_dir/wheel" "$source_dir"
    run_pip --python "$release_dir/bin/python" install --quiet --no-compile --no-index --no-deps \
        "$tools_dir"/wheel/*.whl
    run_pip --python "$release_dir/bin/python" check
    # Nothing may write here at run time, so the byte code is made now and never looks at a date.
    "$release_dir/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        "$release_dir/lib"
    rm -rf "$tools_dir"
    : >"$complete"
    say "release $release is built in $release_dir"
}

step_build() {
    step_build_packages
    step_dependencies
    step_application
}

switch_to() {
    [ -e "$home_dir/releases/$1/.complete" ] || fail "there is no complete release $1"
    ln -sfn "releases/$1" "$home_dir/current.new"
    mv -T "$home_dir/current.new" "$home_dir/current"
    install -d /usr/local/bin
    ln -sfn "$home_dir/current/bin/vending" /usr/local/bin/vending
    say "the current release is $1"
}

step_activate() {
    switch_to "$release"
}

step_units() {
    install -d /etc/systemd/system /usr/local/sbin
    for unit in "$source_dir"/docs/deploy/systemd/vending*.service \
        "$source_dir"/docs/deploy/systemd/vending*.timer \
        "$source_dir"/docs/deploy/systemd/vending.target; do
        install -m 0644 "$unit" /etc/systemd/system/
    done
    install -d -m 0700 -o "$account" -g "$account" /var/backups/vending
    install -m 0755 "$source_dir/docs/deploy/vending-admin" /usr/local/sbin/vending-admin
    if [ ! -e "$config_dir/vending.toml" ]; then
        install -o root -g "$account" -m 0640 "$source_dir/docs/deploy/vending.toml" "$config_dir/"
    fi
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
    fi
}

step_clean() {
    apt-get clean
    rm -rf /var/lib/apt/lists/*
}

[ "$(id -u)" -eq 0 ] || fail 'run it as root: it installs packages and makes an account'
[ -e /etc/debian_version ] || fail 'it is written for Debian'

if [ "${1:-}" = switch ]; then
    [ $# -eq 2 ] || fail 'usage: install.sh switch RELEASE'
    switch_to "$2"
    exit 0
fi
[ $# -gt 0 ] || set -- packages user build activate
for step in "$@"; do
    case "$step" in
        packages) step_packages ;;
        build-packages) step_build_packages ;;
        user) step_user ;;
        dependencies) step_dependencies ;;
        application) step_application ;;
        build) step_build ;;
        activate) step_activate ;;
        units) step_units ;;
        clean) step_clean ;;
        *) fail "there is no step '$step'; the first lines of this file list them" ;;
    esac
done
