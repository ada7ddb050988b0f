"""deploy/k8s matches docker-compose.yml, is accepted by Kubernetes, and opens no more ports than necessary."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are no dependency of ours

from crm_gateway.settings import GatewaySettings
from crm_identity.settings import IdentitySettings
from crm_kit.broker.names import inbox_of
from crm_kit.configuration.settings import Settings
from crm_kit.store.database import Database
from crm_kit.testing.databases import Databases
from crm_local.state import CHECKOUT
from crm_local.suite import SERVICES
from tests.architecture.kubernetes import (
    K8S,
    VERSIONS,
    Manifest,
    Network,
    environment,
    faults,
    named,
    pods,
    render,
    render_with,
    selects,
)
from tests.conftest import service_of

OVERLAYS = sorted(f"overlays/{found.parent.name}" for found in K8S.glob("overlays/*/kustomization.yaml"))
COMPONENTS = sorted(found.parent.name for found in K8S.glob("components/*/kustomization.yaml"))
COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
SERVERS: dict[str, Any] = yaml.safe_load((CHECKOUT / "deploy" / "servers.yml").read_text())["services"]
OURS = {name: one for name, one in COMPOSE.items() if str(one.get("image", "")).startswith("liaison/")}
RABBITMQ_FILES = {
    Path(volume.split(":")[0]).name: (CHECKOUT / "deploy" / volume.split(":")[0]).read_text()
    for volume in SERVERS["rabbitmq"]["volumes"]
    if volume.startswith("./")
}
HELPERS = re.compile(r"(POSTGRES|RABBITMQ)_(HOST|USER|PASSWORD)|SERVICE|[A-Z]+_PASSWORD")
"""Variables from which the manifests only assemble URLs."""


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


# Comparison with docker-compose.yml


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of a checkout that the scripts for secrets read, with a .env."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("docker-compose.yml", "deploy/make-env.sh", "deploy/servers.yml", "deploy/k8s/make-secrets.sh"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, copy / name)
    subprocess.run([copy / "deploy/make-env.sh"], check=True)
    return copy


@pytest.fixture(scope="module")
def dotenv(checkout: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (checkout / ".env").read_text().split())


@pytest.fixture(scope="module")
def secrets(checkout: Path) -> dict[str, dict[str, str]]:
    """The secrets that make-secrets.sh makes from the .env."""
    done = subprocess.run([checkout / "deploy/k8s/make-secrets.sh"], capture_output=True, text=True, check=True)
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert all(next(faults(one, VERSIONS[0]), None) is None for one in made)
    return {one["metadata"]["name"]: one["stringData"] for one in made}


def told_by_compose(name: str, dotenv: dict[str, str]) -> dict[str, str]:
    """Return the environment that compose gives a container.

    A name without a value is passed through, and is unset here.
    """

    def resolved(found: re.Match[str]) -> str:
        variable, _, rest = found[1].partition(":")
        return dotenv.get(variable) or rest.removeprefix("-")

    told = {key: value for key, value in COMPOSE[name]["environment"].items() if value is not None}
    return {key: re.sub(r"\$\{([^}]*)\}", resolved, value) for key, value in told.items()}


def test_everything_that_compose_runs_has_its_place(tmp_path: Path) -> None:
    manifests = render_with(tmp_path, "servers", "telemetry")
    assert set(pods(manifests)) - set(COMPOSE) == {"operator"}, "the operator's toolbox is the manifests' own"
    # A cluster has its own Prometheus and Grafana.
    assert set(COMPOSE) - set(pods(manifests)) == {"prometheus", "grafana"}


@pytest.mark.parametrize("name", OURS)
def test_a_process_is_told_what_compose_tells_it(
    name: str, dotenv: dict[str, str], secrets: dict[str, dict[str, str]]
) -> None:
    manifests = render("base")
    told = told_by_compose(name, dotenv)
    (container,) = pods(manifests)[name]["spec"]["containers"]
    given = environment(container, named(manifests, "ConfigMap"), secrets)
    handed_through = {key for key, value in COMPOSE[name]["environment"].items() if value is None}
    assert {key: given.get(key) for key in told} == told
    assert {key for key in set(given) - set(told) if not HELPERS.fullmatch(key)} == handed_through


def test_what_compose_hands_through_has_the_default_of_the_settings(secrets: dict[str, dict[str, str]]) -> None:
    manifests = render("base")
    (container,) = pods(manifests)["identity-setup"]["spec"]["containers"]
    given = environment(container, named(manifests, "ConfigMap"), secrets)
    defaults = {field.validation_alias: field.default for field in IdentitySettings.model_fields.values()}
    handed_through = [key for key, value in COMPOSE["identity-setup"]["environment"].items() if value is None]
    assert {key: given[key] for key in handed_through} == {key: defaults[key] for key in handed_through}


@pytest.mark.parametrize("name", OURS)
def test_a_process_runs_as_compose_runs_it(name: str) -> None:
    process, pod = OURS[name], pods(render("base"))[name]["spec"]
    (container,) = pod["containers"]
    assert container["image"].partition(":")[0] == process["image"].partition(":")[0]
    assert container["args"] == process["command"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is process["read_only"]
    assert container["securityContext"]["capabilities"]["drop"] == process["cap_drop"]
    assert "no-new-privileges:true" in process["security_opt"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    volumes = [volume.partition(":")[2] for volume in process.get("volumes", [])]
    assert sorted(mount["mountPath"] for mount in container["volumeMounts"]) == sorted(process["tmpfs"] + volumes)
    user = re.search(r"^USER (\d+):(\d+)$", (CHECKOUT / "deploy/Dockerfile").read_text(), re.M)
    assert user is not None
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    if "stop_grace_period" in process:
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod["terminationGracePeriodSeconds"] - before >= seconds(process["stop_grace_period"])


@pytest.mark.parametrize("name", OURS)
def test_setups_come_first(name: str) -> None:
    """The equivalent of `depends_on` in compose: APIs and workers wait for their setup.

    Setups, which are retried, wait for provision.
    """
    pod = pods(render("base"))[name]["spec"]
    waits = [(one["image"], one["args"]) for one in pod.get("initContainers", [])]
    setups = [other for other in OURS[name]["depends_on"] if other.endswith("-setup")]
    assert waits == [(pod["containers"][0]["image"], ["wait"])] * len(setups)
    if name.endswith("-setup") or name == "provision":
        assert pod["restartPolicy"] == "OnFailure"
    else:
        assert setups == [f"{name.rpartition('-')[0]}-setup"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_first_step_of_an_upgrade_is_what_provision_needs(folder: str) -> None:
    step = re.search(r"-l '([\w./-]+) notin \(([\w, ]+)\)'", (CHECKOUT / "docs" / "operations.md").read_text())
    assert step is not None
    later = step[2].split(", ")
    waits: dict[bool, list[Manifest]] = {True: [], False: []}
    for one in render(folder):
        waits[one["metadata"].get("labels", {}).get(step[1]) in later].append(one)
    assert {name for name in pods(tuple(waits[False])) if name not in SERVERS} == {"provision", "operator"}
    assert {one["kind"] for one in waits[True]} == {"Job", "Deployment", "Service", "PodDisruptionBudget"}


@pytest.mark.parametrize("name", [name for name in OURS if name.endswith(("-api", "-worker"))])
def test_a_process_is_asked_where_it_answers(name: str) -> None:
    deployment = named(render("base"), "Deployment")[name]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [
        {"name": "http", "containerPort": Settings.model_fields["port"].default},
        {"name": "metrics", "containerPort": 9464},
    ]
    assert "CRM_METRICS_HOST=0.0.0.0 CRM_METRICS_PORT=9464" in (CHECKOUT / "deploy" / "Dockerfile").read_text()
    asked = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness", "readiness")}
    alive, ready = ({"path": path, "port": "http"} for path in ("/healthz", "/readyz"))
    assert asked == {"startup": alive, "liveness": alive, "readiness": ready}
    budget = named(render("base"), "PodDisruptionBudget")[name]["spec"]
    assert selects(budget["selector"], deployment["spec"]["template"]["metadata"]["labels"])
    for spread in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]
    if name.endswith("-api"):
        service = named(render("base"), "Service")[name]["spec"]
        assert service["selector"] == deployment["spec"]["selector"]["matchLabels"]
        assert f"http://{name}:{service['ports'][0]['port']}" in {f"http://{name}:8000"}


def test_no_two_processes_share_a_selector() -> None:
    selectors = [str(one["spec"]["selector"]) for one in named(render("base"), "Deployment").values()]
    assert len(selectors) == len(set(selectors))


def test_servers_are_those_of_compose(
    tmp_path: Path, dotenv: dict[str, str], secrets: dict[str, dict[str, str]]
) -> None:
    manifests = render_with(tmp_path, "servers")
    for name in ("postgres", "rabbitmq"):
        (container,) = pods(manifests)[name]["spec"]["containers"]
        server = SERVERS[name]
        assert container["image"] == server["image"].partition(":-")[2].removesuffix("}")
        assert container.get("args") == server.get("command")
        given = environment(container, {}, secrets)
        for key, value in server["environment"].items():
            assert given[key] == re.sub(r"\$\{(\w+):?[^}]*\}", lambda found: dotenv[found[1]], value)
    (conf,) = (one for name, one in named(manifests, "ConfigMap").items() if name.startswith("rabbitmq-conf"))
    assert conf["data"] == RABBITMQ_FILES
    mounted = {mount["mountPath"] for mount in pods(manifests)["rabbitmq"]["spec"]["containers"][0]["volumeMounts"]}
    assert {volume.split(":")[1] for volume in SERVERS["rabbitmq"]["volumes"]} <= mounted


def test_servers_of_operators_log_as_those_of_compose() -> None:
    (cluster,) = named(render("overlays/ha"), "RabbitmqCluster").values()
    assert cluster["spec"]["rabbitmq"]["advancedConfig"] == RABBITMQ_FILES["advanced.config"]
    (container,) = cluster["spec"]["override"]["statefulSet"]["spec"]["template"]["spec"]["containers"]
    own = {"RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"}
    told = {key: value for key, value in SERVERS["rabbitmq"]["environment"].items() if key not in own}
    assert environment(container, {}, {}) == told
    (postgres,) = named(render("overlays/ha"), "Cluster").values()
    options = (one.removeprefix("--").split("=") for one in SERVERS["postgres"]["command"][1:])
    logging = {name: value for name, value in options if name.startswith("log_")}
    assert logging.items() <= postgres["spec"]["postgresql"]["parameters"].items()


def test_the_collector_is_that_of_compose(tmp_path: Path, secrets: dict[str, dict[str, str]]) -> None:
    manifests = render_with(tmp_path, "telemetry")
    (container,) = pods(manifests)["collector"]["spec"]["containers"]
    assert container["args"] == COMPOSE["collector"]["command"]
    assert container["image"] in COMPOSE["collector"]["image"]
    (sales,) = pods(manifests)["sales-api"]["spec"]["containers"]
    given = environment(sales, named(manifests, "ConfigMap"), secrets)
    assert given["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"


# Against Kubernetes


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", OVERLAYS)
def test_kubernetes_takes_an_overlay(folder: str, version: str) -> None:
    assert [fault for one in render(folder) for fault in faults(one, version)] == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_kubernetes_takes_a_component_alone(component: str, tmp_path: Path) -> None:
    manifests = render_with(tmp_path, component)
    assert [fault for one in manifests for fault in faults(one, VERSIONS[-1])] == []


def test_a_misspelt_field_is_found() -> None:
    deployment = named(render("base"), "Deployment")["sales-api"]
    misspelt = deployment | {"spec": deployment["spec"] | {"replica": 2}}
    assert list(faults(misspelt, VERSIONS[0]))
    cluster = named(render("overlays/ha"), "Cluster")["postgres"]
    assert list(faults(cluster | {"spec": cluster["spec"] | {"instanses": 3}}, VERSIONS[0]))


@pytest.mark.parametrize("folder", OVERLAYS)
def test_pods_keep_to_the_restricted_standard(folder: str) -> None:
    manifests = render(folder)
    (namespace,) = named(manifests, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod in pods(manifests).items():
        assert pod["spec"]["securityContext"]["runAsNonRoot"], name
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            confined = container["securityContext"]
            assert confined["capabilities"] == {"drop": ["ALL"]}, name
            assert not confined["allowPrivilegeEscalation"], name
            assert confined["readOnlyRootFilesystem"], name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert container["resources"]["limits"].keys() == {"memory"}, name


@pytest.mark.parametrize("folder", OVERLAYS)
def test_no_secret_is_in_the_manifests(folder: str) -> None:
    assert named(render(folder), "Secret") == {}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_configuration_that_is_named_is_there(folder: str) -> None:
    manifests = render(folder)
    there = set(named(manifests, "ConfigMap"))
    asked = set(re.findall(r"'configMap(?:Ref|KeyRef)?': \{(?:'key': '\w+', )?'name': '([\w-]+)'", str(manifests)))
    assert asked
    assert asked <= there
    assert all(re.search(r"-[a-z0-9]{10}$", name) for name in asked), "a change of configuration rolls the pods"


# The network


def labels(service: str, component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/part-of": "liaison",
        "app.kubernetes.io/name": service,
        "app.kubernetes.io/component": component,
    }


NAMES = [service.name for service in SERVICES]
EVERYBODY = [labels(name, component) for name in NAMES for component in ("setup", "api", "worker")]
OPERATOR = [labels("operator", component) for component in ("provision", "toolbox")]
GATEWAY = labels("gateway", "api")


@pytest.mark.parametrize("folder", OVERLAYS)
def test_only_the_gateway_is_reached_from_outside(folder: str) -> None:
    network = Network(render(folder))
    open_to_ingress = [pod for pod in EVERYBODY + OPERATOR if network.lets_in(pod, 8000, namespace="ingress-nginx")]
    assert open_to_ingress == [GATEWAY]
    assert not any(network.lets_in(pod, 8000, namespace="default") for pod in EVERYBODY + OPERATOR)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_services_reach_each_other_by_the_gateway_alone(folder: str) -> None:
    network = Network(render(folder))
    lines = {
        (source["app.kubernetes.io/name"], source["app.kubernetes.io/component"], target["app.kubernetes.io/name"])
        for source in EVERYBODY + OPERATOR
        for target in EVERYBODY
        if network.lets(source, target, 8000)
        and (target["app.kubernetes.io/component"] == "api" or pytest.fail(f"{source} reaches {target}"))
    }
    keys = {(name, component, "identity") for name in NAMES for component in ("api", "worker")}
    assert lines == keys | {("gateway", "api", name) for name in NAMES}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_servers_are_reached_by_whom_they_serve(folder: str) -> None:
    network = Network(render(folder))
    # The pods of the operators have these labels, too.
    postgres = {"liaison-server": "postgres", "cnpg.io/cluster": "postgres"}
    rabbitmq = {"liaison-server": "rabbitmq"}
    assert [pod for pod in EVERYBODY + OPERATOR if network.lets(pod, postgres, 5432)] == EVERYBODY + OPERATOR
    speakers = [pod for pod in EVERYBODY if pod["app.kubernetes.io/component"] == "worker"] + OPERATOR
    assert [pod for pod in EVERYBODY + OPERATOR if network.lets(pod, rabbitmq, 5672)] == speakers
    assert [pod for pod in EVERYBODY + OPERATOR if network.lets(pod, rabbitmq, 15672)] == OPERATOR
    assert not network.lets(postgres, rabbitmq, 5672)
    assert not network.lets_in(postgres, 5432, namespace="ingress-nginx")


def test_metrics_are_for_the_monitoring_alone() -> None:
    network = Network(render("overlays/ha"))
    assert not [pod for pod in EVERYBODY + OPERATOR if network.lets_in(pod, 8000, namespace="monitoring")]
    read = [pod for pod in EVERYBODY + OPERATOR if network.lets_in(pod, 9464, namespace="monitoring")]
    assert read == [pod for pod in EVERYBODY if pod["app.kubernetes.io/component"] != "setup"]
    (monitor,) = named(render("overlays/ha"), "PodMonitor").values()
    assert [pod for pod in EVERYBODY + OPERATOR if selects(monitor["spec"]["selector"], pod)] == read


def test_the_ingress_shows_no_metrics() -> None:
    (ingress,) = named(render("overlays/ha"), "Ingress").values()
    paths = [one["path"] for rule in ingress["spec"]["rules"] for one in rule["http"]["paths"]]
    assert "/api" in paths
    assert not [path for path in paths if "/metrics".startswith(path) or "/readyz".startswith(path)]


# Sizes


def test_each_worker_is_scaled_by_its_own_queue() -> None:
    scaled = named(render("overlays/ha"), "ScaledObject")
    assert set(scaled) == {f"{name}-worker" for name in NAMES}
    for name in NAMES:
        spec = scaled[f"{name}-worker"]["spec"]
        assert spec["scaleTargetRef"]["name"] == f"{name}-worker"
        assert spec["triggers"][0]["metadata"]["queueName"] == inbox_of(name)
    apis = named(render("overlays/ha"), "HorizontalPodAutoscaler")
    assert {one["spec"]["scaleTargetRef"]["name"] for one in apis.values()} == {f"{name}-api" for name in NAMES}
    for name, deployment in named(render("overlays/ha"), "Deployment").items():
        assert ("replicas" in deployment["spec"]) == (name == "operator"), "two would decide how many there are"


async def test_the_scalers_question_is_answered_by_an_index(databases: Databases) -> None:
    """KEDA runs the same query in every service every few seconds."""
    scaled = named(render("overlays/ha"), "ScaledObject").values()
    (query,) = {one["spec"]["triggers"][1]["metadata"]["query"] for one in scaled}
    db = Database(databases.of(service_of("crm_gateway")).url, pool_size=1, application_name="test", by_index=True)
    async with db.autocommit() as conn:
        assert (await conn.exec_driver_sql(query)).scalar_one() >= 0
        plan = "\n".join(row[0] for row in await conn.exec_driver_sql(f"explain {query}"))
    await db.dispose()
    assert "ix_outbox_pending" in plan


LISTENING = 1
"""Besides its pool each process has a connection for LISTEN."""


def connections_of(deployment: str) -> int:
    service, _, role = deployment.rpartition("-")
    told = {"CRM_SERVICE": service, "CRM_ROLE": role, "CRM_SECRET": "none", "DATABASE_URL": "postgresql://none"}
    made = GatewaySettings if service == "gateway" else Settings
    return made.model_validate(told).connections + LISTENING


def most(manifests: tuple[Manifest, ...]) -> dict[str, int]:
    """Return the maximum number of pods of each API and worker, except during an upgrade."""
    limits = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"]
        for one in manifests
        if "scaleTargetRef" in one.get("spec", {})
    }
    return {
        name: deployment["spec"].get("replicas")
        or limits[name].get("maxReplicas")
        or limits[name].get("maxReplicaCount")
        for name, deployment in named(manifests, "Deployment").items()
        if name.endswith(("-api", "-worker"))
    }


def allowed(manifests: tuple[Manifest, ...]) -> int:
    """Return PostgreSQL's max_connections."""
    for cluster in named(manifests, "Cluster").values():
        return int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    (container,) = named(manifests, "StatefulSet")["postgres"]["spec"]["template"]["spec"]["containers"]
    return int(next(one for one in container["args"] if "max_connections" in one).partition("=")[2])


@pytest.mark.parametrize("folder", OVERLAYS)
def test_postgresql_takes_every_connection_even_while_upgrading(folder: str) -> None:
    manifests = render(folder)
    pods_at_most = most(manifests)
    steady = sum(connections_of(name) * count for name, count in pods_at_most.items())
    surge = sum(connections_of(name) for name in pods_at_most)
    others = 25
    """The scalers' and the operator's, the standbys', an administrator's and those that PostgreSQL keeps for superusers."""
    assert steady + surge + others <= allowed(manifests)
    told = (CHECKOUT / "docs" / "operations.md").read_text()
    assert f"| `{folder}` | {steady} + {surge} of {allowed(manifests)} |" in told


def test_the_scripts_can_be_run() -> None:
    assert os.access(K8S / "make-secrets.sh", os.X_OK)
