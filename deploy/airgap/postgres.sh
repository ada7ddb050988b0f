#!/bin/sh
# Makes the cluster on the first start, from POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, then becomes the server.
set -eu

if [ "${1#-}" != "$1" ]; then
    set -- postgres "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?must be set}"
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    umask 077
    printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
    # Made aside: a cluster that was interrupted half-way must not pass for a finished one.
    rm -rf "$PGDATA/making"
    initdb -D "$PGDATA/making" -U "$user" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    rm /tmp/password
    if [ "$database" != postgres ]; then
        echo "create database \"$database\"" | postgres --single -D "$PGDATA/making" postgres > /dev/null
    fi
    echo "host all all all scram-sha-256" >> "$PGDATA/making/pg_hba.conf"
    echo "local all all trust" > /tmp/pg_hba && grep -v '^local' "$PGDATA/making/pg_hba.conf" >> /tmp/pg_hba
    mv /tmp/pg_hba "$PGDATA/making/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/making/postgresql.conf"
    version=$(cat "$PGDATA/making/PG_VERSION")
    rm "$PGDATA/making/PG_VERSION"
    mv "$PGDATA"/making/* "$PGDATA"
    rmdir "$PGDATA/making"
    echo "$version" > "$PGDATA/PG_VERSION"
fi
exec "$@"
