#!/bin/sh
# azd runs this around packaging (azure.yaml): `place` puts the host.json of the durable backend where the package takes
# it from, `restore` puts ours back. The platform's scaling reads that file, and no app setting goes over it there.
set -eu
cd "$(dirname "$0")/.."
kept=infra/.host.json

restore() {
  if [ -f "$kept" ]; then mv "$kept" host.json; fi
}

case "${1:-}" in
place)
  restore # what a packaging that broke off has left
  backend="${DURABLE_BACKEND:-azureStorage}"
  if [ "$backend" = azureStorage ]; then exit 0; fi
  if [ ! -f "infra/host.$backend.json" ]; then
    echo "DURABLE_BACKEND is $backend: there is no infra/host.$backend.json" >&2
    exit 1
  fi
  cp host.json "$kept.part"
  mv "$kept.part" "$kept" # whole, or not there
  cp "infra/host.$backend.json" host.json
  ;;
restore) restore ;;
*)
  echo "usage: infra/host.sh place|restore" >&2
  exit 2
  ;;
esac
