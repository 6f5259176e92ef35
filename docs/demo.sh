#!/usr/bin/env bash
# What `make demo` shows: trains both stages on the generated store, evaluates them, serves the
# bundle and searches it over gRPC. Arguments go to `python -m train`; what is done is not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python}
out=${OUT:-out/demo}
[ -t 1 ] || export COLUMNS="${COLUMNS:-120}" # a log has no width of its own

server=
scratch=$(mktemp -d)
cleanup() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" || true
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT

say() { printf '\n== %s\n' "$*"; }

say "Training both stages on the demo store, then evaluating them"
"$python" -m train all --data demo --out "$out" "$@"
say "Trained and evaluated after $SECONDS s"

say "Starting the server"
mkfifo "$scratch/stdout"
"$python" -m server --bundle "$out/bundle" --port 0 --compilation-cache "$out/cache/xla" \
  >"$scratch/stdout" &
server=$!
# The line comes once the server answers calls; end of file instead means that it has failed.
read -r line <"$scratch/stdout" || { echo "error: the server did not start" >&2; exit 1; }
address=${line#listening on }
say "Serving on $address after $SECONDS s"

# A plain one, one of attributes, a synonym, and a wish.
for query in "usb c charger" "polarized sunglasses for skiing" "hair blower" \
  "shoes for running a marathon"; do
  say "python -m server search \"$query\""
  "$python" -m server search "$query" --address "$address" --page-size 5
done

say "Stopping the server"
kill -TERM "$server"
wait "$server"
server=
say "Done in $SECONDS s. To go on searching:
   $python -m server --bundle $out/bundle
   $python -m server search \"coffee machine\""
