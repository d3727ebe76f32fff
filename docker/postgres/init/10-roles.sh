#!/bin/sh
# Run by the image once, on an empty volume, as the superuser: the app owns its database and is no
# superuser, the exporter may only look. A password that is changed later is changed with ALTER ROLE.
set -eu

psql --set ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname postgres \
  --set app_password="$HEDONIFY_DB_PASSWORD" --set exporter_password="$EXPORTER_DB_PASSWORD" <<'SQL'
CREATE ROLE hedonify LOGIN PASSWORD :'app_password';
-- As the embedded server's: sorted by bytes, upper and lower case by Unicode.
CREATE DATABASE hedonify OWNER hedonify TEMPLATE template0 ENCODING 'UTF8'
  LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8';
REVOKE CONNECT, TEMPORARY ON DATABASE hedonify FROM PUBLIC;

CREATE ROLE exporter LOGIN PASSWORD :'exporter_password' CONNECTION LIMIT 3 IN ROLE pg_monitor;
GRANT CONNECT ON DATABASE hedonify TO exporter;
ALTER ROLE exporter SET statement_timeout = '5s';

\connect hedonify
CREATE EXTENSION pg_stat_statements;
SQL
