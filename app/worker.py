"""The worker: settings become an outlet, a Faust app and agents; it runs them until it's told to stop.

This is the one place where everything is put together. What goes wrong ends as a GradewatchError with a
sentence; the process then exits with 1, and the next start repeats what was not committed.
"""

import asyncio
import signal
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from aiokafka.errors import KafkaError
from faust.exceptions import ConsistencyError
from prometheus_client import CollectorRegistry, ProcessCollector

from agents.alerts import Alerts
from agents.courses import Courses
from agents.metrics import Metrics
from agents.router import Router
from agents.rules import ActiveRules
from agents.scorer import Scorer
from agents.trails import Trail
from app.access import Tokens
from app.cli import version
from app.data_dir import bind, cannot_be_used, make_data_dir
from app.errors import BrokerError, GradewatchError, SettingsError, TopicsError
from app.logs import logger
from app.lost import explain_lost
from app.progress import Progress, Watchdog
from app.refusals import ACLS_ADVICE, AUTHORIZATION_ERRORS, not_allowed
from app.reload import RulesReload
from app.rules import load_rules
from app.security import faust_credentials
from app.settings import Settings
from app.topics import check_topics, explain
from app.web import WebServer, create_web
from engine.app import ChunkApp, EngineOptions
from engine.chunks import Chunk, Observer
from engine.errors import ChangelogLostError, EngineError, StoreError
from engine.lost import OffsetsLostError
from engine.outlet import Outlet
from models.grades import ReadLimits
from models.times import time_from_epoch_ms

log = logger()

AGENTS: Final = ("router", "scorer", "courses")

WATCH_SECONDS: Final = 0.1
"""How often the worker looks whether it has become ready, or has ceased to be."""


class MetricsObserver:
    """Hands what the engine tells to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def chunk(self, agent: str, chunk: Chunk, seconds: float) -> None:
        """Count a chunk."""
        self._metrics.observe_chunk(agent, chunk.unpacked, seconds)

    def flush_step(self, step: str, seconds: float) -> None:
        """Time a step of a flush."""
        self._metrics.flush_seconds.labels(step).observe(seconds)

    def flushed_keys(self, keys: int) -> None:
        """Count what a flush wrote."""
        self._metrics.flushed_keys.inc(keys)

    def committed(self) -> None:
        """Note the time of a commit."""
        self._metrics.last_commit_timestamp.set(time.time())


class Worker:
    """One worker process, and what its pages show of it."""

    def __init__(self, settings: Settings, *, reset_offsets: bool = False) -> None:
        """Read the rules; raises SettingsError with every mistake in them."""
        self._settings = settings
        self._reset_offsets = reset_offsets
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry, version())
        ProcessCollector(registry=self._registry)
        self._rules = ActiveRules(load_rules(settings.rules), self._metrics)
        self._reload = RulesReload(settings.rules, self._rules, self._metrics)
        self._app: ChunkApp | None = None
        self._waiting_for = "broker"
        self._stop = asyncio.Event()
        self._cluster_id: str | None = None
        self._trails: dict[str, Trail] = {}
        self._last_spans: Callable[[], None] = lambda: None
        self._progress = Progress(settings.stall_seconds)
        self._watchdog = Watchdog(settings.stall_seconds)

    def stop(self) -> None:
        """Ask the worker to finish what it has in hand, commit and end."""
        self._stop.set()

    def reload_rules(self) -> None:
        """Ask the worker to read the rules file again and judge by it from the next chunk on."""
        self._reload.ask()

    async def run(self) -> None:
        """Run until `stop`. Raises GradewatchError when it can't start or can't go on."""
        tokens = Tokens(self._settings.secret(name) for name in ("web_token", "web_staff_token"))
        web = WebServer(
            create_web(self, self._registry, tokens), self._settings.web_host, self._settings.web_port
        )
        port = await web.start()
        log.info("web.listening", host=self._settings.web_host, port=port)
        log.info("rules.loaded", hash=self._rules.book.digest)
        reloading = asyncio.create_task(self._reload.run())
        try:
            if not await self._until_stopped(self._check_topics()):
                await self._work()
        finally:
            reloading.cancel()
            await asyncio.to_thread(self._last_spans)
            await web.stop()
        log.info("worker.stopped")

    # -- WorkerStatus -------------------------------------------------------------------------------------

    def missing(self) -> Mapping[str, object]:
        """Return what still keeps the worker from being ready, by name; empty once it is ready."""
        if self._app is None:
            return {"waiting_for": self._waiting_for}
        if not self._app.assigned:
            return {"waiting_for": "assignment"}
        if not self._app.recovered:
            return {"waiting_for": "recovery", "remaining_records": self._app.recovery_remaining()}
        if self._progress.slow:
            return {"waiting_for": "agent", "seconds": round(self._progress.seconds)}
        if self._app.waits_for_broker():
            return {"waiting_for": "broker"}
        return {}

    def stalled(self) -> str | None:
        """Return why the worker makes no progress and should be restarted, or None."""
        if not self._progress.stalled:
            return None
        return f"an agent has been at work on one chunk for {self._progress.seconds:.0f} seconds"

    # -- starting -----------------------------------------------------------------------------------------

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Await `work`; return True when `stop` came first."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                return True
            task.result()
            return False
        finally:
            for each in (task, stopping):
                each.cancel()

    async def _check_topics(self) -> None:
        report = await check_topics(self._settings, self._settings.broker_timeout_seconds)
        if report.failures:
            raise TopicsError(explain(report.failures))
        self._cluster_id = report.cluster_id
        for problem in report.problems:
            log.warning("topic.differs", topic=problem.topic, problem=problem.sentence)

    def _build(self) -> ChunkApp:
        settings = self._settings
        make_data_dir(settings.data_dir)
        bind(settings.data_dir / settings.app_id, settings.app_id, self._cluster_id)
        topology = settings.topology()
        outlet = Outlet(
            settings.kafka_client_options(),
            {spec.name: spec.partitions for spec in topology.all},
            overwriting={topology.snapshots.name},
            read_back={
                spec.name
                for spec in (
                    topology.records,
                    topology.course_drops,
                    topology.scores_changelog,
                    topology.drops_changelog,
                )
            },
            delivery_timeout_seconds=settings.delivery_timeout_seconds,
        )
        app = ChunkApp(
            EngineOptions(
                app_id=settings.app_id,
                brokers=settings.bootstrap_servers,
                data_dir=settings.data_dir,
                credentials=faust_credentials(settings),
                instance_id=settings.instance_id,
                commit_interval_seconds=settings.commit_interval_seconds,
                catch_up_skew_ms=int(settings.catch_up_skew_seconds * 1000),
                session_timeout_seconds=settings.session_timeout_seconds,
                broker_timeout_seconds=settings.broker_timeout_seconds,
                reset_offsets=self._reset_offsets,
                standby_replicas=settings.standby_replicas,
            ),
            outlet,
            self.observer(),
        )
        router = Router(
            topology,
            outlet,
            self._metrics,
            limits=ReadLimits(settings.max_value_bytes, int(settings.max_future_seconds * 1000)),
            version=version(),
            now=_now,
            trail=self._trails.get("router"),
        )
        alerts = Alerts(topology, outlet, self._metrics, now=_now)
        scorer = Scorer(
            app,
            topology,
            outlet,
            self._metrics,
            router.dead_letters,
            alerts,
            rules=self._rules,
            max_cached_students=settings.table_cache_keys,
            trail=self._trails.get("scorer"),
        )
        courses = Courses(
            app,
            topology,
            outlet,
            router.dead_letters,
            alerts,
            rules=self._rules,
            trail=self._trails.get("courses"),
        )
        app.chunk_agent(topology.raw.name, router, name="router", in_step=True)
        app.chunk_agent(topology.records.name, scorer, name="scorer")
        app.chunk_agent(topology.course_drops.name, courses, name="courses")
        self._metrics.table_keys.set_function(scorer.table.estimated_keys)
        self._metrics.recovery_remaining.set_function(app.recovery_remaining)
        self._metrics.ask_for_lag(app.lags)
        return app

    def observer(self) -> Observer:
        """Return who counts the engine's work and, where that is wanted, makes spans of it.

        Raises SettingsError when that is wanted and not installed.
        """
        metrics = MetricsObserver(self._metrics)
        if self._settings.tracing_endpoint is None:
            return metrics
        try:
            from app.tracing import TracingObserver, tracer_provider
        except ImportError:
            raise SettingsError(
                "GRADEWATCH_TRACING_ENDPOINT is set, but OpenTelemetry is not installed: "
                "pip install 'gradewatch[tracing]', or leave the setting out."
            ) from None
        self._trails = {agent: Trail() for agent in AGENTS}
        provider = tracer_provider(self._settings, version())
        self._last_spans = provider.shutdown
        tracer = provider.get_tracer("gradewatch", version())
        return TracingObserver(metrics, tracer, self._trails, self._settings.app_id)

    # -- working ------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        self._waiting_for = "start"
        app = self._app = self._build()
        watches = [
            asyncio.create_task(watch) for watch in (self._watch_readiness(app), self._watch_progress(app))
        ]
        try:
            await app.run(self._stop)
        except (ChangelogLostError, ConsistencyError) as error:
            raise GradewatchError(
                f"The tables in {self._settings.data_dir / self._settings.app_id} have rows that their "
                "changelog does not have: it was made anew, or is another cluster's. Remove that folder to "
                "start from what the changelog has."
            ) from error
        except StoreError as error:
            raise GradewatchError(
                f"The worker stops without committing: {error}.\n"
                f"{cannot_be_used(self._settings.data_dir / self._settings.app_id)}"
            ) from error
        except OffsetsLostError as error:
            raise GradewatchError(explain_lost(error, app.tables.changelog_topics)) from error
        except EngineError as error:
            why = (
                f"{error}."
                if not isinstance(error.__cause__, AUTHORIZATION_ERRORS)
                else f"{error}. {ACLS_ADVICE}"
            )
            raise GradewatchError(f"The worker stops without committing: {why}") from error
        except AUTHORIZATION_ERRORS as error:
            raise BrokerError(f"The worker stops without committing. {not_allowed(error)}") from error
        except KafkaError as error:
            log.error("broker.lost", error=type(error).__name__, where=_frames(error))  # noqa: TRY400
            raise BrokerError(f"The worker lost its broker: {type(error).__name__}.") from error
        except Exception as error:
            # A bug. Its text might quote a grade, so only where it happened is told.
            log.error("worker.bug", error=type(error).__name__, where=_frames(error))  # noqa: TRY400
            raise GradewatchError(
                f"The worker stops without committing because of a bug ({type(error).__name__}); "
                "the log says where."
            ) from None
        finally:
            for watch in watches:
                watch.cancel()
            self._watchdog.put_away()
            self._metrics.ready.set(0)

    async def _watch_progress(self, app: ChunkApp) -> None:
        told = False
        idle_since = time.monotonic()
        missing: Mapping[str, object] = {}
        while not self._progress.over:
            self._watchdog.feed()
            before, missing = missing, self.missing()
            # A recovery that gets on has other numbers at each look.
            if missing.get("waiting_for") not in {"assignment", "broker", "recovery"} or missing != before:
                idle_since = time.monotonic()
            if (seconds := time.monotonic() - idle_since) > self._settings.broker_timeout_seconds:
                app.give_up(
                    EngineError(f"the brokers have let this worker do nothing for {seconds:.0f} seconds")
                )
            chunk = app.oldest_chunk()
            self._progress.look(chunk, waits_for_broker=app.outlet.full or app.waits_for_broker())
            if chunk is not None and self._progress.stalled and not told:
                told = True
                tp, _, next_offset = chunk.spans[0]
                log.error(
                    "worker.stalled",
                    topic=tp.topic,
                    partition=tp.partition,
                    before_offset=next_offset,
                    seconds=round(self._progress.seconds),
                )
            told &= self._progress.stalled
            await asyncio.sleep(WATCH_SECONDS)
        # The watchdog is fed no more: should the agent let nobody stop it either, that ends the process.
        app.give_up(EngineError(self.stalled() or "an agent is stuck"))

    async def _watch_readiness(self, app: ChunkApp) -> None:
        ready = False
        rebalances = 0
        started = time.monotonic()
        while True:
            # A rebalance may be over between two looks.
            if ready and (self.missing() or app.rebalances != rebalances):
                ready = False
                started = time.monotonic()
                self._metrics.ready.set(0)
                waiting_for = self.missing().get("waiting_for")
                if waiting_for in {"agent", "broker"}:
                    log.warning("worker.waiting", waiting_for=waiting_for)
                else:
                    log.info("worker.rebalancing")
            rebalances = app.rebalances
            if not ready and not self.missing():
                ready = True
                self._metrics.ready.set(1)
                seconds = round(time.monotonic() - started, 2)
                log.info("worker.ready", partitions=len(app.assignment()), seconds=seconds)
            await asyncio.sleep(WATCH_SECONDS)


def _now() -> str:
    return time_from_epoch_ms(time.time_ns() // 1_000_000)


def _frames(error: BaseException) -> list[str]:
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]


async def run_worker(settings: Settings, *, reset_offsets: bool = False) -> None:
    """Run a worker until SIGTERM or SIGINT; SIGHUP has it read its rules again.

    With `reset_offsets` it goes on where what is to be read next is gone from its topic. Raises
    GradewatchError when it can't start or can't go on.
    """
    worker = Worker(settings, reset_offsets=reset_offsets)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    loop.add_signal_handler(signal.SIGHUP, worker.reload_rules)
    await worker.run()
