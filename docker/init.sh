#!/bin/sh
# Makes docker/.env with secrets of its own, once: an .env that exists is left as it is.
set -eu
cd "$(dirname "$0")"
umask 077

if [ ! -e .env ]; then
  # 32 bytes as 64 hexadecimal digits, which need no quoting in a URL, a shell or YAML.
  while IFS= read -r line; do
    case $line in
      *=) printf '%s%s\n' "$line" "$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')" ;;
      *) printf '%s\n' "$line" ;;
    esac
  done < .env.example > .env.new
  mv .env.new .env
fi

# Prometheus runs as another user, to whom the file must be readable; its directory lets nobody else
# on this machine come near it.
mkdir -p secrets
rm -f secrets/metrics_token
sed -n 's/^METRICS_TOKEN=//p' .env | tr -d '\n' > secrets/metrics_token
chmod 444 secrets/metrics_token
