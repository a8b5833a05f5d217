# make run, make test: each sets up what it needs on a machine with Python and Node.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
APT = $(AS_ROOT) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(AS_ROOT) apt-get install -y -qq

.PHONY: run test lint check-pixel bench faults binary pixel docs clean

run: $(VENV)/run
	$(BIN)/collector serve $(ARGS)

test: $(VENV)/test pixel_js/node_modules/.done tests/clients/node_modules/.done browser lint check-pixel dist/collector
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest -n 2 $(addprefix --ignore=tests/,$(BY_THEMSELVES))
	$(BIN)/python -m pytest $(addprefix tests/,$(BY_THEMSELVES))
endif

# Browsers, processes and faults want the machine for themselves; the others go two at a time.
BY_THEMSELVES := bench browser clients engines faults test_binary.py test_commands.py test_package.py test_run.py

lint: $(VENV)/test
	$(BIN)/ruff check collector bench tests
	$(BIN)/ruff format --check collector bench tests
	$(BIN)/mypy

check-pixel: pixel_js/node_modules/.done
	cd pixel_js && npm run --silent check && npm test --silent

bench: $(VENV)/bench
	$(BIN)/python -m bench $(or $(ARGS),--help)

# The long rounds, for hours, or with ARGS="-k kill" a part of them; what they find adds up in
# docs/FAULTS.md, also when one fails.
faults: $(VENV)/test $(VENV)/fuzz
	command -v cc >/dev/null || { $(APT) gcc libc6-dev; }
	FAULTS_RECORD=1 $(BIN)/python -m pytest tests/faults -s $(ARGS); \
		ran=$$?; $(BIN)/python -m tests.faults.report && exit $$ran

# One file that needs no Python where it runs.
binary: dist/collector
dist/collector: $(VENV)/binary .ci/collector.spec $(shell find collector -type f -not -name '*.pyc')
	command -v objdump >/dev/null || { $(APT) binutils; }
	$(BIN)/python -c 'import ctypes, sysconfig as s; ctypes.CDLL(s.get_config_var("INSTSONAME"))' \
		2>/dev/null || { $(APT) libpython$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); }
	$(BIN)/pyinstaller --log-level WARN --noconfirm .ci/collector.spec

# The built script is committed, so that an installation needs no Node.
pixel: pixel_js/node_modules/.done
	cd pixel_js && npm run --silent build

docs: $(VENV)/run
	$(BIN)/python -m collector.reference > docs/CONFIG.md

clean:
	rm -rf $(VENV) build dist pixel_js/node_modules tests/clients/node_modules

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(APT) python3-venv; }
	$(PYTHON) -m venv $(VENV)

# The compiled part of the hot path. Without it all is the same, only slower.
COMPILED := $(wildcard collector/c/*)
$(VENV)/compiler: | $(BIN)/python
	@command -v cc >/dev/null && test -f "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
		|| { $(APT) gcc libc6-dev python3-dev; } || echo "No C compiler: the collector will be slower."
	@touch $@

$(VENV)/run: pyproject.toml $(COMPILED) | $(VENV)/compiler
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/%: pyproject.toml $(COMPILED) | $(VENV)/compiler
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(if $(filter test,$*),test$(comma)bench$(comma)binary,$*)]'
	@touch $@

comma := ,

pixel_js/node_modules/.done: pixel_js/package.json pixel_js/package-lock.json
	command -v npm >/dev/null || { $(APT) nodejs npm; }
	cd pixel_js && npm ci --no-audit --no-fund
	@touch $@

# The clients that must work unchanged. None needs what its install script would fetch or build.
tests/clients/node_modules/.done: tests/clients/package.json tests/clients/package-lock.json
	command -v npm >/dev/null || { $(APT) nodejs npm; }
	cd tests/clients && npm ci --ignore-scripts --no-audit --no-fund
	# Umami's script lies in its server's package; the server and what it needs stay away.
	cd tests/clients/node_modules && npm pack --silent umami@2.10.0 \
		&& tar -xzf umami-2.10.0.tgz package/src/tracker/index.js
	@touch $@

.PHONY: browser
browser:
	@PATH=$$PATH:/usr/sbin; for program in chromium curl firefox-esr WebKitWebDriver Xvfb haproxy nginx; do command -v $$program; done \
		| grep -c . | grep -qx 7 || { $(APT) chromium curl firefox-esr webkit2gtk-driver xvfb haproxy nginx; }
	@command -v cc >/dev/null || { $(APT) gcc libc6-dev; }
