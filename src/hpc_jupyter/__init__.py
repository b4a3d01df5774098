"""The command line of hpc.jupyter: JupyterLab on a compute node, in the browser of this computer."""
