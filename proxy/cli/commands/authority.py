"""The authority of a data directory, for commands: opened, and what makes programs trust it.

`cryptography` is imported here, when it is asked for.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.cli.commands.output import CommandError, failing
from proxy.egress.trust import proxy_variables, trust_variables, user_files
from proxy.process.data_dir import AUTHORITY_DIRECTORY, EGRESS_URL_NAME, read_state

if TYPE_CHECKING:
    from proxy.egress.authority import Authority


def authority_of(data_dir: Path, *, is_new: bool = False) -> "Authority":
    """Return the authority of a data directory, made where there is none, or in its place.

    Raises:
        CommandError: it cannot be used, or the directory does not exist.
    """
    directory = _directory_in(data_dir)
    with _errors_named():
        from proxy.egress.authority import open_authority, rotate

        if is_new:
            return rotate(directory)
        return open_authority(directory)


def proxy_of(data_dir: Path) -> str:
    """Return the URL of the port of outgoing calls on this machine; "" where the last start had
    none.
    """
    return str(read_state(data_dir).get(EGRESS_URL_NAME, ""))


def variables_for(data_dir: Path, proxy: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make a program use the port of outgoing calls, if its URL is given,
    and trust the authority in addition to those that it trusts so far.

    Raises:
        CommandError: the authority cannot be used, a file that `environ` names has no certificates,
            or the directory does not exist.
    """
    directory = _directory_in(data_dir)
    with _errors_named():
        from proxy.egress.authority import write_bundle

        write_bundle(directory, *user_files(environ))
    variables = trust_variables(directory, environ)
    return variables | (proxy_variables(proxy, environ) if proxy else {})


def _directory_in(data_dir: Path) -> Path:
    if not data_dir.is_dir():
        raise CommandError(f"no sidelog has run in {data_dir} yet; pass --data-dir")
    return data_dir.absolute() / AUTHORITY_DIRECTORY


@contextmanager
def _errors_named() -> Iterator[None]:
    try:
        from proxy.egress.authority import AuthorityError
    except ImportError as error:
        text = f"certificates need a library: pip install 'sidelog[egress]' ({error})"
        raise CommandError(text) from error

    with failing("", AuthorityError):
        yield
