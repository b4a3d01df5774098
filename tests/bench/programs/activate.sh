# shellcheck shell=sh
# Stands for conda's: the peer starts with `source activate NAME`. Its token is known beforehand, so that the clock
# stops as soon as its forward carries and not after the three seconds that it sleeps before it tells the address.
export PATH="/opt/jupyter/bin:$PATH" JUPYTER_TOKEN="@token@"
