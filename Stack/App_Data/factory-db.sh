#!/usr/bin/env bash
# Starts PostgreSQL in the stack. Before anybody can connect, the roles become what the factory needs: `init` has
# written how, with what PostgreSQL keeps of each password. Each step may be killed: the next start does it again.
# Its arguments are PostgreSQL's.
set -Eeuo pipefail
umask 077

sql=${FACTORY_SQL:-/run/factory-secrets/roles.sql}
socket=$(mktemp -d) # nobody else is told of it

# In the background, so that a stop is not kept waiting: bash acts on a signal between two commands.
run() {
  "$@" &
  wait $!
}

server_runs=
stop_server() {
  [ -z "$server_runs" ] || pg_ctl -D "$PGDATA" -m fast -w -t 600 -s stop
  server_runs=
}
trap 'stop_server || true; exit 0' INT TERM
trap 'stop_server || true' EXIT

ask() { psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --host="$socket" "$@"; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  echo 'factory-db: making the database'
  rm -rf "$PGDATA.new" # a kill in the middle leaves this, never half a database
  mkdir -p "$PGDATA.new"
  # shellcheck disable=SC2086 # several words
  run initdb -D "$PGDATA.new" --username=factory_admin --auth-local=trust --auth-host=scram-sha-256 \
    --no-instructions ${POSTGRES_INITDB_ARGS:-} > /dev/null
  printf '\n# The services, each with its own password.\nhost all all all scram-sha-256\n' >> "$PGDATA.new/pg_hba.conf"
  sync "$PGDATA.new/pg_hba.conf" # the rest initdb has synced; not all that others write on this machine
  [ ! -d "$PGDATA" ] || rmdir "$PGDATA"
  mv "$PGDATA.new" "$PGDATA"
  sync "${PGDATA%/*}"
fi

# A crash is recovered from here, however long that takes.
server_runs=yes
run pg_ctl -D "$PGDATA" -w -t 86400 -s -l "$socket/log" \
  -o "-c listen_addresses='' -c unix_socket_directories='$socket' -c logging_collector=off" start ||
  { cat "$socket/log" >&2; exit 1; }

superuser=factory_admin
ask --username="$superuser" --dbname=postgres --command='' 2> /dev/null || superuser=photo_factory # an earlier version's
mapfile -t databases < <(ask --username="$superuser" --dbname=postgres --file="${sql%/*}/databases.sql")
[ ${#databases[@]} -gt 0 ]
for database in "${databases[@]}"; do
  run ask --username="$superuser" --dbname="dbname='${database//\'/\\\'}'" --single-transaction --file="$sql"
  superuser=factory_admin
done
# photo_factory is the first of them, where it is there.
[ "${databases[0]}" = photo_factory ] ||
  ask --username=photo_factory --dbname=postgres --command='CREATE DATABASE photo_factory'

stop_server
rm -rf "$socket"
trap - INT TERM EXIT
exec postgres -D "$PGDATA" "$@"
