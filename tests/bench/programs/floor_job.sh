#!/bin/bash
#SBATCH --output=/dev/null
# The floor's job: JupyterLab on a Unix socket, and a file that appears when it answers there.
umask 077
place=$(mktemp -d /tmp/floor-XXXXXX)
token=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
JUPYTER_TOKEN=$token /opt/jupyter/bin/jupyter lab --no-browser --ServerApp.sock="$place/s" --ServerApp.sock_mode=0600 &
# The pauses are the shell's own: starting a program for each would slow JupyterLab's start down.
exec {pause}<> <(:)
until [ -S "$place/s" ]; do
    read -r -t 0.02 -u "$pause"
done
until curl --silent --fail --output /dev/null --unix-socket "$place/s" -H "Authorization: token $token" \
    http://localhost/api/status; do
    sleep 0.02
done
echo "$(hostname) $place/s $token" > ~/floor.new
mv ~/floor.new ~/floor
wait
