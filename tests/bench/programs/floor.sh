#!/bin/bash
# The floor: floor.sh PORT. One connection, submit and wait over it, and the forward through it to the node's socket.
set -eu
port=$1
control=$(mktemp -d)/s
# shellcheck disable=SC2016
remote='echo "floor connected"
sbatch --parsable /srv/bench/floor_job.sh > /dev/null
exec {pause}<> <(:)
until [ -e ~/floor ]; do read -r -t 0.02 -u "$pause"; done
echo "floor ready $(cat ~/floor)"'
answer=$(ssh -o ControlMaster=yes -o ControlPath="$control" -o ControlPersist=60 login "$remote" | tee /dev/stderr)
read -r node socket token <<< "${answer##*floor ready }"
echo "http://127.0.0.1:$port/lab?token=$token"
exec ssh -N -o ExitOnForwardFailure=yes -o ProxyCommand="ssh -S $control -W %h:%p login" \
    -L "127.0.0.1:$port:$socket" "$node"
