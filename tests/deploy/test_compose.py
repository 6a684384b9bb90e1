"""deploy/compose.yaml: settings, ports, files and databases agree; what it mounts is valid."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.dashboards.__main__ import FOLDER as DASHBOARDS
from proxy.settings.addresses import parse_address
from proxy.settings.load import load
from proxy.settings.model import Settings
from tests.deploy.test_deploy import DOCKERFILE, LONGEST_STOP_S
from tests.deploy.test_rules import FILES as RULES
from tests.support.commands import command_of
from tests.support.programs import find
from tests.support.sidelog import ROOT

FOLDER: Final = ROOT / "deploy"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
EXAMPLES: Final = re.findall(r"STORAGE=(\S+)", (FOLDER / "compose.yaml").read_text())
"""Stores that the comment shows."""


def settings(service: str, **given: str) -> Settings:
    """Load the settings of a service as its container does, with variables of the shell put in."""
    image = dict(re.findall(r"(SIDELOG_\w+)=(\S+)", DOCKERFILE.read_text()))
    environment = {
        name: re.sub(r"\$\{(\w+):-(.*)\}", lambda found: given.get(found[1], found[2]), value)
        for name, value in SERVICES[service]["environment"].items()
    }
    known = {name: value for name, value in image.items() if name != "SIDELOG_COMPILE"}
    extra = (
        {"proxy.data_port": "false"}
        if "--no-data-port" in SERVICES[service].get("command", ())
        else {}
    )
    return load(extra, known | environment, None)


def test_every_store_of_the_comment_is_a_service() -> None:
    """User, password and database are those it is made with; without a variable it is a file on the
    volume.
    """
    assert settings("sidelog").storage.url == "sqlite:///sidelog.db"
    assert {url.partition(":")[0] for url in EXAMPLES} == {"postgresql", "clickhouse"}
    for url in EXAMPLES:
        assert settings("sidelog", STORAGE=url).storage.url == url
        name, prefix = (
            ("postgres", "POSTGRES") if url.startswith("postgres") else ("clickhouse", "CLICKHOUSE")
        )
        made = SERVICES[name]["environment"]
        login = f"{made[f'{prefix}_USER']}:{made[f'{prefix}_PASSWORD']}"
        assert url.endswith(f"://{login}@{name}/{made[f'{prefix}_DB']}")
        assert SERVICES[name]["profiles"] == [name]
        assert "ports" not in SERVICES[name]

    assert settings("viewer").storage.url in EXAMPLES


def test_ports_are_those_of_the_settings() -> None:
    """Only the data port is open to other machines; Prometheus asks the port that has nothing but
    metrics.
    """
    found = settings("sidelog")
    data, admin = (
        parse_address(address)[1] for address in (found.proxy.listen, found.admin.listen)
    )
    assert SERVICES["sidelog"]["ports"] == [f"{data}:{data}", f"127.0.0.1:{admin}:{admin}"]
    assert SERVICES["viewer"]["ports"] == [
        f"127.0.0.1:8091:{parse_address(settings('viewer').admin.listen)[1]}"
    ]
    others = [
        port
        for name, service in SERVICES.items()
        if name != "sidelog"
        for port in service.get("ports", ())
    ]
    assert all(port.startswith("127.0.0.1:") for port in others)
    scraped = yaml.safe_load((FOLDER / "compose" / "prometheus.yml").read_text())["scrape_configs"]
    assert [each["static_configs"] for each in scraped] == [
        [{"targets": [f"sidelog:{parse_address(found.admin.metrics_listen)[1]}"]}]
    ]


def test_the_sample_is_what_sidelog_forwards_to() -> None:
    """By the names of the services: a container that shares the network of another is cut off when
    that restarts.
    """
    _, port = parse_address(SERVICES["demo"]["command"][-1])
    assert SERVICES["demo"]["command"] == ["--only-upstream", f"0.0.0.0:{port}"]
    found = settings("sidelog")
    assert found.routes[0].upstream == f"http://demo:{port}"
    url = f"http://sidelog:{parse_address(found.proxy.listen)[1]}"
    assert SERVICES["traffic"]["command"] == ["--only-traffic", url]
    assert [name for name, service in SERVICES.items() if "network_mode" in service] == []


def test_sidelog_may_do_nothing_that_it_does_not_need() -> None:
    """Nor may its viewer, which comes with each database that is shared."""
    for name in ("sidelog", "viewer"):
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert SERVICES["viewer"]["profiles"] == ["postgres", "clickhouse"]


def test_nobody_kills_it_while_it_drains() -> None:
    """Its containers get longer than an orderly stop takes, and shared memory for the rings of a
    reload.
    """
    for name in ("sidelog", "viewer"):
        assert SERVICES[name]["stop_grace_period"] == f"{LONGEST_STOP_S + 10:.0f}s"
    found = settings("sidelog")
    assert int(SERVICES["sidelog"]["shm_size"][:-1]) << 20 >= 2 * found.proxy.workers * (
        found.ring.bytes + (4 << 20)
    )


def test_it_may_do_little() -> None:
    assert (SERVICES["sidelog"]["read_only"], SERVICES["sidelog"]["cap_drop"]) == (True, ["ALL"])


def test_what_is_mounted_is_there() -> None:
    """Files by their path, volumes by their name; commands of sidelog exist."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    sources = {mount.partition(":")[0] for mount in mounts}
    files = {source for source in sources if source.startswith(".")}
    assert [source for source in files if not (FOLDER / source).exists()] == []
    assert sources - files == COMPOSE["volumes"].keys()
    assert DASHBOARDS.resolve() in {(FOLDER / source).resolve() for source in files}
    assert command_of(SERVICES["viewer"]["command"][0]).name == SERVICES["viewer"]["command"][0]


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    """With the rules where the container has them."""
    (tmp_path / "prometheus.yml").write_text((FOLDER / "compose" / "prometheus.yml").read_text())
    (tmp_path / "rules").symlink_to(RULES[0].parent)
    command = [find("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr
    assert "2 rule files found" in check.stdout


def test_grafana_finds_the_dashboards() -> None:
    """Where its provider looks is where they are mounted."""
    (provider,) = yaml.safe_load((FOLDER / "compose" / "dashboards.yaml").read_text())["providers"]
    assert f"./grafana:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
    (source,) = yaml.safe_load((FOLDER / "compose" / "datasource.yaml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
