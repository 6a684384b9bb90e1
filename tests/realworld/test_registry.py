"""Container images: skopeo against the registry that Docker publishes, direct and through sidelog."""

import contextlib
import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realworld.programs import run, serving, system_program
from tests.realworld.proxied import proxied
from tests.support.ports import free_port

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

LAYER_BYTES = (100, 24 << 20, 1 << 20)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@contextlib.contextmanager
def registry(home: Path) -> Iterator[str]:
    """Serve an empty registry whose images may be deleted."""
    home.mkdir()
    port = free_port()
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {
            "filesystem": {"rootdirectory": str(home / "root")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (home / "config.yml").write_text(json.dumps(settings))
    with serving([system_program("docker-registry"), "serve", "config.yml"], port, home) as url:
        yield url


class Image:
    """An image with layers of noise, in the layout of the OCI."""

    def __init__(self, directory: Path) -> None:
        """Write it; the same each time."""
        self._blobs = directory / "blobs/sha256"
        self._blobs.mkdir(parents=True)
        noise = random.Random(1)
        layers = []
        contents = []

        for size in LAYER_BYTES:
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as archive:
                member = tarfile.TarInfo(f"file-{size}")
                member.size = size
                archive.addfile(member, io.BytesIO(noise.randbytes(size)))

            contents.append(f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}")
            layers.append(self._blob(gzip.compress(packed.getvalue(), 1, mtime=0), LAYER))

        settings = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": contents},
        }
        config = self._blob(json.dumps(settings).encode(), CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        named = self._blob(json.dumps(manifest).encode(), MANIFEST)
        named["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
        (directory / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "manifests": [named]})
        )
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def _blob(self, content: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (self._blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def skopeo(cwd: Path, *arguments: str) -> str:
    """Run the client, which takes any image from anywhere."""
    return run([system_program("skopeo"), "--insecure-policy", *arguments], cwd)


def files(directory: Path) -> dict[str, bytes]:
    """Read all files of a folder."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def push_and_pull(url: str, directory: Path, image: Path) -> list[object]:
    """Push, push again, look, pull and delete an image; return what came of it."""
    directory.mkdir()
    place = url.replace("http:", "docker:") + "/team/app:1"
    for _ in range(2):
        skopeo(
            directory, "copy", "--quiet", "--dest-tls-verify=false", f"oci:{image}:latest", place
        )

    looked = json.loads(skopeo(directory, "inspect", "--tls-verify=false", place))
    skopeo(
        directory, "copy", "--quiet", "--src-tls-verify=false", place, f"dir:{directory / 'pulled'}"
    )
    skopeo(directory, "delete", "--tls-verify=false", place)
    with pytest.raises(AssertionError, match="manifest unknown"):
        skopeo(directory, "inspect", "--tls-verify=false", place)
    return [looked["Digest"], looked["Layers"], looked["RepoTags"], files(directory / "pulled")]


def test_push_and_pull(tmp_path: Path) -> None:
    """Images are the same, by way of uploads in chunks; each TLS handshake that skopeo tries first
    is refused.
    """
    image = tmp_path / "image"
    Image(image)
    with registry(tmp_path / "a") as url:
        direct = push_and_pull(url, tmp_path / "direct", image)
    with registry(tmp_path / "b") as url, proxied(tmp_path, url) as way:
        assert push_and_pull(way.url, tmp_path / "proxied", image) == direct
        handshakes = [record for record in way.records() if record["outcome"] == "rejected"]
        assert {record["error_type"] for record in handshakes} == {"tls_on_plain_port"}
        records = way.check_record(*[(None, None, 400)] * len(handshakes))

    assert {record["method"] for record in records} >= {
        "HEAD",
        "GET",
        "POST",
        "PATCH",
        "PUT",
        "DELETE",
    }
    assert sum(record["request_bytes"] for record in records) > sum(LAYER_BYTES)
