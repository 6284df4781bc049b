#!/usr/bin/env bash
# Proves that a bare Debian becomes a serving product by docs/deploy/install.sh alone.
#
# A minimal Debian is unpacked into a temporary folder, this checkout's HEAD is put into it and
# installed there in a chroot; then the account `vending` makes a data folder and a key and serves,
# and /healthz and /readyz are asked for from outside. Everything is stopped and removed at the
# end. The last line holds the figures; the exit status is 1 after any failure.
#
#   SUITE   Debian release to install on (bookworm)
#   PYTHON  the interpreter whose pip configuration the chroot borrows while it installs (python3)
#   UNITS=1 boots systemd on the installed tree as well and has the units serve
#   KEEP=1  leaves the folder for inspection
set -Eeuo pipefail

suite=${SUITE:-bookworm}
python=${PYTHON:-python3}
keep=${KEEP:-0}
units=${UNITS:-0}
readonly install_limit_s=1200 answer_limit_s=60 stop_limit_s=20 base_age_days=14

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/prepaid-vending
base=$cache/debian-$suite-$(uname -m).tar

fail() {
    printf 'proof-install: %s\n' "$1" >&2
    exit 1
}

say() {
    printf 'proof-install: %s\n' "$1"
}

# --- outside: needs, the folder, and a process tree that cannot outlive this one -----------------
require() {
    [ "$(id -u)" -eq 0 ] || fail 'needs root: it bootstraps a Debian and enters it by chroot'
    local tool package
    for tool in debootstrap:debootstrap unshare:util-linux git:git tar:tar; do
        package=${tool#*:}
        command -v "${tool%%:*}" >/dev/null || fail "needs ${tool%%:*}: apt-get install $package"
    done
    case "$suite" in *[!a-z]* | '') fail "SUITE=$suite is no Debian release" ;; esac
    unshare --mount --pid --fork true 2>/dev/null ||
        fail 'needs the right to make mount and process namespaces (CAP_SYS_ADMIN)'
}

outer() {
    require
    work=$(mktemp -d "${TMPDIR:-/tmp}/proof-install.XXXXXX")
    inner_pid=
    trap outer_cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    if [ "$units" = 1 ]; then
        cgroup=$(findmnt --noheadings --output TARGET --types cgroup2 | head -n 1)
        [ -n "$cgroup" ] || fail 'UNITS=1 needs cgroup2 to be mounted'
        cgroup=$cgroup/proof-install.$$
        mkdir "$cgroup"
    fi
    # Mounts and processes live in namespaces of their own; both end with their first process,
    # and that one ends when this shell does, however it does.
    PROOF_WORK=$work PROOF_CGROUP=${cgroup:-} setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child=KILL \
        "${BASH_SOURCE[0]}" &
    inner_pid=$!
    wait "$inner_pid"
}

outer_cleanup() {
    local status=$?
    trap - EXIT INT TERM HUP
    if [ -n "$inner_pid" ]; then
        kill -KILL "$inner_pid" 2>/dev/null || true
        wait "$inner_pid" 2>/dev/null || true
    fi
    if [ -n "${cgroup:-}" ]; then
        # The kernel empties the groups a moment after the last process is gone.
        for _ in $(seq 50); do
            find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
            [ -d "$cgroup" ] || break
            sleep 0.1
        done
    fi
    if [ "$keep" = 1 ]; then
        say "kept $work" >&2
    else
        rm -rf --one-file-system -- "$work" || status=1
    fi
    [ "$status" -eq 0 ] || status=1
    exit "$status"
}

# --- inside the namespaces --------------------------------------------------------------------------
bootstrap() {
    mkdir -p "$cache"
    if [ -n "$(find "$base" -mtime "-$base_age_days" 2>/dev/null)" ]; then
        say "unpacks the cached Debian $suite"
    else
        say "bootstraps Debian $suite"
        debootstrap --variant=minbase "$suite" "$work/base" >"$work/debootstrap.log" 2>&1 ||
            { tail -n 20 "$work/debootstrap.log" >&2 && fail 'debootstrap failed'; }
        chroot "$work/base" apt-get clean
        tar -C "$work/base" --one-file-system --numeric-owner -cf "$base.$$" .
        mv "$base.$$" "$base"
        rm -rf --one-file-system "$work/base"
    fi
    mkdir "$root"
    tar -C "$root" --numeric-owner -xpf "$base"
}

prepare_root() {
    mount -t proc proc "$root/proc"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    # No service may start while packages are installed.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 0755 "$root/usr/sbin/policy-rc.d"
    put_checkout
}

put_checkout() {
    mkdir -p "$root/usr/src/vending"
    git -C "$repository" -c safe.directory="$repository" archive HEAD |
        tar -C "$root/usr/src/vending" --no-same-owner -xf -
}

# The pip configuration of this machine, for the time of the installation: files and folders it
# names are shown to the chroot under /run/host-pip.
lend_pip_configuration() {
    local lent=$root/run/host-pip source target
    mkdir -p "$lent"
    "$python" "$repository/tests/proofs/lend_pip_configuration.py" \
        --python "$python" --at /run/host-pip --out "$lent" >"$work/lent"
    while IFS=$'\t' read -r source target; do
        if [ -d "$source" ]; then
            mkdir -p "$root$target"
            mount --bind "$source" "$root$target"
            mount -o remount,bind,ro "$root$target"
        else
            cp -L "$source" "$root$target"
        fi
    done <"$work/lent"
}

take_pip_configuration_back() {
    local target
    while IFS=$'\t' read -r _ target; do
        if mountpoint -q "$root$target"; then
            umount "$root$target"
        fi
    done <"$work/lent"
    rm -rf --one-file-system "$root/run/host-pip"
}

in_root() {
    chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent \
        LANG=C.UTF-8 "$@"
}

install_product() {
    local variable proxies=()
    for variable in http_proxy https_proxy no_proxy; do
        [ -z "${!variable:-}" ] || proxies+=("$variable=${!variable}")
    done
    say 'installs'
    timeout "$install_limit_s" chroot "$root" /usr/bin/env -i LANG=C.UTF-8 HOME=/root \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${proxies[@]}" \
        PIP_CONFIG_FILE=/run/host-pip/pip.conf \
        /usr/src/vending/docs/deploy/install.sh >"$work/install.log" 2>&1 ||
        { tail -n 40 "$work/install.log" >&2 && fail 'the installation failed'; }
    # What runs must stand on its own: neither the checkout nor the configuration is there now.
    rm -rf "$root/usr/src/vending"
    take_pip_configuration_back
}

check_tree() {
    local release=$root/opt/vending/current
    in_root test -x /opt/vending/current/bin/vending || fail 'the command vending is missing'
    [ -z "$(find "$release"/lib/python*/site-packages -maxdepth 1 \
        \( -iname 'pip*' -o -iname 'hatchling*' -o -iname 'setuptools*' \) -print -quit)" ] ||
        fail 'build tools stayed in the release'
    [ -n "$(find "$release/lib" -name '*.pyc' -path '*vending*' -print -quit)" ] ||
        fail 'no byte code was made'
    [ -z "$(find "$root/opt/vending" -not -type l \( -not -uid 0 -o -perm /022 \) -print -quit)" ] ||
        fail 'something of the release can be changed by others than root'
}

# Becomes a command in the chroot, run by the account `vending` as its service would run it.
become_vending() {
    exec chroot --userspec=vending:vending "$root" /usr/bin/env -i -C /var/lib/vending \
        PATH=/opt/vending/current/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/var/lib/vending \
        VENDING_DATA_DIR=/var/lib/vending VENDING_HOST=127.0.0.1 VENDING_PORT="$port" \
        VENDING_KEY_STORE_PASSPHRASE_FILE=/run/credentials/key_store_passphrase "$@"
}

initialise() {
    port=$("$python" -c 'import socket
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    print(probe.getsockname()[1])')
    mkdir -p "$root/run/credentials"
    head -c 32 /dev/urandom | base64 >"$root/run/credentials/key_store_passphrase"
    for _ in 1 2; do
        head -c 20 /dev/urandom | od -An -v -t x1 | tr -d ' \n'
        echo
    done >"$root/run/credentials/components"
    chroot "$root" chown -R vending:vending /run/credentials
    chmod 0400 "$root"/run/credentials/*
    say 'runs vending init and signs two people in'
    install -m 0644 "$repository/tests/proofs/enrol_two.py" "$root/run/enrol_two.py"
    install -d -m 0700 "$root/run/people"
    chroot "$root" chown vending:vending /run/people
    (become_vending timeout 300 /opt/vending/current/bin/python -I /run/enrol_two.py /run/people) \
        >"$work/init.log" 2>&1 ||
        { tail -n 40 "$work/init.log" >&2 && fail 'vending init failed'; }
    # A service without a vending key is not ready; a demonstration key needs no ceremony.
    (become_vending timeout 120 env VENDING_DEMO=true \
        VENDING_SESSION_FILE=/run/people/session-first vending keys import --demo --sgc 123456 --krn 1 \
        --components /run/credentials/components) >"$work/keys.log" 2>&1 ||
        { tail -n 40 "$work/keys.log" >&2 && fail 'vending keys import failed'; }
    rm "$root/run/credentials/components"
}

# Asks for a path from outside the chroot until it answers 200, the server ends or time is up.
await_answer() {
    "${enter[@]}" "$python" -I - "http://127.0.0.1:$port$1" "$server_pid" "$answer_limit_s" <<'PYTHON'
import os
import sys
import time
import urllib.error
import urllib.request

url, pid, limit_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
started, last = time.monotonic(), "no answer"
while time.monotonic() - started < limit_s:
    try:
        with opener.open(url, timeout=5) as answer:
            answer.read()
            print(f"{time.monotonic() - started:.1f}")
            sys.exit(0 if answer.status == 200 else 1)
    except urllib.error.HTTPError as error:
        last = f"{error.code} {error.read(500)!r}"
    except OSError as error:
        last = str(error)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        sys.exit(f"{url}: the server ended; last: {last}")
    time.sleep(0.1)
sys.exit(f"{url}: not 200 within {limit_s:.0f} s; last: {last}")
PYTHON
}

serve() {
    say 'runs vending serve'
    (become_vending vending serve) >"$work/serve.log" 2>&1 &
    server_pid=$!
    local server_uid status=0
    healthy_s=$(await_answer /healthz) || { tail -n 40 "$work/serve.log" >&2 && fail '/healthz'; }
    await_answer /readyz >/dev/null || { tail -n 10 "$work/serve.log" >&2 && fail '/readyz'; }
    server_uid=$(awk '/^Uid:/ { print $2 }' "/proc/$server_pid/status")
    [ "$server_uid" -ne 0 ] || fail 'the server runs as root'
    kill -TERM "$server_pid"
    timeout "$stop_limit_s" tail --pid="$server_pid" -f /dev/null ||
        fail "the server did not stop within $stop_limit_s s of SIGTERM"
    wait "$server_pid" || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 143 ] || fail "the server ended with status $status"
}

# systemd finds no fault with the units, alone and with the drop-in for a PostgreSQL beside them.
verify_units() {
    local unit told drop_ins=$root/run/systemd/system
    for unit in '' vending vending-worker; do
        if [ -n "$unit" ]; then
            mkdir -p "$drop_ins/$unit.service.d"
            cp "$repository/docs/deploy/systemd/postgresql.conf" "$drop_ins/$unit.service.d/"
        fi
        told=$(in_root systemd-analyze verify --man=no /etc/systemd/system/vending.service \
            /etc/systemd/system/vending-worker.service /etc/systemd/system/vending.target 2>&1) ||
            fail "systemd refuses the units: $told"
        [ -z "$told" ] || fail "systemd finds fault with the units: $told"
    done
    rm -rf "$drop_ins"
}

# Has systemd run the units, with every restriction they carry, and asks them the same questions.
serve_by_units() {
    local unit
    say 'boots systemd and starts vending.target'
    port=8080
    cp "$root/run/credentials/key_store_passphrase" "$root/etc/vending/credentials/"
    chroot "$root" chown root:root /etc/vending/credentials/key_store_passphrase
    put_checkout
    { in_root DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends \
        systemd systemd-sysv dbus &&
        in_root /usr/src/vending/docs/deploy/install.sh units &&
        in_root systemctl enable vending.target vending.service vending-worker.service; } \
        >"$work/units.log" 2>&1 || { tail -n 20 "$work/units.log" >&2 && fail 'the units'; }
    verify_units
    rm -rf "$root/usr/src/vending" "$root/usr/sbin/policy-rc.d"
    umount "$root/proc"
    (
        echo "$BASHPID" >"$PROOF_CGROUP/cgroup.procs"
        exec unshare --mount --propagation private --pid --fork --kill-child=KILL --cgroup --uts \
            --ipc --net "$repository/tests/proofs/boot_units.sh" "$root"
    ) >"$work/systemd.log" 2>&1 </dev/null &
    server_pid=
    for _ in $(seq 100); do
        server_pid=$(pgrep -P "$!") && break
        sleep 0.1
    done
    [ -n "$server_pid" ] || { tail -n 20 "$work/systemd.log" >&2 && fail 'systemd did not start'; }
    enter=(nsenter --target "$server_pid" --net)
    local inside=(nsenter --target "$server_pid" --mount --pid --cgroup --uts --ipc --net)
    if ! { await_answer /healthz && await_answer /readyz; } >/dev/null; then
        "${inside[@]}" journalctl --no-pager --lines 40 --unit 'vending*' >&2
        fail 'the units do not serve'
    fi
    for unit in vending.service vending-worker.service; do
        "${inside[@]}" systemctl is-active --quiet "$unit" || {
            "${inside[@]}" journalctl --no-pager --lines 40 --unit "$unit" >&2
            fail "$unit is not active"
        }
        [ "$("${inside[@]}" systemctl show --property NRestarts --value "$unit")" = 0 ] ||
            fail "$unit was restarted"
    done
    "${inside[@]}" vending-admin doctor >"$work/doctor.log" 2>&1 ||
        { tail -n 40 "$work/doctor.log" >&2 && fail 'vending-admin doctor failed'; }
    "${inside[@]}" systemctl stop vending.target vending.service vending-worker.service
    for unit in vending.service vending-worker.service; do
        [ "$("${inside[@]}" systemctl show --property Result --value "$unit")" = success ] ||
            fail "$unit did not stop in good order"
    done
    kill -KILL "$server_pid"
}

inner() {
    local release_mb root_mb install_s base_s python_version by_units=no enter=()
    work=$PROOF_WORK root=$PROOF_WORK/root
    # tail --pid and kill need a /proc that shows this namespace.
    mount -t proc proc /proc
    SECONDS=0
    bootstrap
    prepare_root
    base_s=$SECONDS
    lend_pip_configuration
    install_product
    install_s=$((SECONDS - base_s))
    check_tree
    initialise
    serve
    release_mb=$(du -sm "$root/opt/vending" | cut -f 1)
    root_mb=$(du -smx "$root" | cut -f 1)
    python_version=$(in_root /opt/vending/current/bin/python -c \
        'import platform; print(platform.python_version())')
    if [ "$units" = 1 ]; then
        serve_by_units
        by_units=yes
    fi
    printf 'proof-install: ok suite=%s python=%s seconds=%d base_s=%d install_s=%d healthz_s=%s release_mb=%d root_mb=%d units=%s commit=%s\n' \
        "$suite" "$python_version" "$SECONDS" "$base_s" "$install_s" "$healthy_s" \
        "$release_mb" "$root_mb" "$by_units" \
        "$(git -C "$repository" -c safe.directory="$repository" rev-parse --short HEAD)"
}

if [ -n "${PROOF_WORK:-}" ]; then
    inner
else
    outer
fi
