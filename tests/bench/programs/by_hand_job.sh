#!/bin/bash
#SBATCH --output=jupyter.log
# The guides' job: JupyterLab on a port of the node, its address with the token in the job's log.
exec /opt/jupyter/bin/jupyter lab --no-browser --ip="$(hostname)" --port=8888
