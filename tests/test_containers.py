"""The image, the compose file and the lock are held against the project."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from journeys.daemon import wait_until
from storage.redis_server import binary, free_port
from tunesmith import config
from tunesmith.storage.cache.redis_cache import RedisCache
from tunesmith.storage.redis_address import split

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
LOCKS = ("requirements.lock", "build.lock")


def locked(name: str) -> dict[str, str]:
    """Package → version; every one has its hashes."""
    text = (ROOT / "docker" / name).read_text()
    entries = re.findall(r"^([\w.-]+)==(\S+)((?: \\\n +--hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE)
    left = re.sub(r"^([\w.-]+)==(\S+)((?: \\\n +--hash=sha256:[0-9a-f]{64})+)$|^#.*$", "", text, flags=re.MULTILINE)
    assert left.strip() == "", f"lines that pin nothing: {left.strip()[:200]}"
    return {canonicalize_name(package): version for package, version, _ in entries}


def requirements(extra: str | None) -> list[Requirement]:
    """What an install with `extra` needs, its references to our own extras followed."""
    project = PROJECT["project"]
    lines = [*project["dependencies"], *(project["optional-dependencies"][extra] if extra else [])]
    found: list[Requirement] = []
    for requirement in map(Requirement, lines):
        if requirement.name == "tunesmith":
            found += [needed for name in requirement.extras for needed in requirements(name)]
        else:
            found.append(requirement)
    return found


def test_the_lock_has_what_the_daemon_needs_in_the_versions_that_it_needs() -> None:
    pinned = locked("requirements.lock")
    for requirement in requirements("service"):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in the lock"
        assert requirement.specifier.contains(version), f"{requirement} but the lock has {version}"
    build = locked("build.lock")
    for requirement in map(Requirement, PROJECT["build-system"]["requires"]):
        assert requirement.specifier.contains(build[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_host(name: str) -> None:
    text = (ROOT / "docker" / name).read_text()
    assert re.findall(r"https?://|^--?(?:i|index|extra|find|trusted)\S*", text, re.MULTILINE) == []


def test_the_image_runs_without_root_from_hashes_and_is_looked_after() -> None:
    stages = DOCKERFILE.split("\nFROM ")
    assert len(stages) == 3
    assert re.search(r"^USER 10001", stages[-1], re.MULTILINE)
    assert "HEALTHCHECK" in stages[-1]
    installs = [line for line in DOCKERFILE.splitlines() if re.search(r"pip (install|wheel)", line)]
    assert len(installs) == 4
    assert all("--no-deps" in line for line in installs)
    assert all("--require-hashes" in line for line in installs if "-r /locks/" in line)
    minor = re.findall(r"FROM python:(\d+)\.(\d+)-slim", DOCKERFILE)
    assert len(set(minor)) == 1
    assert "Python 3.12" in (ROOT / "docker" / "requirements.lock").read_text()
    assert minor[0] == ("3", "12")


def test_what_the_image_compiles_is_there_to_compile() -> None:
    [code] = re.findall(r'^RUN python -c "(.*)"$', DOCKERFILE, re.MULTILINE)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings_in_the_image_and_the_compose_file_exist() -> None:
    in_image = dict(re.findall(r"(TUNESMITH_[A-Z]+__[A-Z_]+)=(\S+)", DOCKERFILE))
    environ = {**in_image, **COMPOSE["services"]["daemon"]["environment"]}
    mounted = [text for text in COMPOSE["services"]["daemon"]["volumes"] if text.startswith("./configs/compose.toml:")]
    assert mounted == [f"./configs/compose.toml:{environ.pop('TUNESMITH_CONFIG')}:ro"]
    settings = config.load(ROOT / "configs" / "compose.toml", environ)
    assert settings.server.insecure_bind
    assert settings.server.data_dir == "/data"
    assert split(settings.cache.redis_url)[0] == "redis://redis:6379/0"
    doors = (settings.server.requests, settings.server.events, settings.server.inbox, settings.server.http)
    inside = {int(door.rpartition(":")[2]) for door in doors}
    assert inside == {int(port.rpartition(":")[2]) for port in COMPOSE["services"]["daemon"]["ports"]}
    assert inside == {int(port) for port in re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)[0].split()}


def test_ports_are_published_on_the_hosts_loopback_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_is_confined_and_comes_back(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]
    assert service["pids_limit"]
    if name != "redis":
        assert service["image"] == COMPOSE["services"]["daemon"]["image"]


def test_no_bot_reaches_redis() -> None:
    networks = {name: set(service["networks"]) for name, service in COMPOSE["services"].items()}
    assert networks["redis"] & networks["daemon"]
    assert not networks["redis"] & networks["bot"]
    mounts = [text for name in ("daemon", "bot") for text in COMPOSE["services"][name].get("volumes", [])]
    assert [text for text in mounts if text.startswith("redis-password:")] == ["redis-password:/run/redis:ro"]


def test_redis_makes_itself_a_password_that_the_daemon_reads(tmp_path: Path) -> None:
    port = free_port()
    *shell, script = COMPOSE["services"]["redis"]["command"]
    script = script.replace("$$", "$").replace("cd /data", f"cd {tmp_path}")
    script = script.replace("exec redis-server", f"exec {binary()} --port {port} --bind 127.0.0.1")
    asked = urlsplit(str(tomllib.loads((ROOT / "configs/compose.toml").read_text())["cache"]["redis_url"]))
    assert asked.query == "password_file=/run/redis/password"
    address = f"redis://127.0.0.1:{port}/0"

    async def kept(query: str) -> bytes | None:
        cache = RedisCache(address + query)
        try:
            await cache.set("a", b"value")
            return await cache.get("a")
        finally:
            await cache.close()

    def run() -> str:
        with subprocess.Popen([*shell, script], stdout=subprocess.DEVNULL) as server:
            try:
                wait_until(lambda: asyncio.run(kept(f"?password_file={tmp_path}/password")) == b"value", 30.0, str)
                assert asyncio.run(kept("")) is None
                assert asyncio.run(kept("?password_file=/nowhere")) is None
            finally:
                server.kill()
        return (tmp_path / "password").read_text()

    first = run()
    assert len(first.strip()) >= 24
    assert run() == first


def test_volumes_are_where_the_image_writes() -> None:
    volumes = re.search(r'VOLUME \["(.*)"\]', DOCKERFILE)
    assert volumes is not None
    mounted = {text.split(":")[1]: text.split(":")[0] for text in COMPOSE["services"]["daemon"]["volumes"]}
    for path in volumes[1].split('", "'):
        assert mounted[path] in COMPOSE["volumes"]
    for service in COMPOSE["services"].values():
        for text in service.get("volumes", []):
            if text.startswith("./"):
                assert (ROOT / text.split(":")[0]).is_file(), text


def test_the_context_has_what_the_image_copies() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(copied).split():
        assert any(Path(source).match(pattern) for pattern in allowed), source
        assert (ROOT / source).exists()
