#!/usr/bin/env bash
# Cost of recording for a whole axum app: requests per second with and without the layer, measured
# alternately on the same machine, and the memory used by a 1 GiB download. Needs wrk and curl.
#
#   benches/end_to_end.sh [ROUNDS] [SECONDS]
#
# With S3_TEST_ENDPOINT, S3_TEST_BUCKET and AWS SDK credentials in the environment, the script also
# measures recording to S3:
#
#   .ci/garage up /tmp/garage 1 && . /tmp/garage/env && benches/end_to_end.sh
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-9} seconds=${2:-4}

features=()
[ -z "${S3_TEST_ENDPOINT:-}" ] || features=(--features s3)
cargo build --quiet --release "${features[@]}" --example axum_app
app=${CARGO_TARGET_DIR:-target}/release/examples/axum_app
folder=$(mktemp -d)
pid=
stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid"; } || true
    pid=
}
trap 'stop; rm -rf "$folder"' EXIT

# start [RECORD=folder]: starts the app on a free port and reads the URL from its output.
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

# Measures requests per second of the running app, then reads its recorder's statistics.
measure() {
    rate=$(load)
    # The last exchanges may still be queued.
    until curl -s "$url/stats" | grep -q '"queued":0'; do sleep 0.05; done
    stats=$(curl -s "$url/stats")
    # With S3, stopping the app waits for the uploads or the drain deadline.
    stop
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.3f\n", b / a}'; }

echo "requests a second, $rounds rounds of ${seconds} s each, wrk -t1 -c32, 1 KiB:"
for _ in $(seq "$rounds"); do
    start
    without=$(load)
    stop
    start RECORD="$folder/t"
    measure
    rm -rf "$folder/t"
    disk=$rate
    ratio "$without" "$disk" >>"$folder/disk"
    echo "  without $without  to disk $disk  ratio $(tail -1 "$folder/disk")  $stats"
    [ -n "${S3_TEST_ENDPOINT:-}" ] || continue
    mkdir "$folder/state"
    start RECORD="s3://${S3_TEST_BUCKET:?}/end_to_end/$$" AWS_ENDPOINT_URL_S3="$S3_TEST_ENDPOINT" \
        STATE_DIRECTORY="$folder/state"
    measure
    left=$(find "$folder/state" -name '*.warc*' | wc -l)
    rm -rf "$folder/state"
    ratio "$without" "$rate" >>"$folder/s3"
    ratio "$disk" "$rate" >>"$folder/s3_by_disk"
    echo "    to S3 $rate  ratio $(tail -1 "$folder/s3")  $stats, segments not uploaded: $left"
done
echo "median ratio: $(median <"$folder/disk")"
if [ -n "${S3_TEST_ENDPOINT:-}" ]; then
    echo "median ratio to S3: $(median <"$folder/s3"), by to disk: $(median <"$folder/s3_by_disk")"
fi

start RECORD="$folder/big"
curl -s -o /dev/null "$url/"
before=$(memory VmRSS)
curl -s -o /dev/null "$url/bytes/1073741824"
until curl -s "$url/stats" | grep -q '"stored":2'; do sleep 0.05; done
echo "1 GiB recorded with the default limits: peak memory grew by $((($(memory VmHWM) - before) / 1024)) MiB"
