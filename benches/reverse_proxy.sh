#!/usr/bin/env bash
# Reverse proxy of this crate (one thread) compared with nginx (one worker): requests per second
# through each, measured alternately against the same origin; memory after many requests and after a
# 1 GiB body. Needs wrk, curl and nginx.
#
#   benches/reverse_proxy.sh [PAIRS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-9} seconds=${2:-4}

cargo build --quiet --release --all-features --example axum_app --example reverse_proxy
examples=${CARGO_TARGET_DIR:-target}/release/examples
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT

# start NAME COMMAND..: starts the app on a free port and reads the URL from its output.
start() {
    local name=$1
    shift
    env PORT=0 "$@" >"$folder/$name" 2>&1 &
    pids+=($!)
    until grep -q '^try:' "$folder/$name"; do sleep 0.05; done
    url=$(sed -n 's|^try: curl \(http://[^/]*\)/.*|\1|p' "$folder/$name")
}
load() { wrk -t1 -c32 -d"${seconds}s" "$1/" | awk '/^Requests\/sec/ {print $2} /Non-2xx|Socket errors/ {print > "/dev/stderr"}'; }
median() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
memory() { awk -v name="$1" '$1 == name":" {print $2}' "/proc/$proxy_pid/status"; }

start origin "$examples/axum_app"
origin=$url
start proxy "UPSTREAM=$origin" "$examples/reverse_proxy"
proxy=$url proxy_pid=${pids[-1]}

nginx_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$folder/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $folder/nginx.pid;
error_log $folder/nginx.error;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/temp;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    keepalive_requests 1000000000;
    upstream origin {
        server ${origin#http://};
        keepalive 64;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:$nginx_port;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}
CONF
nginx -c "$folder/nginx.conf" 2>"$folder/nginx.out" &
pids+=($!)
nginx=http://127.0.0.1:$nginx_port
until curl -s -o "$folder/nginx.answer" "$nginx/"; do sleep 0.05; done
curl -s -o "$folder/proxy.answer" "$proxy/"
cmp "$folder/nginx.answer" "$folder/proxy.answer"

echo "requests a second, $pairs pairs of ${seconds} s, wrk -t1 -c32, 1 KiB:"
load "$proxy" >/dev/null
after_first=$(memory VmRSS)
: >"$folder/ratios"
for _ in $(seq "$pairs"); do
    theirs=$(load "$nginx")
    ours=$(load "$proxy")
    awk -v a="$theirs" -v b="$ours" 'BEGIN {printf "%.3f\n", b / a}' >>"$folder/ratios"
    echo "  nginx $theirs  reverse_proxy $ours  ratio $(tail -1 "$folder/ratios")"
done
echo "median ratio: $(median <"$folder/ratios")"
echo "memory after the first round: $((after_first / 1024)) MiB, after the last: $(($(memory VmRSS) / 1024)) MiB"

before=$(memory VmHWM)
now=$(memory VmRSS)
curl -s "$proxy/bytes/1073741824" | wc -c | awk '$1 != 1073741824 {print "only " $1 " bytes came"; exit 1}'
peak=$(memory VmHWM)
echo "1 GiB through it: memory grew from $((now / 1024)) MiB to at most $((peak / 1024)) MiB (peak before: $((before / 1024)) MiB)"
