#!/bin/sh
# Makes stand-ins for the public images that Liaison is built on and runs with, from a Debian mirror alone.
# Needs root, debootstrap and a Docker engine. Images that are there already are left alone; --force makes them again.
# DEBIAN_MIRROR names the mirror; without it debootstrap's own default is taken.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
debian=debian:bookworm-slim
force=${1:-}

is_there() {
    [ "$force" != --force ] && docker image inspect "$1" > /dev/null 2>&1
}

make_debian() {
    root=$(mktemp -d)
    trap 'umount "$root/proc" 2> /dev/null || true; rm -rf --one-file-system "$root"' EXIT
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
    umount "$root/proc" 2> /dev/null || true
    # A company's own authorities must be trusted inside as they are outside, or nothing can be fetched in a build.
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2> /dev/null || true
    chroot "$root" update-ca-certificates
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/doc/* \
        "$root"/usr/share/man/* "$root"/usr/share/locale/*
    tar -C "$root" --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* -c . | docker import - "$debian" > /dev/null
}

make() {
    docker build --quiet --build-arg "DEBIAN=$debian" --target "$1" --tag "$2" "$here" > /dev/null
}

is_there "$debian" || make_debian
# The tags say what is inside: Debian 12 has PostgreSQL 15 and RabbitMQ 3.10.
for pair in python=python:3.11-slim-bookworm postgres=postgres:15 rabbitmq=rabbitmq:3.10-management; do
    is_there "${pair#*=}" || make "${pair%%=*}" "${pair#*=}"
    docker image ls --format '{{.Repository}}:{{.Tag}} {{.Size}}' "${pair#*=}"
done
echo "for .env, where docker-compose.yml is used:"
echo "POSTGRES_IMAGE=postgres:15"
echo "RABBITMQ_IMAGE=rabbitmq:3.10-management"
