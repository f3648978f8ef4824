# The verbs. Each asks nothing and can be repeated; `make help` says what each does.
BUILD := build/release
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all run demo test bench check clean install help root
.NOTPARALLEL:

all: ## build the programs (build/release/src/tiercel and tierceld)
	@tools/install-packages build
	@tools/build $(BUILD)

run: root all ## protect this machine until Ctrl-C, with a hub beside it; leaves nothing behind (root)
	@exec $(BUILD)/src/tiercel run --local-hub

demo: root ## attack a small web server on 127.0.0.1 with and without protection (root)
	@tools/install-packages build demo
	@$(MAKE) -s all
	@exec demo/run

test: root ## every check and test: unit, fuzz, kernel, virtual machines; about 40 minutes (root)
	@tools/test-all

bench: root all ## what protection costs this machine: workloads with and without the agent (root)
	@tools/install-packages bench
	@exec tests/bench/run

check: ## the fast part of the tests: layers, format, build, clang-tidy, unit tests
	@tools/install-packages build test
	@tools/check-layers
	@tools/check-style
	@tools/check-format
	@tools/build $(BUILD)
	@tools/check-tidy
	@meson test -C $(BUILD) --no-rebuild --suite unit --quiet

install: all ## install below DESTDIR and PREFIX (default /usr/local); starts nothing
	@tools/build $(BUILD) -Dprefix=$(abspath $(PREFIX))
	@DESTDIR=$(abspath $(DESTDIR)) meson install -C $(BUILD) --no-rebuild --quiet

clean: ## remove what was built, downloaded kernels included
	@rm -rf build

help: ## say what each verb does
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

root:
	@test "$$(id -u)" = 0 || { \
		echo "This needs root: it loads programs into the kernel and asks it about every program start." >&2; \
		echo "Try: sudo make $(MAKECMDGOALS)" >&2; exit 1; }
