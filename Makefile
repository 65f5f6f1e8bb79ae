# The developer's front door. Every target sets up what it needs; only cargo and make must be there.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Where `make kubectl` puts a kubectl when there is none on PATH.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
RELEASE := target/release

help:  ## What can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build:  ## Build the commands, optimised
	cargo build --release --bins --locked

kubectl:  ## Make sure that there is a kubectl
	@tools/kubectl >/dev/null

demo: build kubectl  ## Run the main job on testdata/, show what happened, stop everything
	$(RELEASE)/sandbox demo

up: build kubectl down  ## Start server, scheduler and nodes, and leave them running
	@mkdir -p .run
	@$(RELEASE)/sandbox up --kubeconfig-out .run/kubeconfig >.run/log 2>&1 & echo $$! >.run/pid
	@$(RELEASE)/sandbox wait --timeout 10 || { cat .run/log; exit 1; }
	@kubectl --kubeconfig kubeconfig apply -f testdata/evolution/foozers.yaml -f testdata/evolution/one-gpu.yaml >/dev/null
	@echo "The sandbox runs on http://127.0.0.1:55441 (make down stops it). Pod foozer waits for its device class. Try:"
	@echo "  kubectl --kubeconfig kubeconfig apply -f testdata/evolution/classes.yaml"
	@echo "  kubectl --kubeconfig kubeconfig get resourceclaims,pods -o wide"
	@echo "  $(RELEASE)/schedule -kubeconfig kubeconfig foozer"

down:  ## Stop what `make up` started
	@if [ -f .run/pid ]; then kill "$$(cat .run/pid)" 2>/dev/null || true; rm -f .run/pid; fi

assets: build kubectl  ## Lay out a directory that serves as KUBEBUILDER_ASSETS for envtest
	@mkdir -p .run/assets
	@ln -sf $(CURDIR)/$(RELEASE)/mock-apiserver .run/assets/kube-apiserver
	@ln -sf $(CURDIR)/$(RELEASE)/stub-etcd .run/assets/etcd
	@ln -sf "$$(command -v kubectl)" .run/assets/kubectl
	@echo "export KUBEBUILDER_ASSETS=$(CURDIR)/.run/assets"

clients:  ## Get the clients that tests run: Python, JavaScript, helm, a new kubectl
	@tools/clients

test: kubectl clients  ## Run every test
	cargo test --workspace --locked

bench:  ## Measure: start-up, rates, memory, allocation, scheduling; with BASE=REVISION compare with that one
	cargo build --release --bins --locked
	$(if $(BASE),tools/base $(BASE))
	$(RELEASE)/bench $(if $(BASE),--base .run/base/target/release) $(ONLY)

lint:  ## Check formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

deny:  ## Check licences, advisories and duplicates of dependencies (needs cargo-deny)
	cargo deny check

clean: down  ## Remove everything that was made
	cargo clean
	rm -rf .tools .run

.PHONY: help build kubectl clients demo up down assets test bench lint deny clean
