"""Reads deploy/kubernetes and checks objects against the API's schemas, without a cluster.

`python -m tests.deploy.kubernetes` writes the PrometheusRule anew from deploy/prometheus/rules.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import yaml

from tests.deploy.prometheus import RULE_FILES
from tests.kafka import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAY = FOLDER / "overlays" / "example"
PROMETHEUS_RULE = FOLDER / "monitoring" / "prometheusrule.yaml"
CRDS = Path(__file__).with_name("crds")

#: Two releases apart: what both take, those between take too.
KUBERNETES_VERSIONS = ("1.31.0", "1.35.0")

Object = dict[str, Any]


def objects(path: Path) -> list[Object]:
    """Read the objects of one file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def files(folder: Path) -> list[Path]:
    """Give a folder's manifests; kustomize's own files are none."""
    return sorted(path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")


def problems(thing: Object) -> list[str]:
    """Say what is wrong with an object by its schema; fields that the schema doesn't know are wrong."""
    if thing["apiVersion"].startswith("monitoring.coreos.com/"):
        validator = jsonschema.Draft202012Validator(_strict(_crd_schema(thing)))
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(thing)]
    found = []
    for version in KUBERNETES_VERSIONS:
        try:
            kubernetes_validate.validate(thing, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"Kubernetes {version}: {error}")
    return found


def _crd_schema(thing: Object) -> Object:
    group, _, version = thing["apiVersion"].partition("/")
    for path in CRDS.glob("*.yaml"):
        (crd,) = objects(path)
        if crd["spec"]["group"] == group and crd["spec"]["names"]["kind"] == thing["kind"]:
            (schema,) = [each["schema"] for each in crd["spec"]["versions"] if each["name"] == version]
            whole: Object = schema["openAPIV3Schema"]
            # A custom resource's metadata is checked by the API server, not by its schema.
            whole["properties"]["metadata"] = {"type": "object", "required": ["name"]}
            return whole
    raise AssertionError(f"no schema for {thing['kind']}")


def _strict(schema: Any, *, name: str = "") -> Any:
    """Refuse unknown fields, which the API server would drop without a word."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value, name=key) for key, value in schema.items()}
    if name != "properties" and isinstance(schema.get("properties"), dict) and name != "metadata":
        strict.setdefault("additionalProperties", False)
    return strict


def build(folder: Path) -> list[Object] | None:
    """Build an overlay with kustomize, which kubectl has too; None where neither is installed."""
    commands = (("kustomize", "build"), ("kubectl", "kustomize"))
    command = next((each for each in commands if shutil.which(each[0])), None)
    if command is None:
        return None
    done = subprocess.run([*command, folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def prometheus_rule() -> str:
    """Return the rules as the Prometheus Operator takes them."""
    groups = [group for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"]]
    head = "# Made from deploy/prometheus/rules by `python -m tests.deploy.kubernetes`; change those.\n"
    thing = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "gradewatch"},
        "spec": {"groups": groups},
    }
    return head + yaml.safe_dump(thing, sort_keys=False, width=110, allow_unicode=True)


if __name__ == "__main__":
    PROMETHEUS_RULE.write_text(prometheus_rule())
