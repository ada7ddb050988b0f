#!/bin/sh
# Gives each secret that docker-compose.yml asks for a random value in .env; those that are there already stay.
# Hexadecimal, because they stand in URLs.
set -eu
umask 077
cd "$(dirname "$0")/.."
touch .env
for name in $(cat docker-compose.yml deploy/servers.yml | tr '$' '\n' | sed -n 's/^{\([A-Z_]*\):?.*/\1/p' | sort -u); do
    if ! grep -q "^$name=" .env; then
        echo "$name=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >> .env
    fi
done
