"""The manifests of deploy/kubernetes: valid for Kubernetes, their settings too, ports and volumes
agree, and no more is allowed than needed.

The patch of the sidecar is laid over the example as `kubectl kustomize` does it; that program is
tried by hand.
"""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from proxy.settings.addresses import parse_address
from proxy.settings.load import load
from proxy.settings.model import Settings
from proxy.supervisor.supervisor import COLLECTOR_STOP_S, KILL_AFTER_S
from tests.support import kubernetes
from tests.support.sidelog import ROOT

FOLDER: Final = ROOT / "deploy" / "kubernetes"
LONGEST_STOP_S: Final = Settings().proxy.limits.drain_timeout_s + KILL_AFTER_S + COLLECTOR_STOP_S
"""What an orderly stop may take with default settings, seconds."""
MIB: Final = 1 << 20
PROCESSES_BYTES: Final = (60 + 120) * MIB
"""Of one worker and the collector."""


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def pod(name: str) -> dict[str, Any]:
    """Return the pod of one of the two ways to run sidelog: the sidecar's patch, or the gateway."""
    template: dict[str, Any] = documents(FOLDER / name)[0]["spec"]["template"]
    return template


def container(name: str) -> dict[str, Any]:
    """Return sidelog's container."""
    spec = pod(name)["spec"]
    (found,) = spec.get("initContainers", spec.get("containers", []))
    assert isinstance(found, dict)
    return found


def environment(name: str) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container(name)["env"]}


def settings(name: str) -> Settings:
    """Load the settings the way the container does."""
    file = (
        FOLDER / name.replace("sidelog.yaml", "sidelog.toml")
        if name.startswith("gateway")
        else None
    )
    return load({}, environment(name), file)


WAYS: Final = ("sidecar/sidecar.yaml", "gateway/sidelog.yaml")
each_way = pytest.mark.parametrize("name", WAYS)


@each_way
def test_ports_are_those_of_the_settings(name: str) -> None:
    """Each port that is declared is listened on by all addresses; the admin port stays in the pod."""
    found = settings(name)
    listens = {
        "proxy": found.proxy.listen,
        "health": found.admin.health_listen,
        "metrics": found.admin.metrics_listen,
    }
    declared = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
    assert {key: parse_address(address) for key, address in listens.items()} == {
        key: ("0.0.0.0", port) for key, port in declared.items()
    }
    assert parse_address(found.admin.listen)[0] == "127.0.0.1"
    assert "10.0.0.0/8" in found.proxy.trusted_proxies


@each_way
def test_the_supervisor_is_probed(name: str) -> None:
    """On open paths; a collector that restarts is no reason to kill or to take away the pod."""
    probes = {
        key: value["httpGet"] for key, value in container(name).items() if key.endswith("Probe")
    }
    assert {key: (get["path"], get["port"]) for key, get in probes.items()} == {
        "startupProbe": ("/readyz", "health"),
        "readinessProbe": ("/readyz", "health"),
        "livenessProbe": ("/healthz", "health"),
    }


@each_way
def test_shared_memory_holds_the_rings_of_a_reload(name: str) -> None:
    """Rings of old and new workers, with their tables, fit into the volume, and that with processes
    into the limit.
    """
    found = settings(name)
    (volume,) = (each for each in pod(name)["spec"]["volumes"] if each["name"] == "sidelog-ring")
    assert volume["emptyDir"]["medium"] == "Memory"
    size = _bytes(volume["emptyDir"]["sizeLimit"])
    assert size >= 2 * found.proxy.workers * (found.ring.bytes + 4 * MIB)
    assert _bytes(container(name)["resources"]["limits"]["memory"]) >= size + PROCESSES_BYTES


@each_way
def test_data_lies_on_its_volume(name: str) -> None:
    """Store and spool fit, and sidelog makes the directory itself."""
    found = settings(name)
    mounts = {mount["mountPath"]: mount["name"] for mount in container(name)["volumeMounts"]}
    assert mounts["/dev/shm"] == "sidelog-ring"
    assert (mounts["/var/lib/sidelog"], found.data_dir) == ("sidelog-data", "/var/lib/sidelog/data")
    volumes = {each["name"]: each for each in pod(name)["spec"]["volumes"]}
    claims = documents(FOLDER / name)[0]["spec"].get("volumeClaimTemplates", [])
    sizes = {
        claim["metadata"]["name"]: claim["spec"]["resources"]["requests"]["storage"]
        for claim in claims
    }
    size = sizes.get("sidelog-data") or volumes["sidelog-data"]["emptyDir"]["sizeLimit"]
    assert _bytes(size) >= found.retention.max_bytes * 1.1 + found.spool.max_bytes
    assert set(mounts.values()) == volumes.keys() | sizes.keys()
    # It is on the node's disk, and a pod that takes more of it than it requests is evicted first.
    if not sizes:
        assert container(name)["resources"]["requests"]["ephemeral-storage"] == size


@each_way
def test_it_may_do_nothing_that_it_does_not_need(name: str) -> None:
    """The restricted Pod Security Standard, with a root file system that is read only."""
    assert container(name)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_a_gateway_accepts_until_the_nodes_know_that_it_ends() -> None:
    """A sidecar is stopped after its service, which waits itself."""
    assert [settings(name).proxy.limits.drain_delay_s for name in WAYS] == [0, 5]


@each_way
def test_nobody_kills_it_while_it_drains(name: str) -> None:
    assert pod(name)["spec"]["terminationGracePeriodSeconds"] > LONGEST_STOP_S


@pytest.mark.parametrize("file", ["gateway/sidelog.yaml", "viewer/viewer.yaml"])
def test_kubernetes_knows_every_field(file: str) -> None:
    """In every version that has native sidecars."""
    assert len(kubernetes.versions()) >= 5
    for document in documents(FOLDER / file):
        kubernetes.check(document)


def test_the_viewer_shows_a_shared_store_to_who_has_a_token() -> None:
    """Its settings are valid, its token lasts, and it may do no more than the others."""
    name = "viewer/viewer.yaml"
    given = {
        each["name"]: each.get(
            "value",
            {"storage-url": "postgresql://db/s"}.get(_key(each), "a-token-of-some-length-0001"),
        )
        for each in container(name)["env"]
    }
    found = load({"proxy.data_port": "false"}, given, None)
    assert container(name)["args"] == ["serve", "--no-data-port"]
    assert (found.admin.auth, [token.role for token in found.tokens]) == ("token", ["reader"])
    declared = {
        port["name"]: f"0.0.0.0:{port['containerPort']}" for port in container(name)["ports"]
    }
    assert declared == {"admin": found.admin.listen, "health": found.admin.health_listen}
    assert (
        container(name)["securityContext"] == container("gateway/sidelog.yaml")["securityContext"]
    )
    assert pod(name)["metadata"]["labels"] != pod("gateway/sidelog.yaml")["metadata"]["labels"]


def _key(variable: dict[str, Any]) -> str:
    key: str = variable["valueFrom"]["secretKeyRef"]["key"] if "valueFrom" in variable else ""
    return key


def test_kubernetes_knows_every_field_of_a_pod_with_the_sidecar() -> None:
    """The example's Deployment with what the patch adds; the two have no list in common."""
    app, service = documents(FOLDER / "example" / "app.yaml")
    patch = pod("sidecar/sidecar.yaml")
    pod_spec = app["spec"]["template"]["spec"]
    assert pod_spec.keys() & patch["spec"].keys() == set()
    app["spec"]["template"]["spec"] = pod_spec | patch["spec"]
    app["spec"]["template"]["metadata"]["labels"] |= patch["metadata"]["labels"]
    service["spec"]["ports"][0]["targetPort"] = target_port()
    kubernetes.check(service)
    # `sleep` of a hook came with 1.30; the example says what to write before.
    kubernetes.check(app, oldest_minor=30)
    app["spec"]["template"]["spec"]["containers"][0].pop("lifecycle")
    kubernetes.check(app)


def target_port() -> object:
    """Return what the component makes of the first port of a Service."""
    (made,) = documents(FOLDER / "sidecar" / "kustomization.yaml")
    (patch,) = (each for each in made["patches"] if each["target"]["kind"] == "Service")
    (operation,) = yaml.safe_load(patch["patch"])
    assert (operation["op"], operation["path"]) == ("add", "/spec/ports/0/targetPort")
    return operation["value"]


def test_the_service_finds_the_sidecar_in_every_version() -> None:
    """By number: names of ports of native sidecars are found from 1.32 on, and the component is for
    1.29 and newer.
    """
    ports = {
        port["name"]: port["containerPort"] for port in container("sidecar/sidecar.yaml")["ports"]
    }
    assert target_port() == ports["proxy"]


def test_an_unknown_field_is_found() -> None:
    """The judge of these tests is strict."""
    (gateway, _) = documents(FOLDER / "gateway" / "sidelog.yaml")
    gateway["spec"]["template"]["spec"]["containers"][0]["readinessProb"] = {}
    with pytest.raises(kubernetes.Invalid):
        kubernetes.check(gateway)


def test_files_stay_private_on_a_volume() -> None:
    """Kubernetes lets the group into a volume when it is first mounted, and leaves what sidelog
    makes there alone.
    """
    assert pod("gateway/sidelog.yaml")["spec"]["securityContext"] == {
        "fsGroup": 10001,
        "fsGroupChangePolicy": "OnRootMismatch",
    }


def test_the_sidecar_is_native() -> None:
    """An init container that restarts: it begins before the service, and ends after it."""
    assert container("sidecar/sidecar.yaml")["restartPolicy"] == "Always"
    assert "containers" not in pod("sidecar/sidecar.yaml")["spec"]


def test_kustomizations_name_what_exists() -> None:
    """Files and folders; a patch that finds no label would change nothing, and say nothing."""
    for path in FOLDER.glob("*/kustomization.yaml"):
        (made,) = documents(path)
        files = [*made.get("resources", []), *made.get("components", [])]
        files += [patch["path"] for patch in made.get("patches", []) if "path" in patch]
        files += [file for each in made.get("configMapGenerator", []) for file in each["files"]]
        assert files
        assert [file for file in files if not (path.parent / file).exists()] == []

    (sidecar,) = documents(FOLDER / "sidecar" / "kustomization.yaml")
    for patch in sidecar["patches"]:
        (target,) = (
            each
            for each in documents(FOLDER / "example" / "app.yaml")
            if each["kind"] == patch["target"]["kind"]
        )
        key, _, value = patch["target"]["labelSelector"].partition("=")
        assert target["metadata"]["labels"][key] == value


def test_every_pod_is_scraped() -> None:
    """The monitor selects both, by their labels, and asks the port that has nothing but metrics."""
    (monitor,) = documents(FOLDER / "monitoring" / "podmonitor.yaml")
    (selected,) = monitor["spec"]["selector"]["matchExpressions"]
    assert {pod(name)["metadata"]["labels"][selected["key"]] for name in WAYS} == set(
        selected["values"]
    )
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert all(
        endpoint["port"] in {port["name"] for port in container(name)["ports"]} for name in WAYS
    )


def _bytes(quantity: str) -> int:
    """Return a quantity of Kubernetes in bytes."""
    return int(quantity[:-2]) * {"Mi": MIB, "Gi": 1 << 30}[quantity[-2:]]
