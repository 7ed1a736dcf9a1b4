# One target per thing a person wants. Each installs what it misses with apt-get, only when it misses it, so that a second
# run takes seconds and needs no network. As root, on Debian 12 or newer, or Ubuntu 22.04 or newer with a Python >= 3.11.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= $(or $(shell for p in /usr/bin/python3 /usr/bin/python3.1[1-9]; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done),/usr/bin/python3)
PREFIX ?= /usr/local
TESTS ?= tests
WITHOUT ?=
WARM ?=

VENV := .venv
HOME_OF_INSTALL := $(PREFIX)/lib/minirun
# Where each shell looks for completions below a prefix: bash-completion(1), zshcontrib(1) fpath, fish's vendor_completions.d.
COMPLETION_bash := $(PREFIX)/share/bash-completion/completions/minirun
COMPLETION_zsh := $(PREFIX)/share/zsh/site-functions/_minirun
COMPLETION_fish := $(PREFIX)/share/fish/vendor_completions.d/minirun.fish
UNITS := $(PREFIX)/lib/systemd/system
UNIT := $(UNITS)/minirun.service
WARM_UNITS := $(UNITS)/minirun-warm.socket $(UNITS)/minirun-warm.service
# systemd looks into these two alone; elsewhere the unit is there to be copied.
ENABLES := $(filter $(PREFIX),/usr/local /usr)
# What outlives the program: images, containers, volumes, and the archives that rootfs-fixtures/ made images of.
KEPT := /var/lib/minirun $(or $(XDG_CACHE_HOME),/var/cache)/minirun-fixtures
export DEBIAN_FRONTEND := noninteractive
export NEEDRESTART_SUSPEND := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

ARCHITECTURE := $(shell dpkg --print-architecture 2>/dev/null)
QEMU := $(if $(filter arm64,$(ARCHITECTURE)),qemu-system-arm,qemu-system-x86)
KERNEL := $(shell . /etc/os-release; [ "$$ID" = ubuntu ] && echo linux-image-generic || echo linux-image-$(ARCHITECTURE))

# What is missing on a fresh machine. `%` stands for the version of PYTHON (python3.11-venv), which need not be the default one.
PYTHON_PACKAGES := $(notdir $(PYTHON)) $(notdir $(PYTHON))-venv $(notdir $(PYTHON))-dev
BUILD_PACKAGES := $(PYTHON_PACKAGES) gcc libc6-dev musl-tools ca-certificates
RUN_PACKAGES := nftables kmod
DEMO_PACKAGES := busybox-static
TEST_PACKAGES := $(DEMO_PACKAGES) docker-registry mmdebstrap curl iproute2 iptables procps redis-tools mariadb-client skopeo docker.io \
	dbus-daemon systemd bash-completion zsh fish podman buildah containerd runc crun libcap2-bin umoci \
	$(QEMU) $(KERNEL)
BENCH_PACKAGES := $(DEMO_PACKAGES) docker.io docker-registry mmdebstrap podman runc crun iproute2

SOURCES := pyproject.toml setup.py $(shell find native -name '*.[ch]' -o -name '*.py' | sort)
PACKAGE := $(SOURCES) $(wildcard packaging/*) $(shell find minirun -name '*.py' -o -name '*.pyi' | sort) minirun/cli/minirun minirun/oci/minirun-oci

# $(call need,PACKAGES): install those that are missing, quietly; what apt-get said is shown only when it failed.
define need
missing=; for package in $(1); do \
	dpkg-query -W -f='$${db:Status-Status}\n' $$package 2>/dev/null | grep -cx installed >/dev/null || missing+=" $$package"; done; \
if [[ -n $$missing ]]; then \
	[[ $$EUID == 0 ]] || { echo "minirun: these packages are missing, and only root can install them:$$missing" >&2; exit 1; }; \
	command -v apt-get >/dev/null || { echo "minirun: no apt-get here; install these by hand:$$missing" >&2; exit 1; }; \
	echo "installing packages:$$missing"; log=$$(mktemp); \
	{ apt-get -q -y update && apt-get -q -y install --no-install-recommends $$missing; } >$$log 2>&1 </dev/null \
		|| { cat $$log; rm -f $$log; exit 1; }; \
	rm -f $$log; \
fi
endef

# $(call pip_install,DIRECTORY,WHAT): into the virtual environment in DIRECTORY. What only builds isn't compiled ahead: it runs once.
define pip_install
PIP_COMPILE=0 $(1)/bin/pip -q install --compile $(2)
endef

# $(call freeze,DIRECTORY): in the virtual environment in DIRECTORY, scripts that start directly and compiled code in one file.
define freeze
$(1)/bin/python -I -m minirun.freeze
endef

define check_python
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "minirun: needs Python 3.11, and $(PYTHON) is older. On Ubuntu 22.04: apt-get install python3.11, then run make again" >&2; \
	exit 1; }
endef

define check_root
[[ $$EUID == 0 ]] || { echo "minirun: run this as root: containers need it" >&2; exit 1; }
endef

.PHONY: help demo test check lint docs bench install images uninstall build clean \
	packages-build packages-run packages-demo packages-test packages-bench

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: packages-demo build ## two images, two containers: see it work
	@$(check_root)
	@rootfs-fixtures/fixture.py import busybox hello-world --minirun $(VENV)/bin/minirun
	@rootfs-fixtures/demo $(VENV)/bin/minirun

test: packages-test $(VENV)/.tests ## every test, the virtual machine included; TESTS="tests/unit -k name" for some
	@$(check_root)
	@$(VENV)/bin/python -m pytest $(if $(WITHOUT),--without $(WITHOUT)) $(if $(WARM),--warm) $(TESTS)

check: test ## what CI runs: the tests; lint and types are tests too

lint: packages-build $(VENV)/.tests ## only style and types
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

docs: build ## the pages that are made from the code: docs/commands.md
	@$(VENV)/bin/python -m reference

bench: packages-bench build ## minirun beside docker, podman, runc and crun; prints a table
	@$(check_root)
	@$(VENV)/bin/python -m bench $(BENCH)

install: packages-run $(HOME_OF_INSTALL)/.installed ## minirun and minirun-oci on the PATH, for every user of this machine
	@echo "installed: $(PREFIX)/bin/minirun $(PREFIX)/bin/minirun-oci"

images: packages-demo install ## busybox and hello-world for the installed minirun
	@rootfs-fixtures/fixture.py import busybox hello-world --minirun $(HOME_OF_INSTALL)/bin/minirun

uninstall: ## what install and demo left: the program, bridge, rules; says where images and containers stay
	@$(check_root)
	@[[ -z "$(ENABLES)" || ! -d /run/systemd/system || ! -e $(UNITS)/minirun-warm.socket ]] || systemctl -q disable --now minirun-warm.socket
	@# What was never installed has run from here: make demo.
	@for home in $(HOME_OF_INSTALL) $(VENV); do [[ ! -x $$home/bin/minirun ]] || { \
		MINIRUN_WARM=0 $$home/bin/minirun system warm stop >/dev/null; $$home/bin/python -I -m minirun.engine.withdraw; break; }; done
	@rm -f $(COMPLETION_bash) $(COMPLETION_zsh) $(COMPLETION_fish)
	@[[ -z "$(ENABLES)" || ! -e $(UNIT) ]] || ! command -v systemctl >/dev/null || systemctl -q disable minirun.service
	@rm -rf $(HOME_OF_INSTALL) $(UNIT) $(WARM_UNITS)
	@# Without its file the unit has nothing to run when it stops: by now no container is left to be stopped.
	@[[ -z "$(ENABLES)" || ! -d /run/systemd/system ]] || { systemctl daemon-reload; \
		! systemctl -q is-active minirun.service || systemctl -q stop minirun.service; }
	@for program in minirun minirun-oci; do \
		[[ "$$(readlink $(PREFIX)/bin/$$program)" != $(HOME_OF_INSTALL)/bin/$$program ]] || rm $(PREFIX)/bin/$$program; \
	done
	@stays=; for directory in $(KEPT); do [[ ! -d $$directory ]] || stays+=" $$directory"; done; \
		[[ -z $$stays ]] || echo "images, containers and volumes stay; to remove them, too: rm -rf --one-file-system$$stays"

build: packages-run $(VENV)/.frozen ## .venv with the package in it, its C core compiled

clean: ## what make made inside the checkout
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@rm -f minirun/_native*.so minirun/_native*.c minirun/monitor/minirun-monitor minirun/runtime/minirun-spawn
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

packages-build:
	@$(call need,$(BUILD_PACKAGES))
	@$(check_python)

packages-run: packages-build
	@$(call need,$(RUN_PACKAGES))

packages-demo: packages-run
	@$(call need,$(DEMO_PACKAGES))

packages-test: packages-run
	@$(call need,$(TEST_PACKAGES))

packages-bench: packages-run
	@$(call need,$(BENCH_PACKAGES))

$(VENV)/bin/python: | packages-build
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.built: $(SOURCES) $(VENV)/bin/python | packages-build
	@echo "building minirun"
	@$(call pip_install,$(VENV),--editable .)
	@touch $@

$(VENV)/.frozen: $(VENV)/.built $(PACKAGE)
	@$(call freeze,$(VENV))
	@touch $@

$(VENV)/.tests: $(VENV)/.built
	@echo "installing what the tests need"
	@$(call pip_install,$(VENV),--editable '.[dev]')
	@$(call freeze,$(VENV))
	@# What the virtual machine, which has no network, builds and installs the package with.
	@{ echo setuptools; echo wheel; $(VENV)/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")'; } | \
		$(VENV)/bin/pip -q download --only-binary :all: --dest $(VENV)/wheels --requirement /dev/stdin
	@touch $@

$(HOME_OF_INSTALL)/.installed: $(PACKAGE) packaging/minirun.service | packages-build
	@$(check_root)
	@mkdir -p $(PREFIX)/lib $(PREFIX)/bin
	@echo "installing minirun into $(HOME_OF_INSTALL)"
	@[[ -x $(HOME_OF_INSTALL)/bin/python ]] || $(PYTHON) -m venv $(HOME_OF_INSTALL)
	@rm -rf build
	@$(call pip_install,$(HOME_OF_INSTALL),.)
	@$(call freeze,$(HOME_OF_INSTALL))
	@for program in minirun minirun-oci; do ln -sfn $(HOME_OF_INSTALL)/bin/$$program $(PREFIX)/bin/$$program; done
	@$(foreach sh,bash zsh fish,mkdir -p $(dir $(COMPLETION_$(sh))) && $(PREFIX)/bin/minirun completion $(sh) >$(COMPLETION_$(sh));)
	@mkdir -p $(dir $(UNIT))
	@sed 's|@PREFIX@|$(PREFIX)|g' packaging/minirun.service >$(UNIT)
	@for unit in $(WARM_UNITS); do sed 's|@PREFIX@|$(PREFIX)|g' packaging/$${unit##*/} >$$unit; done
	@[[ -z "$(ENABLES)" ]] || ! command -v systemctl >/dev/null || systemctl -q enable minirun.service
	@[[ -z "$(ENABLES)" || ! -d /run/systemd/system ]] || { MINIRUN_WARM=0 $(PREFIX)/bin/minirun system warm stop >/dev/null || true; \
		systemctl daemon-reload; systemctl -q enable --now minirun-warm.socket minirun.service; }
	@touch $@
