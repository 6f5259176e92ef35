"""The deployment's files: they parse, and agree with each other and with the server.

Nothing is built or applied here: that takes a container engine and a cluster.
"""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from base.errors import InputError
from behaviour.feedback import Feedback
from live.catalogue import LiveCatalogue
from live.config import LiveConfig
from live.log.write_ahead_log import WriteLog
from search.engine import Engine
from search.engine_handle import EngineHandle
from server.cli.settings import load
from server.config import ServerConfig
from server.observe.metrics import Metrics
from server.worker_pool import WorkerPool

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def manifest(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes" / f"{name}.yaml").read_text())
    return parsed


@pytest.fixture
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = manifest("deployment")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    [only] = pod["containers"]
    return only


@pytest.fixture
def ports(container: dict[str, Any]) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container["ports"]}


@pytest.fixture
def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its arguments."""
    text = (DEPLOY / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    whole = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    pairs = [line.partition(" ") for line in whole.splitlines() if line]
    return [(word, rest) for word, _, rest in pairs]


@pytest.fixture
def image_environment(dockerfile: list[tuple[str, str]]) -> dict[str, str]:
    [_, final] = [line for line, (word, _) in enumerate(dockerfile) if word == "FROM"]
    words = [
        part for word, rest in dockerfile[final:] if word == "ENV" for part in shlex.split(rest)
    ]
    return {name: value for name, _, value in (part.partition("=") for part in words)}


def pod_config(container: dict[str, Any], image_environment: dict[str, str]) -> ServerConfig:
    """Return the server's settings from the environment variables of the image and the pod."""
    environ = image_environment | {each["name"]: each["value"] for each in container["env"]}
    return load([], environ).config


def test_the_image_takes_no_writes_from_whoever_reaches_it(
    container: dict[str, Any], image_environment: dict[str, str]
) -> None:
    assert pod_config(container, image_environment).state is None
    with pytest.raises(InputError, match=r"--tokens or --client-ca .*SHORTLIST_STATE"):
        load([], image_environment | {"SHORTLIST_STATE": "/srv/state"})


# ---- Kubernetes


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_manifest_is_an_object_of_the_same_labels(path: Path) -> None:
    [parsed] = yaml.safe_load_all(path.read_text())
    assert parsed["apiVersion"]
    assert parsed["kind"]
    assert parsed["metadata"]["name"] == "shortlist"
    assert parsed["metadata"]["labels"] == {"app.kubernetes.io/name": "shortlist"}


def test_every_selector_chooses_the_servers_pods() -> None:
    deployment = manifest("deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert manifest("service")["spec"]["selector"] == labels
    assert manifest("disruption")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("network")["spec"]["podSelector"]["matchLabels"] == labels


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_where_the_server_answers(
    container: dict[str, Any],
    ports: dict[str, int],
    image_environment: dict[str, str],
    probe: str,
) -> None:
    assert container[probe]["grpc"]["port"] == ports["grpc"]
    assert pod_config(container, image_environment).port == ports["grpc"]


def test_ports_of_service_scrapes_and_policy_are_the_servers(
    container: dict[str, Any], ports: dict[str, int], image_environment: dict[str, str]
) -> None:
    config = pod_config(container, image_environment)
    assert (config.metrics_host, config.metrics_port) == ("0.0.0.0", ports["metrics"])
    [service] = manifest("service")["spec"]["ports"]
    assert service["targetPort"] in ports
    assert service["port"] == ports["grpc"]
    annotations = manifest("deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["metrics"])
    allowed = [
        port["port"] for rule in manifest("network")["spec"]["ingress"] for port in rule["ports"]
    ]
    assert set(allowed) == set(ports)


def test_the_service_shows_every_server_and_not_one_address() -> None:
    assert manifest("service")["spec"]["clusterIP"] == "None"


def test_kubernetes_sets_no_variables_that_look_like_settings(pod: dict[str, Any]) -> None:
    assert pod["enableServiceLinks"] is False


def test_a_stop_has_the_time_it_may_take(
    pod: dict[str, Any], container: dict[str, Any], image_environment: dict[str, str]
) -> None:
    config = pod_config(container, image_environment)
    stop = config.drain_seconds + config.grace_seconds
    assert pod["terminationGracePeriodSeconds"] > stop + 10  # 10 s for the last traces
    # Health is NOT_SERVING during a stop, and a liveness probe must not kill a stopping pod.
    liveness = container["livenessProbe"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] > stop
    readiness = container["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] < config.drain_seconds


def test_the_server_has_no_rights_it_does_not_need(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}


def test_what_is_written_is_mounted_and_the_bundle_is_read_only(
    pod: dict[str, Any], container: dict[str, Any], image_environment: dict[str, str]
) -> None:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == set(volumes)
    for path in (image_environment["XDG_CACHE_HOME"], image_environment["HOME"], "/tmp"):
        assert "emptyDir" in volumes[mounts[path]["name"]]
        assert not mounts[path].get("readOnly")
    assert mounts[image_environment["SHORTLIST_BUNDLE"]]["readOnly"] is True


# ---- the image


def test_the_image_runs_as_the_pods_user(
    dockerfile: list[tuple[str, str]], pod: dict[str, Any]
) -> None:
    [user] = [rest for word, rest in dockerfile if word == "USER"]
    context = pod["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    [made] = [rest for word, rest in dockerfile if word == "RUN" and "useradd" in rest]
    assert f"--uid {context['runAsUser']}" in made


def test_the_image_s_ports_are_the_pods(
    dockerfile: list[tuple[str, str]], ports: dict[str, int]
) -> None:
    [exposed] = [rest for word, rest in dockerfile if word == "EXPOSE"]
    assert list(map(int, exposed.split())) == list(ports.values())


def test_the_image_starts_and_probes_the_server(dockerfile: list[tuple[str, str]]) -> None:
    [start] = [rest for word, rest in dockerfile if word == "ENTRYPOINT"]
    [health] = [rest for word, rest in dockerfile if word == "HEALTHCHECK"]
    assert json.loads(start) == ["python", "-P", "-m", "server"]
    assert json.loads(health.partition("CMD ")[2]) == ["python", "-P", "-m", "server", "health"]


def test_every_package_is_in_the_image_and_nothing_that_is_not_there(
    dockerfile: list[tuple[str, str]],
) -> None:
    [build, final] = [line for line, (word, _) in enumerate(dockerfile) if word == "FROM"]
    copied = {
        source
        for word, rest in dockerfile[build:final]
        if word == "COPY"
        for source in rest.split()[:-1]
    }
    assert [source for source in copied if not (ROOT / source).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {package.split("/")[0] for package in packages} <= copied
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in sent if line.startswith("!")} == copied


def test_the_image_has_the_packages_that_send_traces(dockerfile: list[tuple[str, str]]) -> None:
    installed = {
        file
        for word, rest in dockerfile
        if word == "RUN" and "install" in rest
        for file in re.findall(r"--require-hashes -r (\S+)", rest)
    }
    pinned = {
        name
        for file in installed
        for name in re.findall(r"^([\w-]+)==", (ROOT / file).read_text(), re.MULTILINE)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["otel"]]
    assert {re.split("[^\\w-]", requirement.lower())[0] for requirement in required} <= pinned
    assert {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-grpc"} <= pinned


def test_images_and_packages_come_from_where_the_operator_says(
    dockerfile: list[tuple[str, str]], container: dict[str, Any]
) -> None:
    images = [rest.split()[0] for word, rest in dockerfile if word == "FROM"]
    for image in (*images, container["image"]):
        assert re.fullmatch(r"[\w-]+:[\w.-]+", image)  # without a registry host
    assert not re.search("--index-url|--extra-index-url|https?://", str(dockerfile))


# ---- metrics


@pytest.fixture
def exported(tiny_bundle: Path, tmp_path: Path) -> set[str]:
    """The names of all samples that a server can export."""
    metrics, pool = Metrics(), WorkerPool(1)
    engine_handle = EngineHandle(Engine.load(tiny_bundle))
    live = LiveCatalogue(engine_handle, WriteLog.open(tmp_path), tmp_path / "bundles", LiveConfig())
    feedback = Feedback.open(tmp_path)
    metrics.watch_state(pool, lambda: engine_handle.engine, lambda: live, lambda: feedback)
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    names = {
        family.name + suffix
        for family in metrics.registry.collect()
        for suffix in suffixes.get(family.type, ("",))
    }
    live.close()
    feedback.close()
    pool.close()
    return names


def dashboard() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((DEPLOY / "grafana" / "shortlist.json").read_text())
    return parsed


def test_the_dashboard_shows_metrics_that_the_server_exports(exported: set[str]) -> None:
    expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    expressions += [
        variable["query"]["query"]
        for variable in dashboard()["templating"]["list"]
        if variable["type"] == "query"
    ]
    named = {
        name
        for expression in expressions
        for name in re.findall(r"\b(?:shortlist|process|python)_\w+|\w+(?=\{)", expression)
    }
    assert named - exported == set()
    # The dashboard shows at least these metrics.
    assert named >= {
        "shortlist_calls_total",
        "shortlist_call_seconds_bucket",
        "shortlist_stage_seconds_bucket",
        "shortlist_queue_jobs",
        "shortlist_batch_rows_sum",
        "shortlist_cache_hits_total",
        "shortlist_recalled_items_bucket",
        "shortlist_reranked_items_bucket",
        "shortlist_degradations_total",
        "shortlist_bundle_info",
        "shortlist_bundle_created_timestamp_seconds",
        "shortlist_freshness_seconds",
        "shortlist_pending_items",
        "shortlist_oldest_pending_seconds",
        "shortlist_failed_compactions_total",
        "shortlist_changed_rows",
        "shortlist_compactions_total",
        "shortlist_index_recall",
        "shortlist_events_total",
        "shortlist_event_log_bytes",
    }


def test_the_dashboard_s_panels_are_apart_and_have_numbers_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel["targets"]:
            assert target["expr"].count("(") == target["expr"].count(")")


def test_the_docs_name_the_metrics_that_there_are(exported: set[str]) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    documented = set(re.findall(r"`(shortlist_\w+)", text))
    ours = {
        re.sub("_(bucket|sum|count)$", "", name)
        for name in exported
        if name.startswith("shortlist_")
    }
    assert documented == ours
