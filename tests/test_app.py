"""The daemon put together: what it says of itself when one of its parts has ended."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tunesmith import config
from tunesmith.app import Daemon
from tunesmith.errors import Invalid
from tunesmith.storage.secrets.signing_keys import SigningKeys
from tunesmith.storage.secrets.tokens import TokenFile

ANY_PORT = "tcp://127.0.0.1:0"


def ask(address: str) -> tuple[int, dict[str, Any]]:
    """Status and body of GET /health."""
    try:
        with urllib.request.urlopen(f"http://{address}/health", timeout=20) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


async def end(name: str) -> None:
    """End the asyncio task of that name, as a fault would."""
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == name)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("secret", ["signing", "tokens"])
def test_a_secret_that_others_may_read_is_said_before_anything_is_begun(tmp_path: Path, secret: str) -> None:
    keys = SigningKeys(tmp_path / "keys" / "signing")
    keys.new()
    TokenFile(tmp_path / "keys" / "tokens.json").new("desk", "operator")
    [file] = (tmp_path / "keys").glob("signing/*.secret" if secret == "signing" else "tokens.json")
    file.chmod(0o640)
    with pytest.raises(Invalid, match=f"{file.name} holds a secret.*mode 0640.*chmod 600"):
        asyncio.run(Daemon(config.Settings(server=config.Server(data_dir=str(tmp_path)))).start())
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_a_daemon_that_cannot_read_its_signing_keys_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / "signing").write_text("no folder")
    doors = [f"--{door}={ANY_PORT}" for door in ("requests", "events", "inbox")]
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith.app", "--data-dir", str(tmp_path), *doors, "--http="],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 2, "wrong settings, as the README says"
    assert "cannot read the signing keys in" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_a_part_that_has_ended_is_reported(tmp_path: Path) -> None:
    server = config.Server(
        data_dir=str(tmp_path), requests=ANY_PORT, events=ANY_PORT, inbox=ANY_PORT, http="127.0.0.1:0"
    )
    settings = config.Settings(server=server, workers=config.Workers(count=1))

    async def main() -> None:
        daemon = Daemon(settings)
        doors = await daemon.start()
        try:
            address = str(doors["http"])
            async with asyncio.timeout(60):
                while (await asyncio.to_thread(ask, address))[0] != 200:
                    await asyncio.sleep(0.05)
            await end("publisher")
            status, body = await asyncio.to_thread(ask, address)
            assert (status, "the publisher has ended" in json.dumps(body)) == (503, True)
            await end("housekeeping")
            daemon._events.stop()
            _, body = await asyncio.to_thread(ask, address)
            assert "the housekeeping has ended" in json.dumps(body)
            assert "the events door has ended" in json.dumps(body)
        finally:
            await daemon.stop()

    asyncio.run(main())
