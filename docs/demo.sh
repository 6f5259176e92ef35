#!/usr/bin/env bash
# The program of `make demo`: train both stages on the generated store, evaluate them, serve the
# bundle and search over gRPC. The script passes its arguments to `python -m train`, which skips
# finished steps.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python}
out=${OUT:-out/demo}
[ -t 1 ] || export COLUMNS="${COLUMNS:-120}" # without a terminal, tables need a width

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
# The server prints a line once it answers calls. End of file means that it did not start.
read -r line <"$scratch/stdout" || { echo "error: the server did not start" >&2; exit 1; }
address=${line#listening on }
say "Serving on $address after $SECONDS s"

# A product name, a product with attributes, a synonym, and a purpose.
for query in "usb c charger" "polarized sunglasses for skiing" "hair blower" \
  "shoes for running a marathon"; do
  say "python -m server search \"$query\""
  "$python" -m server search "$query" --address "$address" --page-size 5
done

say "Stopping the server"
kill -TERM "$server"
wait "$server"
server=
say "Done in $SECONDS s. To search again:
   $python -m server --bundle $out/bundle
   $python -m server search \"coffee machine\""
