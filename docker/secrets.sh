#!/bin/sh
# Makes the secrets that docker compose needs, each a file of random characters, and .env, which says where they are.
# Never overwrites any of them: to have a new one, see docs/operations.md.
#
#   docker/secrets.sh [FOLDER]      FOLDER/secrets/* and FOLDER/.env; this repository where no folder is named
set -eu
cd "$(dirname "$0")/.."
folder=${1:-.}
# Containers read them under users of their own, so the files are open and the folder is closed.
mkdir -p "$folder/secrets"
chmod 0700 "$folder/secrets"
touch "$folder/.env"
[ -z "$(tail -c 1 "$folder/.env")" ] || echo >>"$folder/.env" # its last line was not ended
for name in database_password admin_key grafana_password; do
    file=$folder/secrets/$name
    if [ ! -s "$file" ]; then
        (umask 0333 && LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c 43 >"$file.part" && mv "$file.part" "$file")
        echo "made $file"
    fi
    variable=$(echo "$name" | tr '[:lower:]' '[:upper:]')_FILE
    grep -q "^$variable=" "$folder/.env" || echo "$variable=$file" >>"$folder/.env"
done
