"""What deploy/ says about sidelog is true: settings exist and are valid, flags exist, ports and
directories agree.
"""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from proxy.settings.addresses import parse_address
from proxy.settings.load import load
from proxy.settings.model import Settings
from proxy.settings.sources import ENV_PREFIX, leaves
from proxy.supervisor.supervisor import COLLECTOR_STOP_S, KILL_AFTER_S
from tests.support.cases import each_of
from tests.support.commands import command_of
from tests.support.programs import PROGRAM_S, find

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
KUBERNETES = tuple(sorted((ROOT / "deploy" / "kubernetes").glob("*/*.yaml")))
CHART = tuple(sorted((ROOT / "deploy" / "helm" / "sidelog").glob("*/*.*")))
UNIT = ROOT / "deploy" / "systemd" / "sidelog.service"
SOCKET = ROOT / "deploy" / "systemd" / "sidelog.socket"
COMPOSE = ROOT / "deploy" / "compose.yaml"
FILES = (DOCKERFILE, *KUBERNETES, *CHART, UNIT, COMPOSE)

OF_COMMANDS = {"SIDELOG_CONFIG", "SIDELOG_URL", "SIDELOG_TOKEN", "SIDELOG_COMPILE"}
"""Variables of the command line and of `setup.py` that are no settings."""


LONGEST_STOP_S = Settings().proxy.limits.drain_timeout_s + KILL_AFTER_S + COLLECTOR_STOP_S
"""What an orderly stop may take with default settings, seconds."""


def docker_instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions in order, continued lines joined."""
    lines = [
        line for line in DOCKERFILE.read_text().splitlines() if line and not line.startswith("#")
    ]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (name, rest.strip())
        for name, _, rest in (line.partition(" ") for line in joined.splitlines())
    ]


def last(name: str) -> str:
    """Return the argument of the last instruction of a name, which is the one in effect."""
    return [rest for instruction, rest in docker_instructions() if instruction == name][-1]


def unit_settings(name: str) -> list[str]:
    """Return every value of a key of the systemd unit."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def settings_of(environment: dict[str, str]) -> Settings:
    """Load settings from an environment alone."""
    return load({}, environment, None)


@each_of("path", FILES)
def test_every_variable_is_a_setting(path: Path) -> None:
    """A name that sidelog does not know would be ignored, or refused at start."""
    known = {ENV_PREFIX + name.upper().replace(".", "__") for name, _ in leaves()} | OF_COMMANDS
    used = set(re.findall(r"\bSIDELOG_[A-Z_0-9]+\b", path.read_text()))
    assert used <= known
    assert used or path == UNIT or path in KUBERNETES or path in CHART


@each_of("path", FILES)
def test_every_command_of_sidelog_exists_with_its_flags(path: Path) -> None:
    """Commands in the files and in their comments can be run as they stand."""
    calls = re.findall(
        r"(?:bin/|exec CONTAINER |-- )sidelog ((?:[a-z]+ ?)+)((?: ?--[a-z-]+ \S+)*)",
        path.read_text(),
    )
    assert calls or path != UNIT

    for words, flags in calls:
        params = command_of(*words.split()).params
        options = {option for parameter in params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", flags)) <= options


def test_grace_periods_are_longer_than_a_stop() -> None:
    """Nobody kills sidelog while it still drains."""
    assert f"docker stop --time {LONGEST_STOP_S + 10:.0f}." in DOCKERFILE.read_text()


def test_yaml_is_indented_by_two_blanks() -> None:
    """No tab, no odd indentation: the cheapest mistakes of YAML."""
    for number, line in enumerate(
        "".join(path.read_text() for path in (*KUBERNETES, COMPOSE)).splitlines(), 1
    ):
        assert "\t" not in line, number
        assert (len(line) - len(line.lstrip(" "))) % 2 == 0, number


def test_the_images_settings_are_valid() -> None:
    """With an upstream the image's environment is complete, and its ports are those it exposes."""
    environment = dict(re.findall(r"(SIDELOG_\w+)=(\S+)", last("ENV")))
    settings = settings_of({**environment, "SIDELOG_PROXY__UPSTREAM": "http://app:3000"})
    ports = [
        parse_address(address)[1] for address in (settings.proxy.listen, settings.admin.listen)
    ]
    assert last("EXPOSE").split() == [str(port) for port in ports]
    assert f'["{settings.data_dir}"]' == last("VOLUME")


def test_the_image_runs_unprivileged_and_gets_signals() -> None:
    """A number as user, so that Kubernetes can see it is not root; exec form, so that SIGTERM
    reaches sidelog.
    """
    names = [name for name, _ in docker_instructions()]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last("USER"))
    assert (
        max(i for i, name in enumerate(names) if name == "RUN")
        < names.index("USER")
        < names.index("ENTRYPOINT")
    )
    for name in ("ENTRYPOINT", "CMD"):
        assert re.fullmatch(r'\["[^"]+"\]', last(name))
    assert last("HEALTHCHECK").endswith('CMD ["sidelog", "health"]')


def test_the_image_installs_what_is_locked_by_hash() -> None:
    """What it runs and is compiled with, from locks, with hashes; every package of the product is
    copied.
    """
    installs = [
        rest for name, rest in docker_instructions() if name == "RUN" and "pip install" in rest
    ]
    assert [rest.rpartition("/")[2] for rest in installs] == ["run.lock", "build.lock"]
    assert all("--require-hashes" in rest for rest in installs)
    copies = [
        rest.split()
        for name, rest in docker_instructions()
        if name == "COPY" and "--from" not in rest
    ]
    copied = {source for words in copies for source in words[:-1]}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]["find"]["include"]
    assert {package.removesuffix("*") for package in packages} <= copied
    assert all((ROOT / source).exists() for source in copied)
    admitted = {
        line[1:]
        for line in (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
        if line[0] == "!"
    }
    assert admitted == copied


def test_the_image_is_compiled_and_leaves_the_compiler_behind() -> None:
    """The first stage checks what it has built; the last one installs nothing, and takes the
    virtual environment.
    """
    instructions = docker_instructions()
    last_stage = max(number for number, (name, _) in enumerate(instructions) if name == "FROM")
    first = " ".join(rest for _, rest in instructions[:last_stage])
    final = [rest for _, rest in instructions[last_stage:]]
    assert "SIDELOG_COMPILE=1" in first
    assert "sidelog version | grep -F '(compiled)'" in first
    assert not any("install --yes" in rest or "pip" in rest for rest in final)
    assert [rest for rest in final if rest.startswith("--from")] == [
        "--from=build /opt/sidelog /opt/sidelog"
    ]


def test_what_compiles_the_image_is_what_compiles_in_tests() -> None:
    """The same mypyc: another version may get another form wrong."""
    build, dev = (
        set(re.findall(r"^[a-z][\w.-]*==\S+", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements/build.lock", "requirements/dev.lock")
    )
    assert {"mypy", "setuptools"} <= {pin.partition("==")[0] for pin in build}
    assert build - dev == set()


def test_the_unit_stops_in_order_and_keeps_the_ring() -> None:
    """The supervisor alone gets SIGTERM and time to drain, and systemd leaves shared memory alone."""
    assert (unit_settings("Type"), unit_settings("NotifyAccess")) == (["notify"], ["main"])
    assert unit_settings("KillMode") == ["mixed"]
    assert int(unit_settings("TimeoutStopSec")[0]) > LONGEST_STOP_S
    assert unit_settings("RemoveIPC") == ["no"]
    assert unit_settings("RestartPreventExitStatus") == ["2"]


def test_the_unit_never_gives_up() -> None:
    """A start that fails may do so within a second, and systemd would leave it at the fifth."""
    assert (unit_settings("Restart"), unit_settings("StartLimitIntervalSec")) == (["always"], ["0"])


def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    """Both units are valid, and what the service may do is little: an exposure of 2.0 at most, of
    10.
    """
    systemd_analyze = shutil.which("systemd-analyze")
    if systemd_analyze is None:
        pytest.skip("systemd-analyze is not installed")
    service = tmp_path / UNIT.name
    socket = tmp_path / SOCKET.name
    service.write_text(re.sub(r"/opt/sidelog/bin/sidelog", "/bin/true", UNIT.read_text()))
    socket.write_text(SOCKET.read_text())

    for arguments in (
        ("verify", service, socket),
        ("security", "--offline=true", "--threshold=20", service),
    ):
        run = subprocess.run(
            [systemd_analyze, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_S,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_the_socket_unit_listens_where_the_settings_do() -> None:
    """Data port first, then the admin port: sidelog tells them apart by their order."""
    settings = load({"proxy.upstream": "http://127.0.0.1:3000"}, {}, None)
    listens = re.findall(r"^ListenStream=(.*)$", SOCKET.read_text(), re.MULTILINE)
    assert listens == [settings.proxy.listen, settings.admin.listen]


def test_the_units_state_directory_is_the_data_directory() -> None:
    """systemd's variable is taken without being named in the unit."""
    directory = f"/var/lib/{unit_settings('StateDirectory')[0]}"
    settings = load(
        {"proxy.upstream": "http://127.0.0.1:3000"}, {"STATE_DIRECTORY": directory}, None
    )
    assert settings.data_dir == directory


def test_what_make_run_installs_is_what_tests_run_with() -> None:
    """With the price list and the Postgres driver; one environment serves both, so neither takes
    from the other.
    """
    run, dev = (
        set(re.findall(r"^[a-z][\w.-]*==\S+", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements/run.lock", "requirements/dev.lock")
    )
    assert {"genai-prices", "asyncpg"} <= {pin.partition("==")[0] for pin in run}
    assert run - dev == set()


def test_the_image_is_without_a_finding() -> None:
    """As hadolint reads its file."""
    hadolint = find(str(ROOT / ".venv-release/bin/hadolint"), "hadolint")
    done = subprocess.run(
        [hadolint, DOCKERFILE], cwd=ROOT, capture_output=True, text=True, timeout=PROGRAM_S
    )
    assert (done.returncode, done.stdout) == (0, "")
