# Every target sets up what it needs. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
PYTEST := $(BIN)/pytest
STORM ?=
WORKERS ?= 2

.PHONY: help setup demo test check kafka test-kafka storm bench golden schemas proto up down clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv with everything in it (again only when pyproject.toml changed)

$(STAMP): pyproject.toml deploy/setup.sh
	@bash deploy/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: setup  ## a year of flights: contracts, usage, statements, invoices, ledger, KPIs
	$(BIN)/fakturo demo

test: setup  ## every test that needs neither Java nor kills, on two workers (embedded brokers and databases)
	$(PYTEST) -m "not storm" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: setup  ## lint, types, import rules, schemas, AsyncAPI, compose file, manifests, alert rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m fakturo.schemas.generate --check
	$(PYTEST) -q tests/architecture tests/schemas
	$(BIN)/python deploy/check.py

kafka: setup  ## run Apache Kafka on free local ports until Ctrl-C (NODES=3 for three nodes)
	$(BIN)/python -m fakturo.cli.stack.kafka --nodes $(or $(NODES),1)

test-kafka: setup  ## the integration and storm suites on a real Apache Kafka (Java 17, Maven)
	$(BIN)/python -m fakturo.cli.stack.kafka --fetch
	FAKTURO_TEST_BROKER=apache $(PYTEST) -s tests/integration tests/storm

storm: setup  ## 100,000 events, 54 kills and stops: the books equal the calm run's
	$(BIN)/python -m fakturo.cli.stack.kafka --fetch
	FAKTURO_TEST_BROKER=apache $(PYTEST) -s -m storm tests/storm $(STORM)

bench: setup  ## events a second, memory and the stock baselines, in one run
	$(BIN)/fakturo bench rate
	$(BIN)/fakturo bench usage
	$(BIN)/fakturo bench year
	$(BIN)/fakturo bench invoices
	$(BIN)/fakturo bench simulate
	$(BIN)/fakturo bench salesforce

golden: setup  ## write the golden files anew; look at the difference before you commit
	$(BIN)/python -m tests.golden

schemas: setup  ## write the JSON Schemas, examples and AsyncAPI document from the code
	$(BIN)/python -m fakturo.schemas.generate

proto: setup  ## write the Pub/Sub API's generated code from its .proto
	$(BIN)/python -m grpc_tools.protoc -I .view --python_out=.view --pyi_out=.view --grpc_python_out=.view \
		.view/fakturo/producers/salesforce/pubsub_api/pubsub_api.proto

up: setup  ## start the embedded stack and every agent on the books in .fakturo
	$(BIN)/fakturo up

down: setup  ## stop the embedded stack; the books stay
	$(BIN)/fakturo down

clean:  ## stop the stack; remove .venv, .fakturo, .kafka and caches
	@if [ -x $(BIN)/fakturo ] && [ -d .fakturo ]; then $(BIN)/fakturo down >/dev/null; fi
	rm -rf $(VENV) .fakturo .kafka .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build
