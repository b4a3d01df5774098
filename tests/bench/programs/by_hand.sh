#!/bin/bash
# The guides' steps: by_hand.sh PORT. One ssh a step, a look every second.
set -eu
port=$1
job=$(ssh login sbatch --parsable /srv/bench/by_hand_job.sh | tail -n 1)
node=
until [ -n "$node" ]; do
    node=$(ssh login squeue --noheader --states=running --jobs="$job" --format=%N.node | sed -n 's/\.node$//p')
    [ -n "$node" ] || sleep 1
done
address=
until [ -n "$address" ]; do
    address=$(ssh login cat jupyter.log | sed -n "s|.*http://$node:\([0-9]*\)/.*token=\([0-9a-f]*\).*|\1 \2|p" | tail -n 1)
    [ -n "$address" ] || sleep 1
done
echo "http://127.0.0.1:$port/lab?token=${address#* }"
exec ssh -N -o ExitOnForwardFailure=yes -L "127.0.0.1:$port:$node:${address% *}" login
