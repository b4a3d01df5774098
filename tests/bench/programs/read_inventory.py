"""Read an inventory with Ansible's own reader, and the variables of one host: no command of ours is spared that."""

import sys

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager

source, name = sys.argv[1:]
loader = DataLoader()
inventory = InventoryManager(loader=loader, sources=[source])
assert VariableManager(loader=loader, inventory=inventory).get_vars(host=inventory.get_host(name))["hpc_login_hosts"]
