"""The line from a command to the daemon: where it is, the client, and what to say when it refuses or is not there."""

from __future__ import annotations

import inspect
import json
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit

import typer

from tunesmith.cli import WrongSettings
from tunesmith.cli.range_text import WHAT_IS_A_RANGE
from tunesmith.client import Client
from tunesmith.client.sockets import ENVIRONMENT
from tunesmith.config import Explained, Settings, explain
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Busy, DeadlineExceeded, Draining, Invalid, NotFound, TunesmithError
from tunesmith.plain_text import escape_all, escape_json
from tunesmith.transport.access.bind_rules import is_loopback
from tunesmith.transport.access.client_keys import COMMAND_LINE, KeyStore

_DEADLINE_S = 15.0
_CONNECT_S = 2.0
_ANYWHERE = {"*", "0.0.0.0", "::", "[::]"}  # noqa: S104 - where a daemon binds; it is reached on loopback

Config = Annotated[Path | None, typer.Option("--config", help="TOML file with settings; also TUNESMITH_CONFIG.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of database and market data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Requests = Annotated[str | None, typer.Option("--requests", help="Address of the requests door.", metavar="ADDR")]
Events = Annotated[str | None, typer.Option("--events", help="Address of the events door.", metavar="ADDR")]

Key = Annotated[str | None, typer.Option("--key", help="Key file, where the daemon asks for one.", metavar="FILE")]

Label = Annotated[str | None, typer.Option(help="What to call the task, in its listings.", metavar="TEXT")]

_START = "Start one with `tunesmith serve`, or name its address with --requests. `tunesmith doctor` checks the rest."

_OPTIONS: JsonObject = {
    "requests": Requests,
    "events": Events,
    "data_dir": DataDir,
    "config": Config,
    "as_json": AsJson,
    "key": Key,
}

_NEXT = {
    "/data/symbol": "`tunesmith data list` shows what is there, `tunesmith data import` adds more.",
    "/data/timeframe": "`tunesmith data list` shows what is there.",
    "/data/venue": "Give --venue; `tunesmith data list` shows what is there.",
    "/data/strategy_id": "`tunesmith strategies list` shows what is there.",
    "/data/id": "`tunesmith strategies list` shows what is there.",
    "/data/task_id": "`tunesmith status` shows the newest tasks.",
    "/data/optimization_id": "`tunesmith status` shows the newest tasks.",
    "/data/verdict_id": "`tunesmith status` shows the newest tasks.",
    "/data/backtest_id": "`tunesmith status` shows the newest tasks.",
    "/data/warm_start": "`tunesmith status` shows the newest tasks.",
    "/data/session_id": "`tunesmith session list` shows what is there, `session generate` makes one.",
    "/data/symbols": "`tunesmith data list` shows what is there, `tunesmith data import` adds more.",
    "/data/strategies": "`tunesmith strategies list` shows what is there.",
    "/data/package_id": "`tunesmith packages list` shows what is there.",
}
"""What to do next about a field that names something which is not there."""


_LOOKS = {
    "symbol": "BTC/USDT",
    "symbols": "BTC/USDT",
    "timeframe": "5m, 1h or 1d",
    "venue": "binance",
    "version": "1.0: 1 to 20 of A-Z a-z 0-9 _ . -",
    "label": "1 to 64 printable characters",
}
"""What a field looks like whose form is fixed."""


_GIVEN_AS = {
    "param_ranges": "--range",
    "params": "--param",
    "costs/fee_rate": "--fee",
    "costs/slippage_rate": "--slippage",
    "costs/fixed_fee": "--fixed-fee",
    "max_iterations": "--iterations",
    "size": "--size",
    "symbols": "--symbol",
    "strategies": "--strategy",
    "optimization_target": "--target",
    "constraints": "--constraint",
    "conditions": "--condition",
    "options/stages": "--stages",
    "options": "--option",
    "stop": "--stop",
    "seed": "--seed",
}
"""The beginning of a field's path, and the option that people gave for it."""

_REPEATED = ("symbols", "strategies", "constraints", "conditions", "optimization_target")
_BOUND = re.compile(r"Expected `(?:float|int)` (<=|>=|<|>) (\S+)")
_INDEX = re.compile(r"/\d+$")
_TYPE = re.compile(r"Expected `(int|float|bool|str)(?: \| null)?`, got `\w+`")
_TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
_BOUNDS = {"<=": "at most", ">=": "at least", "<": "below", ">": "above"}


@dataclass(slots=True)
class Line:
    """A command's way to the daemon. `as_json`: print JSON and nothing else on standard output."""

    requests: str
    events: str
    as_json: bool
    key: str = ""
    trusted: Path | None = None
    """The file of the public keys that packages must be signed with; None: the one that the environment names."""
    _client: Client | None = None

    @property
    def client(self) -> Client:
        """The client; raises `DeadlineExceeded` at once where nobody listens."""
        if self._client is None:
            _knock(self.requests)
            self._client = Client(
                self.requests, self.events, name="cli", deadline_s=_DEADLINE_S, trusted=self.trusted, key=self.key
            )
        return self._client

    def ask(self, message_type: str, data: JsonObject | None = None, deadline_s: float | None = None) -> Any:
        """The reply's data, its texts escaped unless it is to be JSON; a refusal says what to do next."""
        given = {name: value for name, value in (data or {}).items() if value is not None}
        try:
            reply = self.client.request(message_type, given, deadline_s=deadline_s)
            return reply if self.as_json else escape_all(reply)
        except DeadlineExceeded as error:
            if self._client is None:
                raise
            raise DeadlineExceeded(f"{error.message}\n{_START}") from error
        except TunesmithError as error:
            raise type(error)(_advice(error), errors=error.errors) from error

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def show(self, value: Any, show: Callable[[Any], None]) -> None:
        """Print a reply: with --json as it is, else as `show` does."""
        (self.print_json if self.as_json else show)(value)

    def print_json(self, value: Any) -> None:
        """One JSON document on standard output."""
        typer.echo(escape_json(json.dumps(value, indent=2, ensure_ascii=False)))


class OptionGroup:
    """Base of a dataclass whose fields are options: a command that has it as one parameter has these options."""


def talks(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose first parameter is a `Line`: it gets the options that say where the daemon is, and --json."""
    own = _options_of(function)[1:]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=name != "as_json" and None, annotation=hint)
        for name, hint in _OPTIONS.items()
    ]

    def _command(**given: Any) -> None:
        line = open_line(*(given.pop(name) for name in _OPTIONS))
        try:
            function(line, **_grouped(own, given))
        finally:
            line.close()

    parameters = [*_one_by_one(own), *added]
    _command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    _command.__annotations__ = {p.name: p.annotation for p in parameters}
    _command.__name__, _command.__doc__ = function.__name__, function.__doc__
    return _command


def _options_of(called: Callable[..., Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(called, include_extras=True)
    parameters = inspect.signature(called).parameters.values()
    return [p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]


def _is_group(option: inspect.Parameter) -> bool:
    return isinstance(option.annotation, type) and issubclass(option.annotation, OptionGroup)


def _one_by_one(options: Iterable[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    """The options, each group's in its place."""
    for option in options:
        if _is_group(option):
            yield from _one_by_one(_options_of(option.annotation))
        else:
            yield option


def _grouped(options: Iterable[inspect.Parameter], given: JsonObject) -> JsonObject:
    """What was given for each option, those of a group as that group."""
    return {
        option.name: option.annotation(**_grouped(_options_of(option.annotation), given))
        if _is_group(option)
        else given[option.name]
        for option in options
    }


def open_line(
    requests: str | None,
    events: str | None,
    data_dir: Path | None,
    config: Path | None,
    as_json: bool,
    key: str | None = None,
) -> Line:
    """The line to the daemon: options first, then settings, then the doors of the daemon on the data directory."""
    explained = settings_in_force(config, data_dir, requests, events)
    doors = running_doors(explained.settings.data_dir)
    addresses = _address("requests", explained, doors), _address("events", explained, doors)
    return Line(*addresses, as_json, key_file(explained.settings, addresses[0], doors, key))


def key_file(settings: Settings, address: str, doors: JsonObject, given: str | None = None) -> str:
    """The key file to come in with: the one `given`, TUNESMITH_KEY's, or this machine's own; empty for none."""
    if given is not None:
        return given
    if os.environ.get(ENVIRONMENT):
        return os.environ[ENVIRONMENT]
    own = KeyStore(settings.keys_dir).issued(COMMAND_LINE)
    here = urlsplit(address).scheme != "tcp" or is_loopback(urlsplit(address).hostname or "")
    asked = doors.get("curve", settings.security.curve != "off")
    return str(own) if here and asked and own.exists() else ""


def settings_in_force(
    config: Path | None, data_dir: Path | None, requests: str | None = None, events: str | None = None
) -> Explained:
    """The settings, with these options on top; raises `WrongSettings`."""
    folder = None if data_dir is None else str(data_dir)
    options = {"server.data_dir": folder, "server.requests": requests, "server.events": events}
    try:
        return explain(config, overrides=options)
    except Invalid as error:
        raise WrongSettings(error.message) from error


def running_doors(data_dir: Path) -> JsonObject:
    """What the daemon on a data directory wrote down (pid and addresses); empty where none runs."""
    try:
        doors: JsonObject = json.loads((data_dir / "doors.json").read_text())
        os.kill(int(doors["pid"]), 0)
    except PermissionError:  # it runs, as another user
        return doors
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return doors


def _address(door: str, explained: Explained, doors: JsonObject) -> str:
    address: str = getattr(explained.settings.server, door)
    if doors.get(door) and (f"server.{door}" not in explained.sources or address.endswith(":0")):
        address = doors[door]
    return reachable(address)


def reachable(address: str) -> str:
    """Where a daemon is reached from its own machine that listens at `address`."""
    head, _, tail = address.rpartition("//")
    host, _, port = tail.rpartition(":")
    return f"{head}//127.0.0.1:{port}" if host in _ANYWHERE else address


def _knock(address: str) -> None:
    """Find out at once that nobody listens; a door that opens may still not answer."""
    parts = urlsplit(address)
    if parts.scheme != "tcp" or not parts.hostname:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or 0), timeout=_CONNECT_S).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DeadlineExceeded(f"no daemon answers at {address}: {reason}\n{_START}") from None


def _advice(error: TunesmithError) -> str:
    path = error.path or ""
    field = path.removeprefix("/data/")
    message = error.message.removeprefix(f"{path}: ")
    if "matching regex" in message:
        message = f"it must look like {_LOOKS.get(_INDEX.sub('', field), 'a name: 1 to 64 of A-Z a-z 0-9 . _ : -')}"
    message = _BOUND.sub(lambda found: f"it must be {_BOUNDS[found[1]]} {found[2].removesuffix('.0')}", message)
    message = _TYPE.sub(lambda found: f"it must be {_TYPES[found[1]]}", message)
    if field.startswith("param_ranges/") and message.endswith("is not a number"):
        message = f"{message}\n{WHAT_IS_A_RANGE}"
    lines = [message]
    if path and len(error.errors) == 1:
        if "/" in field or error.message.startswith(path):
            lines = [f"{_as_given(field)}: {message}"]
    elif len(error.errors) > 1:
        lines = [f"{_as_given(e.path.removeprefix('/data/'))}: {e.message}" for e in error.errors]
    if isinstance(error, NotFound) or path == "/data/venue":
        about = path if path in _NEXT else _INDEX.sub("", path)
        lines += [_NEXT[about]] if about in _NEXT else []
    elif isinstance(error, Busy | Draining):
        lines += ["Try again in a moment."]
    return "\n".join(lines)


def _as_given(field: str) -> str:
    """A field's path in the words of the command line; what is repeated there has no number."""
    if _INDEX.sub("", field) in _REPEATED:
        field = _INDEX.sub("", field)
    for path, option in _GIVEN_AS.items():
        if field == path or field.startswith(f"{path}/"):
            field = option + field.removeprefix(path)
    return field.replace("/", " ")
