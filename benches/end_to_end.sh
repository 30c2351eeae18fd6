#!/usr/bin/env bash
# What recording costs a whole axum app: requests a second with and without the layer, in turn, on the
# same machine, and the memory of a 1 GiB download. Needs wrk and curl.
#
#   benches/end_to_end.sh [PAIRS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-9} seconds=${2:-4}

cargo build --quiet --release --example axum_app
app=${CARGO_TARGET_DIR:-target}/release/examples/axum_app
folder=$(mktemp -d)
pid=
stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid"; } || true
    pid=
}
trap 'stop; rm -rf "$folder"' EXIT

# start [RECORD=folder]: a free port is the kernel's choice, and the app says it.
start() {
    : >"$folder/out"
    env PORT=0 "$@" "$app" >"$folder/out" 2>&1 &
    pid=$!
    until grep -q '^try:' "$folder/out"; do sleep 0.05; done
    url=$(sed -n 's|^try: curl \(http://[^/]*\)/.*|\1|p' "$folder/out")
}
load() { wrk -t1 -c32 -d"${seconds}s" "$url/" | awk '/^Requests\/sec/ {print $2}'; }
median() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
memory() { awk -v name="$1" '$1 == name":" {print $2}' "/proc/$pid/status"; }

echo "requests a second, $pairs pairs of ${seconds} s, wrk -t1 -c32, 1 KiB:"
: >"$folder/ratios"
for _ in $(seq "$pairs"); do
    start
    without=$(load)
    stop
    rm -rf "$folder/t"
    start RECORD="$folder/t"
    with=$(load)
    # The last exchanges may still be on their way to the store.
    until curl -s "$url/stats" | grep -q '"queued":0'; do sleep 0.05; done
    stats=$(curl -s "$url/stats")
    stop
    awk -v a="$without" -v b="$with" 'BEGIN {printf "%.3f\n", b / a}' >>"$folder/ratios"
    echo "  without $without  with $with  ratio $(tail -1 "$folder/ratios")  $stats"
done
echo "median ratio: $(median <"$folder/ratios")"

start RECORD="$folder/big"
curl -s -o /dev/null "$url/"
before=$(memory VmRSS)
curl -s -o /dev/null "$url/bytes/1073741824"
until curl -s "$url/stats" | grep -q '"stored":2'; do sleep 0.05; done
echo "1 GiB recorded with the default limits: peak memory grew by $((($(memory VmHWM) - before) / 1024)) MiB"
