# The first of these that runs; a name on PATH may be a shim for a version that is not installed.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c '' 2>/dev/null && { echo $$name; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
FUZZ_SECONDS ?= 60
# Tests run in as many processes as there are cores, up to four; PARALLEL= runs them in one.
PARALLEL ?= -n auto --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types pytest pure-test sanitize thorough-test oldest-test smoke fuzz wheel-check crash-sweep bench figures pictures mmaction-test pyskl-test gcn-test clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.test ## sample data: convert, read, export, compare
	$(BIN)/python -m converters.demo

test: lint types pytest pure-test smoke wheel-check ## everything that has to pass before a commit

lint: $(VENV)/.test ## ruff: lint and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.test ## let ruff mend lint and layout
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.test ## mypy --strict on both packages
	$(BIN)/mypy --strict

pytest: $(VENV)/.test ## the test suite
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

pure-test: $(VENV)/.test ## the tests of reading without the compiled reader
	SKELSTORE_PURE_PYTHON=1 $(BIN)/python -m pytest $(PARALLEL) tests/skelstore $(PYTEST_ARGS)

# A copy of the checkout, so that the installed library stays as it is. Leaks of Python itself would be reported, too.
# The tests of decompression limit the address space, of which AddressSanitizer takes terabytes.
SANITIZED := build/sanitized
SANITIZER := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1
sanitize: $(VENV)/.test ## the tests of reading and the fuzzing of stores under ASan and UBSan, FUZZ_SECONDS for the latter
	rm -rf $(SANITIZED)
	mkdir -p $(SANITIZED)
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t $(SANITIZED)
	cd $(SANITIZED) && CFLAGS="$(SANITIZER)" LDFLAGS="$(SANITIZER)" $(abspath $(BIN))/python -m pip install --quiet \
		--disable-pip-version-check --no-deps --target built . && cp built/skelstore/read/core*.so skelstore/read/
	cd $(SANITIZED) && export LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONPATH=. && \
		$(abspath $(BIN))/python -m pytest $(PARALLEL) tests/skelstore -m 'not slow' \
			--ignore tests/skelstore/test_decompression.py $(PYTEST_ARGS) && \
		$(abspath $(BIN))/python -m tests.fuzz stores --seconds $(FUZZ_SECONDS) --without-coverage

thorough-test: $(VENV)/.test ## the property tests with ten times the examples (an hour)
	$(BIN)/python -m pytest $(PARALLEL) -m hypothesis --hypothesis-profile=thorough $(PYTEST_ARGS)

oldest-test: $(VENV)-oldest/.installed ## the test suite, but for the slow tests, with the oldest packages that fit (Python 3.11)
	$(VENV)-oldest/bin/python -m pytest $(PARALLEL) -m 'not slow' $(PYTEST_ARGS)

smoke: $(VENV)/.test ## every benchmark that has what it needs once, in its smallest size
	$(BIN)/python -m benchmarks --smallest

fuzz: $(VENV)/.fuzz ## look for inputs that break the readers, FUZZ_SECONDS for each of four (Linux)
	for target in pickles templates documents stores; do \
		$(BIN)/python -m tests.fuzz $$target --seconds $(FUZZ_SECONDS) || exit 1; \
	done

wheel-check: ## build the wheel, install it alone, convert and export with it
	PYTHON=$(PYTHON) .ci/wheel-check

crash-sweep: $(VENV)/.test ## kill and starve small commands at every call that changes files (half an hour; needs strace)
	$(BIN)/python -m tests.support.crashes

bench: $(VENV)/.bench ## measure everything
	$(BIN)/python -m benchmarks

figures: $(VENV)/.bench ## measure, and rewrite the tables and the plot of the documents
	$(BIN)/python -m benchmarks reading opening workers size conversion --documents .

pictures: $(VENV)/.test ## draw the pictures of the documents anew, from sample data
	$(BIN)/python -m tests.support.document_pictures

mmaction-test: $(VENV)-mmaction/.installed ## training: PyTorch and MMAction2 on stores, against MMAction2's own code
	$(VENV)-mmaction/bin/python -m pytest $(PARALLEL) tests/torch tests/mmaction \
		tests/skelstore/test_decompression.py
	$(VENV)-mmaction/bin/python -m pytest tests/test_documents.py -k "framework or guide or pose_tool"
	$(VENV)-mmaction/bin/python -m benchmarks training decompression heatmaps --smallest

pyskl-test: $(VENV)-pyskl/.installed ## training: PYSKL's own code on stores; set PYSKL_CHECKOUT to a checkout of it
	@test -d "$(PYSKL_CHECKOUT)/pyskl" || { echo "set PYSKL_CHECKOUT to a checkout of PYSKL" >&2; exit 2; }
	PYSKL_CHECKOUT=$(abspath $(PYSKL_CHECKOUT)) $(VENV)-pyskl/bin/python -m pytest $(PARALLEL) tests/pyskl
	PYSKL_CHECKOUT=$(abspath $(PYSKL_CHECKOUT)) $(VENV)-pyskl/bin/python -m pytest tests/test_documents.py \
		-k "framework and pyskl"

gcn-test: $(VENV)-gcn/.installed ## training: CTR-GCN's and 2s-AGCN's own code on stores; set CTRGCN_CHECKOUT and AGCN_CHECKOUT
	@test -f "$(CTRGCN_CHECKOUT)/feeders/feeder_ntu.py" -a -f "$(AGCN_CHECKOUT)/feeders/feeder.py" || { \
		echo "set CTRGCN_CHECKOUT to a checkout of CTR-GCN and AGCN_CHECKOUT to one of 2s-AGCN" >&2; exit 2; }
	CTRGCN_CHECKOUT=$(abspath $(CTRGCN_CHECKOUT)) AGCN_CHECKOUT=$(abspath $(AGCN_CHECKOUT)) \
		$(VENV)-gcn/bin/python -m pytest $(PARALLEL) tests/gcn tests/torch/test_gcn.py

# mmaction2 without its dependencies, of which the newest do not fit together any more; what it imports, by hand.
$(VENV)-mmaction/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-mmaction
	$(VENV)-mmaction/bin/python -m pip install --quiet --disable-pip-version-check --no-deps mmaction2==1.2.0
	$(VENV)-mmaction/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 'mmengine<1' \
		'mmcv-lite<2.2' decord opencv-python-headless einops matplotlib pymemcache scipy pytest pytest-xdist hypothesis \
		'moto[server]>=5' -e '.[remote]'
	touch $@

# What PYSKL's checkout imports: mmcv 1.x without its compiled operators, and the versions that the extra holds.
$(VENV)-pyskl/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-pyskl
	$(VENV)-pyskl/bin/python -m pip install --quiet --disable-pip-version-check 'setuptools<70' wheel
	MMCV_WITH_OPS=0 $(VENV)-pyskl/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps mmcv==1.7.2
	$(VENV)-pyskl/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 \
		'opencv-python-headless<4.12' addict pyyaml yapf packaging fvcore pymemcache requests tqdm decord matplotlib \
		pytest pytest-xdist hypothesis 'moto[server]>=5' -e '.[pyskl,remote]'
	touch $@

# What main.py of CTR-GCN imports; tests/gcn/train.py stands in for the rest.
$(VENV)-gcn/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-gcn
	$(VENV)-gcn/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 matplotlib pyyaml tqdm \
		pytest pytest-xdist hypothesis -e .
	touch $@

$(VENV)-oldest/.installed: pyproject.toml .ci/oldest-versions
	$(PYTHON) -m venv --clear $(VENV)-oldest
	$(PYTHON) .ci/oldest-versions >$(VENV)-oldest/constraints.txt
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(VENV)-oldest/constraints.txt -e '.[test]'
	touch $@

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	touch $@

# What the installed package is made of beyond its Python code.
BUILT_FROM := pyproject.toml setup.py $(wildcard skelstore/read/*.[ch])

$(VENV)/.test: $(BUILT_FROM) $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

$(VENV)/.fuzz: pyproject.toml $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	touch $@

$(VENV)/.bench: pyproject.toml $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean: ## remove environments, caches and build products
	rm -rf .venv* build dist *.egg-info skelstore/read/*.so .fuzz .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find skelstore converters tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
