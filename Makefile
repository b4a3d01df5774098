# make launch · make test · make chaos · make scale · make bench · make lint · make lab · make docs · make release · make lock · make clean
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
BIN := .venv/bin

.PHONY: help launch test chaos scale bench lint lab docs lock package release clean

help:
	@echo 'make launch   open a secured JupyterLab on this machine: no cluster needed'
	@echo 'make test     run all tests (root; LAB=skip leaves out those that need root)'
	@echo 'make chaos    break a cluster in every way for about an hour (root; SEED=7 does the same again)'
	@echo 'make scale    onboard 100 accounts over three clusters, and again, killed and broken (root; ACCOUNTS=9 are fewer)'
	@echo 'make bench    measure how quick everything is, side by side with others (root; ROWS=launch,connect are fewer)'
	@echo 'make lint     run the linters alone'
	@echo 'make lab      bring up a cluster in network namespaces (root) and say how to use it'
	@echo 'make package  build the wheel and the collection tarball into dist/'
	@echo 'make docs     build the documentation into .build/site'
	@echo 'make release  build, check and try what a release has, in dist/ (root; VERSION=0.2.0, WRITE=yes)'
	@echo 'make lock     write requirements/*.txt anew'
	@echo 'make clean    remove what the other targets made'

launch:
	@tools/venv.sh run
	@$(BIN)/hpc-jupyter launch local $(ARGS)
	@command -v hpc-jupyter >/dev/null || echo 'hpc-jupyter is $(CURDIR)/$(BIN)/hpc-jupyter; "source $(BIN)/activate" puts it on PATH'

test:
	@tools/venv.sh dev
	@exec $(BIN)/python -m tests.run $(PARTS)

chaos:
	@tools/venv.sh dev
	@SEED=$(SEED) exec $(BIN)/python -m tests.run chaos

scale:
	@tools/venv.sh dev
	@ACCOUNTS=$(ACCOUNTS) exec $(BIN)/python -m tests.run scale

bench:
	@tools/venv.sh dev
	@PYTHONPATH=tests/lab exec $(BIN)/python -m tests.bench $(ROWS)

lint:
	@tools/venv.sh dev
	@exec $(BIN)/python -m tests.run lint

lab:
	@tools/venv.sh dev
	@$(BIN)/python -m tests.machine
	@PYTHONPATH=tests/lab $(BIN)/python -m hpclab up $(SHAPE)

package:
	@tools/venv.sh dev
	@mkdir -p dist
	@$(BIN)/python -m hatchling build -t wheel -d dist
	@$(BIN)/ansible-galaxy collection build --force --output-path dist .

docs:
	@tools/venv.sh dev
	@$(BIN)/python tools/site/build.py

release:
	@tools/venv.sh dev
	@$(BIN)/python tools/release.py make $(VERSION)
	@$(BIN)/python -m tests.released
	@if [ -n "$(WRITE)" ]; then $(BIN)/python tools/release.py write; fi
	@cat dist/SHA256SUMS

lock:
	@tools/venv.sh dev
	@exec $(BIN)/python tools/lock.py

clean:
	@rm -rf .venv .build dist .ansible
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
