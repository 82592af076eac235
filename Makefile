# The words people try. `make help` lists them. Everything is built by CMake and Ninja in build/.
BUILD ?= build
STATE ?= .state
JOBS ?= $(shell nproc)
export COGNU_BUILD := $(abspath $(BUILD))
export COGNU_STATE := $(abspath $(STATE))

.PHONY: help all setup run down clean-state join check check-quick check-full tour bench bench-store fuzz native native-check kernel-bench prove prove-mutants tidy format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

all: setup-build ## build everything
	@bash -o pipefail -c "cmake --build $(BUILD) -j $(JOBS) -- --quiet | sed '/no work to do/d' >&2"

.PHONY: setup-build setup-run setup-check setup-bench setup-native setup-prove
setup-build:
	@scripts/setup build
	@test -f $(BUILD)/build.ninja || cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
setup-check:
	@scripts/setup check
setup-bench:
	@scripts/setup bench
setup-prove:
	@scripts/setup prove
setup-native:
	@scripts/setup native

run: all ## a cell of three nodes, and a shell in it; CMD='...' runs one line there instead
	@scripts/cell $(if $(CMD),run '$(subst ','\'',$(value CMD))',shell)

down: ## stop the cell; its state is kept
	@scripts/cell down

clean-state: ## stop the cell and forget its state
	@scripts/cell clean

join: all ## HOST=host:port INVITATION='...': join the cell of another machine
	@scripts/cell join '$(HOST)' '$(INVITATION)'

check-quick: setup-check all ## the tests that take under two minutes
	@tests/run quick

check: setup-check setup-prove all ## everything that fits in an hour on two cores: the tests with gcc and clang, the kernel's proof
	@tests/run check

check-full: setup-check setup-prove all ## check, with sanitizers, the mutants of the kernel's proof, and a minute of each fuzzer
	@tests/run full

tour: setup-check all ## what a newcomer would try, one line a claim; MUTATE=name must make it fail
	@tests/tour $(MUTATE)

bench: setup-bench all ## figures beside the peers', one line each
	@bench/run

native: setup-native all ## the kernel in QEMU, with what its boot image holds; RUN=path/to/elf ARGS='...' runs that static Linux program there
	@tools/native $(if $(ARGS),--args='$(subst ','\'',$(value ARGS))') $(RUN)

native-check: setup-native all ## the tests that run as programs on the kernel; TESTS=prefix runs those
	@tools/native --check --icount --image native_tests.img $(if $(TESTS),--append tests=$(TESTS))

kernel-bench: setup-native all ## instructions of the kernel's paths beside seL4's
	@tools/kernel-bench

bench-store: setup-bench all ## the store beside borg, restic, casync and tar with zstd
	@bench/store

fuzz: setup-check ## a minute of each fuzzer; SECONDS_EACH=n for other times
	@tests/fuzz

prove: setup-prove setup-build ## prove the kernel from scratch; PROVE='--file object/slot.c --cache' for less
	@cmake --build $(BUILD) --target kernel.elf -- --quiet
	@kernel/proof/prove $(PROVE)

prove-mutants: setup-prove setup-build ## 200 mutants of the kernel, each of which the proof must notice; MUTANTS='--count n'
	@cmake --build $(BUILD) --target kernel_abi -- --quiet
	@kernel/proof/mutants $(MUTANTS)

tidy: ## the rules of the house that a program can check
	@tools/tidy

format: ## clang-format over all C
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean: ## remove what was built
	@rm -rf $(BUILD) $(BUILD).log
