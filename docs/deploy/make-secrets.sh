#!/bin/sh
# Makes the secrets of compose.yaml in a folder: random, each in a file, never over an old one.
#
#   make-secrets.sh [FOLDER]       FOLDER is /etc/vending/secrets unless given
#
# The folder is closed to everybody but its owner. The files in it are readable, because the
# container engine shows each of them alone to an account that has no name on this machine.
set -eu

folder=${1:-/etc/vending/secrets}
umask 077
mkdir -p "$folder"
chmod 0700 "$folder"
for name in key_store_passphrase owner_password service_password owner_database_url database_url; do
    if [ -e "$folder/$name" ]; then
        printf 'make-secrets.sh: %s is there already; nothing was changed\n' "$folder/$name" >&2
        exit 1
    fi
done

# 32 random bytes as 64 hexadecimal digits: no character that a URL or a shell would mind.
random() {
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'
}

write() {
    printf '%s\n' "$2" >"$folder/$1"
    chmod 0444 "$folder/$1"
}

owner=$(random)
service=$(random)
write key_store_passphrase "$(random)"
write owner_password "$owner"
write service_password "$service"
write owner_database_url "postgresql://vending_owner:$owner@postgres/vending"
write database_url "postgresql://vending:$service@postgres/vending"
printf 'make-secrets.sh: wrote five files to %s; keep a copy of key_store_passphrase apart\n' "$folder"
