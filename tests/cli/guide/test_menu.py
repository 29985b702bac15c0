"""`tunesmith` at a terminal: a newcomer's way from no daemon to a verdict, with wrong answers on the way."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import COMMAND, WIDTH, environment, listen_to_ctrl_c, read
from journeys.daemon import wait_until
from tunesmith.cli.daemon_connection import running_doors

PROMPT = "q quit: "
FREE = {f"TUNESMITH_SERVER__{door}": "tcp://127.0.0.1:0" for door in ("REQUESTS", "EVENTS", "INBOX")}


class Terminal:
    """The command at a pseudo-terminal of 80 columns; `shown` is what it printed since the last answer."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
        os.set_blocking(self._master, False)
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment(**environ),
            preexec_fn=listen_to_ctrl_c,
        )
        os.close(slave)
        self.shown = ""

    def until(self, *texts: str, timeout_s: float = 60.0) -> str:
        """What was printed up to the last of `texts`."""
        wait_until(lambda: self._take_in(texts), timeout_s, lambda: f"no {texts} in {self.shown!r}")
        assert "Traceback" not in self.shown, self.shown
        wide = [line for line in self.shown.splitlines() if len(line.rstrip()) > WIDTH]
        assert [line for line in wide if max(map(len, line.split())) < WIDTH // 2] == []
        return " ".join(self.shown.split())

    def answer(self, text: str, *expected: str) -> str:
        """What it says to an answer, up to the next question that contains `expected`."""
        self.shown = ""
        os.write(self._master, f"{text}\n".encode())
        return self.until(*(expected or (PROMPT,)), PROMPT)

    def pick(self, *names: str) -> str:
        """The numbers that the list on the screen gives to what begins with these names."""
        found = dict(re.findall(r"^ +(\d+)  (\S+)", self.shown, re.MULTILINE))
        numbers = {name: number for number, name in found.items()}
        return ",".join(numbers[name] for name in names)

    def end(self, text: str, code: int = 0) -> str:
        """What it says to the last answer."""
        self.shown = ""
        os.write(self._master, f"{text}\n".encode())
        wait_until(lambda: self._take_in(()) and self.process.poll() is not None, 90.0, lambda: self.shown)
        assert self.process.wait() == code
        return " ".join(self.shown.split())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def _take_in(self, texts: tuple[str, ...]) -> bool:
        with contextlib.suppress(OSError):  # nothing to read now, or the other side has closed
            self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(self._master, 65536).decode())
        self.shown = self.shown.replace("\r\n", "\n")
        at = 0
        for text in texts:
            at = self.shown.find(text, at)
            if at < 0:
                return False
        return True


@pytest.fixture
def terminal(folder: Path) -> Iterator[Terminal]:
    """The menu at the running daemon, at its first question."""
    made = Terminal("menu", "--data-dir", str(folder))
    made.until("What would you like to do?", PROMPT)
    yield made
    made.close()


def test_a_newcomer_comes_from_nothing_to_a_verdict(tmp_path: Path) -> None:
    new = Terminal(TUNESMITH_SERVER__DATA_DIR=str(tmp_path), TUNESMITH_SERVER__HTTP="", **FREE)
    try:
        said = new.until("No daemon answers", PROMPT)
        assert "start one in the background" in said
        assert "'9' is none of the numbers 1 to 2" in new.answer("9")
        assert "runs as process" in new.answer("1", "What would you like to do?")
        assert "There are no candles yet." in new.answer("1")
        assert "5,980 new bars" in new.answer("1", "Which market?")
        assert "rsi_reversion" in new.answer("", "Which strategy?")
        assert "fast_period" in new.answer(new.pick("ma_cross_v1.0"), "In which ranges?")
        assert "'fast' is none of its parameters fast_period" in new.answer("fast=3")
        assert "fast=a:b is no range" in new.answer("fast=a:b")
        shown = new.answer("fast_period=10:40:10 slow_period=50:90:10 signal_threshold=0")
        assert "10 to 40 by 10" in shown
        assert "always 0" in shown
        assert "Sharpe ratio" in new.answer("", "What shall be best?")
        assert "what learns" in new.answer("", "How shall it search?")
        new.answer("2", "Start it?")
        new.answer("b", "How shall it search?")
        new.answer("1", "How many points")
        assert "'ten' is not a number of points" in new.answer("ten")
        planned = new.answer("100", "Start it?")
        assert "trials 20" in planned
        assert "long only, fee 0.001 of an order, slippage 0, start capital 10,000" in planned
        shown = new.answer("1", "What next?")
        assert "All 20 points are tried" in shown
        assert "20 of 20, grid" in shown
        assert "1 to 8 of 20 trials, by sharpe" in shown
        assert "the candles ended" in new.answer("1", "verdict", "Accept that the candles are old?")
        assert "min_sharpe" in new.answer("2", "verdict", "What next?")
        new.answer("2", "What would you like to do?")
        assert "Stop it with: kill" in new.end("q")
        [task] = [task for task in read("status", "--data-dir", tmp_path)["tasks"] if task["kind"] == "optimization"]
        assert task["status"] == "completed"
    finally:
        new.close()
        if doors := running_doors(tmp_path):
            os.kill(doors["pid"], signal.SIGTERM)
            wait_until(lambda: not running_doors(tmp_path), 90.0, lambda: "the daemon does not stop")


def test_several_strategies_are_a_session_that_can_be_found_again_and_deleted(terminal: Terminal, folder: Path) -> None:
    terminal.answer("1", "Which market?")
    terminal.answer("1", "Which strategy?")
    both = terminal.pick("ma_cross_v1.0", "macd")
    assert "'6;7' is none of the numbers" in terminal.answer("6;7")
    terminal.answer(both, "parameters of ma_cross_v1.0")
    terminal.answer("signal_threshold=0")
    terminal.answer("", "parameters of macd")
    terminal.answer("", "What shall be best?")
    terminal.answer("2", "How shall it search?")
    terminal.answer("2", "How many points of each strategy on each market")
    planned = terminal.answer("30", "Start it?")
    assert "trials 60" in planned
    assert "every side that its rule enters, fee 0.001 of an order" in planned
    assert re.search(r"macd +both +30", planned)
    shown = terminal.answer("1", "What next?")
    assert "60 of 60 (100%)" in shown
    assert "by total_return" in shown
    [session_id] = set(re.findall(r"session_\d{8}_\d{6}_\d{4}", shown))
    terminal.answer("3", "What would you like to do?")
    terminal.answer("2", "Which one?")
    terminal.answer(terminal.pick(session_id), "What next?")
    terminal.answer("2", "Delete it with its trials?")
    assert "Deleted, with 60 trials" in terminal.answer("2", "What would you like to do?")
    terminal.end("4")
    assert session_id not in [s["session_id"] for s in read("session", "list", "--data-dir", folder)["sessions"]]


def test_what_cannot_be_is_said_and_asked_again_where_it_can_be_mended(terminal: Terminal) -> None:
    terminal.answer("1", "Which market?")
    terminal.answer("1", "Which strategy?")
    terminal.answer(terminal.pick("rsi_reversion"), "In which ranges?")
    terminal.answer("", "What shall be best?")
    terminal.answer("6", "Target")
    terminal.answer("sharp * 2", "How shall it search?")
    terminal.answer("3", "How many points")
    assert "sharp" in terminal.answer("20", "What shall be best?")
    terminal.answer("", "How shall it search?")
    assert "grid means 113,910,300 trials" in terminal.answer("2", "In which ranges?")
    terminal.answer("b", "Which strategy?")
    terminal.answer("b", "Which market?")
    terminal.answer("b", "What would you like to do?")
    terminal.end("quit")


def test_the_end_of_input_ends_it(terminal: Terminal) -> None:
    terminal.answer("1", "Which market?")
    terminal.end("\x04")


def test_ctrl_c_ends_it_with_its_exit_code(terminal: Terminal) -> None:
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.process.wait(90) == 130
