"""deploy/kubernetes is right by the API's schemas, agrees with itself, and with what the worker takes."""

import copy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import PREFIX, Settings, env_name
from tests.conftest import skip_or_fail
from tests.deploy.compose import Command, image_environment
from tests.deploy.kubernetes import (
    FOLDER,
    OVERLAY,
    PROMETHEUS_RULE,
    Object,
    build,
    files,
    objects,
    problems,
    prometheus_rule,
)
from tests.kafka import ROOT

BASE, MONITORING = FOLDER / "base", FOLDER / "monitoring"
WHOLE = [thing for folder in (BASE, MONITORING) for path in files(folder) for thing in objects(path)]
PATCHES = yaml.safe_load((OVERLAY / "kustomization.yaml").read_text())["patches"]
GRACE_SECONDS = 30


def kind_and_name(thing: Object) -> str:
    return f"{thing['kind']}/{thing['metadata']['name']}"


def one(kind: str) -> Object:
    (thing,) = [each for each in WHOLE if each["kind"] == kind]
    return thing


def worker_pod() -> Object:
    pod = one("StatefulSet")["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


def worker_container() -> Object:
    (container,) = worker_pod()["containers"]
    assert isinstance(container, dict)
    return container


def merged(old: Any, new: Any) -> Any:
    """Lay a patch over an object as kustomize does: maps by key, containers by name, other lists whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and all("name" in each for each in old + new):
        by_name = {each["name"]: each for each in old}
        for each in new:
            by_name[each["name"]] = merged(by_name.get(each["name"]), each)
        return list(by_name.values())
    return new


def patched() -> list[Object]:
    """Give what the example overlay patches, patched."""
    patches = {kind_and_name(thing): thing for path in PATCHES for thing in objects(OVERLAY / path["path"])}
    known = {kind_and_name(thing): thing for thing in WHOLE}
    assert patches.keys() <= known.keys()
    return [merged(known[name], patch) for name, patch in patches.items()]


@pytest.mark.parametrize("thing", WHOLE, ids=kind_and_name)
def test_an_object_follows_its_schema(thing: Object) -> None:
    assert problems(thing) == []


@pytest.mark.parametrize("thing", [*patched(), *objects(OVERLAY / "namespace.yaml")], ids=kind_and_name)
def test_what_the_overlay_makes_follows_its_schema(thing: Object) -> None:
    assert problems(thing) == []


@pytest.mark.parametrize("kind", ["StatefulSet", "ServiceMonitor"])
def test_a_field_that_the_api_does_not_know_is_found(kind: str) -> None:
    wrong = copy.deepcopy(one(kind))
    wrong["spec"]["replicass"] = 2
    assert problems(wrong)


def test_kustomize_builds_the_overlay() -> None:
    built = build(OVERLAY)
    if built is None:
        skip_or_fail("neither kustomize nor kubectl found; what it would make is checked file by file")
    assert len(built) == len(WHOLE) + 1
    for thing in built:
        assert problems(thing) == [], kind_and_name(thing)
        assert thing["metadata"].get("namespace") == (None if thing["kind"] == "Namespace" else "gradewatch")
    by_name = {kind_and_name(thing): thing for thing in built}
    for thing in patched():
        same = by_name[kind_and_name(thing)]
        spec = same["spec"] if "spec" in same else same["data"]
        if thing["kind"] == "StatefulSet":
            assert spec["replicas"] == 3
            (container,) = spec["template"]["spec"]["containers"]
            assert container["image"].startswith("registry.example.org/gradewatch:")
            assert container["resources"] == thing["spec"]["template"]["spec"]["containers"][0]["resources"]
        else:
            assert spec == thing.get("spec", thing.get("data"))


def test_every_file_is_part_of_it() -> None:
    for folder in (BASE, MONITORING, OVERLAY):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        named = kustomization["resources"] + [each["path"] for each in kustomization.get("patches", [])]
        assert sorted(name for name in named if "/" not in name) == [path.name for path in files(folder)]


def test_selectors_select_what_is_there() -> None:
    labels = one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    for kind in ("StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = one(kind)["spec"]
        selector = spec.get("selector") or spec["podSelector"]
        selector = selector.get("matchLabels", selector)
        assert selector
        assert selector.items() <= labels.items(), kind
    affinity = worker_pod()["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    for rule in (*affinity, *worker_pod()["topologySpreadConstraints"]):
        assert rule["labelSelector"]["matchLabels"] == labels
    # The monitor selects the Service, which gets this label from kustomize.
    (given,) = [each["pairs"] for each in yaml.safe_load((BASE / "kustomization.yaml").read_text())["labels"]]
    assert one("ServiceMonitor")["spec"]["selector"]["matchLabels"] == given
    assert given[one("ServiceMonitor")["spec"]["jobLabel"]] == "gradewatch"


def test_probes_and_prometheus_ask_the_workers_own_pages() -> None:
    container = worker_container()
    assert container["ports"] == [
        {"name": "http", "containerPort": Settings.model_fields["web_port"].default}
    ]
    pages = {
        probe: container[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert {page["port"] for page in pages.values()} == {"http"}
    assert [page["path"] for page in pages.values()] == ["/readyz", "/readyz", "/healthz"]
    # Recovery has an hour, and nobody ends a worker that recovers.
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] == 3600
    (endpoint,) = one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["port"] == one("Service")["spec"]["ports"][0]["name"] == "http"


def test_a_pod_is_given_the_time_that_a_worker_takes_to_end() -> None:
    longest = Settings.model_fields["delivery_timeout_seconds"].default
    assert worker_pod()["terminationGracePeriodSeconds"] >= longest + GRACE_SECONDS


def test_settings_are_known_by_their_names() -> None:
    names = {env_name(field) for field in Settings.model_fields}
    given = [thing["data"] for thing in (one("ConfigMap"), *patched()) if thing["kind"] == "ConfigMap"]
    for data in given:
        assert set(data) <= names
        assert all(name.startswith(PREFIX) for name in data)
    assert {each["name"] for each in worker_container()["env"]} == {"GRADEWATCH_INSTANCE_ID"}


def test_the_worker_takes_the_settings_of_the_overlay_with_its_secret(tmp_path: Path) -> None:
    (data,) = [thing["data"] for thing in patched() if thing["kind"] == "ConfigMap"]
    (tmp_path / "gradewatch.toml").write_text('web_token = "one"\nsasl_password = "another"\n')
    environment = {**image_environment(), **data, "GRADEWATCH_INSTANCE_ID": "gradewatch-0"}
    # A certificate would have to be real; it's enough that it would lie beside the other secrets.
    certificate = Path(environment.pop("GRADEWATCH_TLS_CA_FILE"))
    assert str(certificate.parent) in [mount["mountPath"] for mount in worker_container()["volumeMounts"]]
    *config, worker = worker_container()["args"]
    assert worker == "worker"
    command = Command(("gradewatch", *config, "config", "check"), environment)
    check = command.here({"/etc/gradewatch": str(tmp_path)})
    done = subprocess.run(check.argv, env=check.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mounts_are_of_volumes_and_lie_where_the_settings_say() -> None:
    pod, container = worker_pod(), worker_container()
    claims = [claim["metadata"]["name"] for claim in one("StatefulSet")["spec"]["volumeClaimTemplates"]]
    volumes = {volume["name"] for volume in pod["volumes"]} | set(claims)
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == volumes
    assert mounts["state"] == one("ConfigMap")["data"]["GRADEWATCH_DATA_DIR"]
    assert str(Path(container["args"][1]).parent) == mounts["secret"]


@pytest.mark.parametrize("kind", ["StatefulSet", "Job"])
def test_containers_may_do_nothing_but_their_work(kind: str) -> None:
    pod = one(kind)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


def test_the_image_is_of_this_release() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for folder in (BASE, OVERLAY):
        (image,) = yaml.safe_load((folder / "kustomization.yaml").read_text())["images"]
        assert (image["name"], image["newTag"]) == ("gradewatch", version)


def test_the_operators_rules_are_those_of_prometheus() -> None:
    assert PROMETHEUS_RULE.read_text() == prometheus_rule(), "run: python -m tests.deploy.kubernetes"
