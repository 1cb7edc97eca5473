# `make` lists the targets. PYTHON=… chooses the Python (3.11 or newer) that makes .venv; ARGS=… goes to the
# program that the target runs: make demo ARGS=--help, make test ARGS='tests/models -x'.

MAKEFLAGS += --no-print-directory
export PYTHON
JARS := target/kafka-libs.stamp
JAVASCRIPT := target/javascript/stamp
HAS_JAVA_AND_MAVEN := { [ -x "$$JAVA_HOME/bin/java" ] || command -v java; } >/dev/null && command -v mvn >/dev/null

.DEFAULT_GOAL := help
.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## See it work: an embedded broker, a synthetic semester, its alerts (about a minute)
	@scripts/environment demo
	@.venv/bin/gradewatch demo $(ARGS)

.PHONY: test
test: ## Run all tests; those on Apache Kafka need Java 17 and Maven
	@scripts/environment dev
	@if $(HAS_JAVA_AND_MAVEN); then \
	    $(MAKE) --silent $(JARS); \
	elif [ ! -e $(JARS) ]; then \
	    echo "Java 17 or Maven isn't installed: the tests on Apache Kafka (marker kafka) are skipped"; \
	    echo "(on Debian: apt-get install openjdk-17-jre-headless maven)"; \
	fi
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
	    $(MAKE) --silent $(JAVASCRIPT) || echo "They can't be fetched: the example in JavaScript is not run"; \
	fi
	@.venv/bin/python -m pytest $(if $(ARGS),$(ARGS),--cov --cov-report=term-missing:skip-covered)

.PHONY: check
check: ## Check format, lint, types and who imports whom
	@scripts/environment dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

.PHONY: docs
docs: ## Build the documentation's site in target/site; a broken link or anchor is an error
	@scripts/environment docs
	@.venv/bin/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky --fresh-env \
	    --doctree-dir target/doctrees --builder html docs target/site
	@echo "Open target/site/index.html"

.PHONY: format
format: ## Format the code and mend what the linter can
	@scripts/environment dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

.PHONY: kafka-jars
kafka-jars: $(JARS) ## Fetch the jars of Apache Kafka for the tests (once, 45 MB)

$(JARS): pom.xml
	@{ $(HAS_JAVA_AND_MAVEN); } || \
	    { echo "needs Java 17 and Maven (on Debian: apt-get install openjdk-17-jre-headless maven)" >&2; exit 1; }
	@echo "Fetching the jars of Apache Kafka into target/kafka-libs ..."
	@rm -rf target/kafka-libs
	@mvn --quiet --batch-mode -Dstyle.color=never package
	@touch $@

.PHONY: faults
faults: ## Kill, suspend and cut off workers and brokers, and compare what comes out; FAULTS='1 3' plays some
	@scripts/environment dev
	@$(MAKE) --silent $(JARS)
	@.venv/bin/python -m tests.faults $(FAULTS) $(ARGS)

.PHONY: soak
soak: ## Feed two workers for half an hour and kill one of them every 20 seconds; ARGS='--minutes 5' is shorter
	@scripts/environment dev
	@$(MAKE) --silent $(JARS)
	@.venv/bin/python -m tests.faults.soak $(ARGS)

.PHONY: javascript-packages
javascript-packages: $(JAVASCRIPT) ## Fetch the packages of the documentation's example in JavaScript (once, 1 MB)

$(JAVASCRIPT): docs/examples/javascript/package.json
	@echo "Fetching the packages of the example in JavaScript into target/javascript ..."
	@rm -rf target/javascript && mkdir -p target/javascript && cp $< target/javascript/
	@cd target/javascript && npm install --silent --no-package-lock --no-audit --no-fund
	@touch $@

PEERS := target/bench/quix.stamp target/bench/kafka-streams.stamp
.PHONY: bench bench-quick bench-contenders profile
bench: bench-contenders ## Measure beside the peers (half an hour on a quiet machine); BENCH=grades measures a part
	@.venv/bin/python -m bench $(BENCH) $(ARGS)

bench-quick: bench-contenders ## Measure grades and firehose briefly, and say what moved since bench/results.json
	@.venv/bin/python -m bench --quick $(BENCH) $(ARGS)

profile: bench-contenders ## Tell where a worker's microseconds per event go; BENCH=firehose for that topic
	@.venv/bin/python -m bench.profile $(BENCH) $(ARGS)

.PHONY: rules-report backtest-speed
rules-report: ## Measure how well the rules tell who declines, for docs/rules-backtest.md (some ten minutes)
	@scripts/environment dev
	@.venv/bin/python -m bench.rules_report

backtest-speed: ## Measure backtests of a million events, for docs/rules-backtest.md (some five minutes)
	@scripts/environment dev
	@.venv/bin/python -m bench.backtest_speed

bench-contenders: ## Make the peers ready to be measured
	@scripts/environment bench
	@$(MAKE) --silent $(JARS) $(PEERS)

target/bench/quix.stamp: bench/contenders/quix/requirements.txt
	@echo "Installing Quix Streams into an environment of its own ..."
	@rm -rf target/bench/quix
	@.venv/bin/python -m venv target/bench/quix
	@target/bench/quix/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

target/bench/kafka-streams.stamp: bench/contenders/kafka_streams/pom.xml $(wildcard bench/contenders/kafka_streams/src/main/java/bench/*.java)
	@echo "Building the contender in Kafka Streams ..."
	@mvn --quiet --batch-mode -Dstyle.color=never --file $< clean package
	@touch $@

.PHONY: lock audit
lock: ## Renew requirements.lock after a change of the dependencies (UPGRADE=1: all to their newest)
	@scripts/environment supply
	@CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --generate-hashes --build-deps-for=wheel \
	    --allow-unsafe --strip-extras --no-annotate --no-emit-index-url --no-emit-trusted-host \
	    --no-emit-find-links --pip-args "--only-binary :all:" $(if $(UPGRADE),--upgrade) \
	    --output-file requirements.lock pyproject.toml

audit: ## Ask PyPI's database about known vulnerabilities of what is locked (ARGS='-s osv' asks OSV)
	@scripts/environment supply
	@.venv/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock $(ARGS) || \
	    { echo "See above: a vulnerability, or a database that could not be asked from here (then ask elsewhere)" >&2; \
	      exit 1; }

.PHONY: clean
clean: ## Remove everything that these targets made
	rm -rf .venv target build ./*.egg-info .coverage .coverage.* htmlcov gradewatch-demo
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
