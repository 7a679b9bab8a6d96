# Each target does its own set-up: Python 3.11 or later and make are enough.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo
# What is graded by these targets is this course's own; where root is the only user, it is root's.
export AUTOGRADE_AS_ROOT := 1

.PHONY: help setup sandbox postgresql browser lab demo pictures build test test-long test-all test-gpu test-browser hostile coverage steadiness experiments pretrain sweep bench bench-grading same-scores lint clean

help:
	@echo "make lab       open the lessons in JupyterLab (students: notebooks/, instructors: solutions/)"
	@echo "make demo      grade a sample class from start to end; about 1 minute"
	@echo "make test      the tests, some of many alike; about 9 minutes"
	@echo "make test-all  all of them, as before a merge; about 35 minutes"
	@echo "make coverage  what grading refuses and accepts, by exercise; about 5 minutes"
	@echo "make steadiness  ask every answer again as another machine would compute it; about 10 minutes"
	@echo "make experiments  record again the runs that lesson 05 plots; about 1 minute"
	@echo "make pretrain  make lesson 06's language model and scorers again; about 20 minutes"
	@echo "make sweep     record again the runs that lessons 06 and 07 plot; about 25 minutes"
	@echo "make bench     what a student waits for; the divergence term at size, beside TRL; 3 minutes"
	@echo "make hostile   grade hostile and broken submissions, and show what became of each; 30 minutes"
	@echo "make bench-grading  grading beside plain nbgrader, and as a class grows; 45 minutes"
	@echo "make same-scores    the same points by three ways to grade, for every mistake; 1 hour"
	@echo "make build     make the notebooks from the lessons' sources"
	@echo "make test-gpu  the exercises' tests on a GPU"
	@echo "make pictures  take the README's pictures again; about 1 minute"
	@echo "make test-browser  the lessons and formgrader in JupyterLab, and every page's accessibility"

setup: .venv/ready
.venv/ready: pyproject.toml requirements.lock
	@echo "== setting up .venv (about 2 minutes, once) =="
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[instructor,dev]'
	@touch $@

# Student code is run under bubblewrap, which comes with the system and not with Python.
sandbox:
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

lab: setup
	$(BIN)/jupyter lab notebooks

build: setup
	$(BIN)/autograde build

demo: setup sandbox
	@$(BIN)/autograde demo $(DEMO)

# Two tests at a time, a core for each. Files keep together but for tests that are marked `alone`.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

test: setup sandbox browser
	@echo "== tests: about 9 minutes on 2 cores =="
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) -m "not long"

test-long: setup sandbox postgresql browser
	@echo "== the tests that \`make test\` leaves out: about 28 minutes on 2 cores =="
	$(PYTEST) -m long

test-all: test test-long

test-gpu: setup
	$(BIN)/python -m pytest tests -m gpu -s

pictures: setup browser
	@$(BIN)/python -P -m tests.browser.pictures

test-browser: setup sandbox browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m browser --durations 0

hostile: setup sandbox
	@OMP_NUM_THREADS=1 $(BIN)/python -P -m tests.hostile $(ATTACKS)  # --mode strict --only sandbox/

coverage: setup
	@$(BIN)/python -m autograde.course.coverage

steadiness: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m autograde.course.steadiness

experiments: setup
	@echo "== recording lesson 05's runs: about 1 minute =="
	@$(BIN)/python -m autograde.records.experiments

pretrain: setup
	$(BIN)/python -m helpers.language_model.pretrain

sweep: setup
	$(BIN)/python -m autograde.records.sweep

bench: setup
	@$(BIN)/python -P tests/bench_student.py
	@$(BIN)/python -m tests.bench_divergence

bench-grading: setup sandbox
	@OMP_NUM_THREADS=1 $(BIN)/python -P -m tests.bench_grading

same-scores: setup sandbox
	@OMP_NUM_THREADS=1 $(BIN)/python -P -m tests.same_scores

lint: setup
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean:
	rm -rf .venv $(DEMO)
