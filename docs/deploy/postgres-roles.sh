#!/bin/sh
# Runs once, when the database is first made: the role the service and the worker use may read and
# write rows but owns no table, so it can neither drop one nor switch off the triggers that keep
# the ledger append-only. Migrations run as the owner.
set -eu

psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set password `cat "${SERVICE_PASSWORD_FILE:-/run/secrets/service_password}"`
CREATE ROLE vending LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO vending;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO vending;
ALTER DEFAULT PRIVILEGES FOR ROLE :"USER" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO vending;
ALTER DEFAULT PRIVILEGES FOR ROLE :"USER" IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO vending;
SQL
