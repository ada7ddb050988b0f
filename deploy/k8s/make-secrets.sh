#!/bin/sh
# Prints the Secrets that the manifests ask for, with the values of .env, which deploy/make-env.sh makes:
#   deploy/make-env.sh && deploy/k8s/make-secrets.sh | kubectl apply -n liaison -f -
# Keep .env as you keep backups. Sites with a secret store make the same Secrets and keys from there instead.
set -eu
cd "$(dirname "$0")/../.."

value() {
    found=$(sed -n "s/^$1=//p" .env)
    : "${found:?$1 is missing from .env, run deploy/make-env.sh}"
    printf '%s' "$found"
}

secret() { # name, then a word for each key: key=VARIABLE of .env
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData:\n' "$1"
    shift
    for pair in "$@"; do
        printf '  %s: "%s"\n' "${pair%%=*}" "$(value "${pair#*=}")"
    done
}

for server in postgres rabbitmq; do
    secret "$server-operator" "password=$(echo $server | tr '[:lower:]' '[:upper:]')_PASSWORD"
    printf '  username: liaison\ntype: kubernetes.io/basic-auth\n'
done
for service in $(sed -n 's/^  \([a-z]*\)-setup:$/\1/p' docker-compose.yml); do
    upper=$(echo "$service" | tr '[:lower:]' '[:upper:]')
    if [ "$service" = identity ]; then
        secret identity-secrets password=IDENTITY_PASSWORD secret=CRM_SECRET admin-password=CRM_ADMIN_PASSWORD
    else
        secret "$service-secrets" "password=${upper}_PASSWORD" "secret=${upper}_SECRET"
    fi
done
