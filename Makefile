# The verbs. `make help` says what each does.
BUILD ?= build
.PHONY: all setup
all: setup
	@ninja -C $(BUILD)/release
setup:
	@test -d $(BUILD)/release || meson setup $(BUILD)/release >/dev/null
