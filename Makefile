# make demo | make test | make build; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
PRESET ?= release
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
BUILD = build/$(PRESET)
PROGRAM := build/release/mlx-encoder
VENV := .venv
MINILM = $(shell $(VENV)/bin/python tools/find_minilm.py)
export PATH := $(HOME)/.cargo/bin:$(PATH)

APT := build-essential cmake ninja-build pkg-config git python3 python3-dev python3-venv \
       nlohmann-json3-dev libcli11-dev libfmt-dev libeigen3-dev libcurl4-openssl-dev libgtest-dev libgmock-dev
APT_ARM := g++-aarch64-linux-gnu qemu-user googletest
APT_CHECK := clang clang-format libclang-rt-14-dev
APT_CLANG := clang-16 libc++-16-dev libc++abi-16-dev googletest
APT_ASAN := libclang-rt-16-dev llvm-16
BREW := cmake ninja nlohmann-json cli11 fmt eigen curl googletest python rust

.PHONY: help deps deps-system deps-cargo configure build build-for-tests test test-slow test-all python-package test-python test-integrations test-clusters demo check format install clean asan tsan clang arm faults fuzz bench bench-peers bench-mac findings

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

deps: deps-system deps-cargo $(VENV)/.installed  ## install what is missing: system packages, Python environment; check cargo

deps-system:
	@tools/install_system.sh "$(APT)" "$(BREW)"

deps-cargo:
	@tools/check_cargo.sh

$(VENV)/.installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@touch $@

# The real mlx-embeddings and mlx-lm, for tests only.
.venv-mlx-embeddings/.installed: tools/requirements-mlx-embeddings.txt
	$(PYTHON) -m venv .venv-mlx-embeddings
	.venv-mlx-embeddings/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

.venv-python/.installed: tools/requirements-python.txt
	$(PYTHON) -m venv .venv-python
	.venv-python/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

.venv-clusters/.installed: tools/requirements-clusters.txt
	$(PYTHON) -m venv .venv-clusters
	.venv-clusters/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

.venv-python/.integrations: tools/requirements-integrations.txt .venv-python/.installed
	.venv-python/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r $<
	@touch $@

.venv-python/.torch: tools/requirements-integrations-torch.txt .venv-python/.integrations
	.venv-python/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r $< \
	  -c tools/requirements-python.txt -c tools/requirements-integrations.txt
	@touch $@

configure: deps
	@mkdir -p build && cmake --preset $(PRESET) -Wno-dev > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }

build: configure  ## build/release/mlx-encoder, and the tests
	@cmake --build --preset $(PRESET)

build-for-tests: .venv-mlx-embeddings/.installed build
	@rm -rf $(BUILD)/test-results

# Runs the tests with one of these labels, then says how many ran and what was skipped.
run_tests = ctest --preset $(PRESET) --no-tests=error -j $(JOBS) $(1); status=$$?; \
  $(VENV)/bin/python tools/test_summary.py $(BUILD)/test-results || status=1; exit $$status

test: build-for-tests  ## the fast tests, and what proves this page's claims on the real MiniLM
	@$(call run_tests,-L fast)

test-slow: build-for-tests  ## the other tests: every kernel variant, MLX's CPU, full data
	@$(call run_tests,-L slow)

test-all: build-for-tests  ## both
	@$(call run_tests)

python-package: PRESET := release
python-package: configure .venv-python/.installed
	@cmake --build --preset release --target mlx-encoder
	@CXX=$${CXX:-c++} PATH=$(CURDIR)/.venv-python/bin:$$PATH .venv-python/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-build-isolation --no-deps --force-reinstall .

test-python: python-package  ## the Python package: its wheel in .venv-python, its tests
	@.venv-python/bin/python -m pytest --quiet

test-clusters: configure .venv-python/.installed .venv-clusters/.installed  ## examples/python on local clusters of Ray and Spark, of which a process is killed (needs Java)
	@rm -rf build/wheels
	@CXX=$${CXX:-c++} PATH=$(CURDIR)/.venv-python/bin:$$PATH .venv-python/bin/python -m pip wheel --quiet --disable-pip-version-check \
	  --no-build-isolation --no-deps --wheel-dir build/wheels .
	@.venv-clusters/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall build/wheels/mlx_encoder-*.whl
	@.venv-clusters/bin/python -m pytest --quiet tests/clusters

test-integrations: python-package .venv-python/.integrations $(if $(TORCH),.venv-python/.torch)  ## the Python package inside LangChain, ...; TORCH=1: MTEB, ..., too
	@.venv-python/bin/python -m pytest --quiet -rs tests/python/integrations tests/python/test_examples.py \
	  tests/python/test_docs.py::test_the_page_for_users_of_sentence_transformers

demo: PRESET := release
demo: configure  ## real MiniLM to 8 and 4 bits, embedded, compared, a report to open
	@cmake --build --preset release --target mlx-encoder mlxe_engine_mlx
	@tools/demo.sh "$(PROGRAM)" "$(MINILM)"

asan: export ASAN_SYMBOLIZER_PATH := /usr/lib/llvm-16/bin/llvm-symbolizer
asan:  ## built by clang with libc++, as on a Mac, with AddressSanitizer + UBSan; the tests (Debian)
	@tools/install_system.sh "$(APT_CLANG) $(APT_ASAN)" ""
	@$(MAKE) --no-print-directory test-all PRESET=$@

tsan:  ## tests under ThreadSanitizer (slow)
	@$(MAKE) --no-print-directory test-all PRESET=$@

clang:  ## built by clang with libc++, without sanitizers; the fast tests (Debian)
	@tools/install_system.sh "$(APT_CLANG)" ""
	@$(MAKE) --no-print-directory test PRESET=$@

arm: deps-system  ## cpu engine built for AArch64, its tests under qemu as three processors (Debian)
	@tools/install_system.sh "$(APT_ARM)" ""
	@cmake --preset arm64 -Wno-dev > /dev/null && cmake --build --preset arm64 && ctest --preset arm64 -j $(JOBS)

faults: build  ## calls of the system made to fail, in commands that write something: each, allocations from each call stack (two hours)
	@$(PYTHON) tests/faults/sweep.py $(PROGRAM) $(BUILD)/tests/libmlxe_faults.so tests/data/tiny/st_mean_norm --stacks --jobs $(JOBS)
	@$(PYTHON) tests/faults/sweep.py $(PROGRAM) $(BUILD)/tests/libmlxe_faults.so tests/data/tiny/st_mean_norm --stacks --lasting --jobs $(JOBS)

fuzz: deps  ## libFuzzer targets, FUZZ_SECONDS (60) each
	@tools/install_system.sh "$(APT_CHECK)" ""
	@cmake --preset fuzz -Wno-dev > /dev/null && cmake --build --preset fuzz --target fuzzers
	@tests/fuzz/run.sh $(or $(FUZZ_SECONDS),60)

check:  ## formatting and include directions
	@tools/install_system.sh "$(APT_CHECK)" ""
	@tools/check_format.sh
	@$(PYTHON) tools/check_includes.py

format:  ## clang-format and rustfmt on everything
	@git ls-files '*.cpp' '*.h' | xargs clang-format -i
	@cargo fmt --manifest-path src/rust/Cargo.toml

findings: build .venv-mlx-embeddings/.installed  ## docs/findings.md from real runs (needs ../shared)
	@mkdir -p build/findings
	@test -s build/findings/converters.json || .venv-mlx-embeddings/bin/python tools/check_converters.py \
	  "$(MINILM)" ../shared/models/distilbert-nli > build/findings/converters.json
	@$(VENV)/bin/python tools/make_findings.py --converters build/findings/converters.json

bench: PRESET := release
bench: configure  ## how fast this machine runs the kernels, and MiniLM and DistilBERT at 8 and 4 bits
	@cmake --build --preset release --target mlx-encoder bench_kernels
	@build/release/bench_kernels
	@tools/bench_models.sh "$(PROGRAM)" "$(MINILM)" $(VENV)/bin/python build/bench
	@$(PROGRAM) bench build/bench/{MiniLM,DistilBERT}-{8,4}bit

PEERS := .venv-peers
$(PEERS)/.installed: tools/requirements-bench-peers.txt tools/install_peers.sh
	@tools/install_peers.sh "$(PYTHON)" $(PEERS)

bench-peers: PRESET := release
bench-peers: configure $(PEERS)/.installed  ## docs/benchmarks.md: against other engines, alone on the machine (12 minutes)
	@cmake --build --preset release --target mlx-encoder
	@tools/bench_models.sh "$(PROGRAM)" "$(MINILM)" $(VENV)/bin/python build/bench
	@$(PEERS)/bin/python tools/bench_peers.py $(PROGRAM) build/bench

bench-mac: build  ## on a Mac: the mlx engine against transformers on MPS (untested here)
	@tools/bench_mac.sh "$(PROGRAM)" "$(MINILM)"

install: build  ## to PREFIX (default /usr/local)
	@cmake --install build/release --prefix $(or $(PREFIX),/usr/local)

clean:  ## remove what was built
	rm -rf build reports models
