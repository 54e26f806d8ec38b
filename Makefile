# Two commands take a bare Debian 12 or Ubuntu 24.04 to generated text: `git clone` and `make demo`.
# Underneath: CMake and Ninja; every target here only calls them.

BUILD  ?= build
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)
MODEL  ?=
CMAKE_FLAGS ?=

.PHONY: all setup build test test-setup demo install format clean

all: build

## setup: installs the packages of tools/packages.txt that are missing (nothing if all are there)
setup:
	@tools/setup.sh

build: setup
	@cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@cmake --build $(BUILD) -j $(JOBS)

## test-setup: installs the packages of tools/packages-test.txt and packages-web.txt; without them, tests of GPUs, and of
## the web pages, skip themselves
test-setup:
	@tools/setup.sh tools/packages-test.txt || echo "test: no PoCL, so the tests of kernels for GPUs are skipped"
	@tools/setup.sh tools/packages-web.txt || echo "test: no Chromium, so the tests of the web pages are skipped"

test: build test-setup
	@ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure

demo: build
	@$(BUILD)/xenon run $(MODEL) "Tell me a short story about a dragon." -n 200

install: build
	@cmake --install $(BUILD) --prefix $(PREFIX)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD)
