#!/usr/bin/env bash
# Wire-sniffing proxy compared with mitmproxy: requests per second through each, measured
# alternately against the same origin. The wire-sniffing proxy writes every message to a file;
# `mitmdump -q` writes nothing. Needs wrk, curl and mitmdump (PyPI: mitmproxy), on the path or as
# $MITMDUMP.
#
#   benches/wire_sniffing.sh [PAIRS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-5} seconds=${2:-4} mitmdump=${MITMDUMP:-mitmdump}

cargo build --quiet --release --all-features --example axum_app --example wire_sniffing_proxy
examples=${CARGO_TARGET_DIR:-target}/release/examples
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT

# start NAME COMMAND..: starts the app on a free port and reads the URL from its output.
start() {
    local name=$1
    shift
    env PORT=0 "$@" >>"$folder/$name" 2>"$folder/$name.errors" &
    pids+=($!)
    until grep -aq '^try:' "$folder/$name"; do sleep 0.05; done
    url=$(sed -n 's|^try: .*\(http://127[^/ ]*\).*|\1|p;q' "$folder/$name")
}
# Proxies expect the absolute URI in the request line.
echo 'request = function() return wrk.format("GET", os.getenv("ORIGIN") .. "/") end' >"$folder/proxied.lua"
load() { wrk -t1 -c32 -d"${seconds}s" -s "$folder/proxied.lua" "$1" | tee "$folder/wrk" | awk '/^Requests\/sec/ {print $2} /Non-2xx|Socket errors/ {print > "/dev/stderr"}'; }
median() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

start origin "$examples/axum_app"
export ORIGIN=$url
start sniffer "$examples/wire_sniffing_proxy"
ours=$url
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$mitmdump" -q --listen-host 127.0.0.1 --listen-port "$port" >"$folder/mitmdump" 2>&1 &
pids+=($!)
theirs=http://127.0.0.1:$port
until curl -s -x "$theirs" -o "$folder/theirs.answer" "$ORIGIN/"; do sleep 0.2; done
curl -s -x "$ours" -o "$folder/ours.answer" "$ORIGIN/"
cmp "$folder/theirs.answer" "$folder/ours.answer"

echo "requests a second, $pairs pairs of ${seconds} s, wrk -t1 -c32, 1 KiB:"
: >"$folder/ratios"
for _ in $(seq "$pairs"); do
    a=$(load "$theirs")
    b=$(load "$ours")
    asked=$(awk '/requests in/ {print $1}' "$folder/wrk")
    # The last blocks may still be queued.
    sleep 1
    printed=$(grep -ac '^2.* < HTTP/1.1 200 OK' "$folder/sniffer" || true)
    lost=$(grep -a 'not printed' "$folder/sniffer" | tail -1 || true)
    truncate -s 0 "$folder/sniffer"
    awk -v a="$a" -v b="$b" 'BEGIN {printf "%.1f\n", b / a}' >>"$folder/ratios"
    echo "  mitmdump -q $a  wire_sniffing_proxy $b  ratio $(tail -1 "$folder/ratios"); of $asked answers $printed were printed ${lost:+($lost)}"
done
echo "median ratio: $(median <"$folder/ratios")"
