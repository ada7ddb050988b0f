#!/bin/sh
# Tells the node its first user, from RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS, then becomes the server.
set -eu

if [ -n "${RABBITMQ_DEFAULT_USER:-}" ]; then
    umask 077
    printf 'default_user = %s\ndefault_pass = %s\n' "$RABBITMQ_DEFAULT_USER" "${RABBITMQ_DEFAULT_PASS:?must be set}" \
        > /etc/rabbitmq/conf.d/05-default-user.conf
    unset RABBITMQ_DEFAULT_USER RABBITMQ_DEFAULT_PASS
fi
exec "$@"
