"""The profile hook on a small package: what counts as a call, in threads and forked processes too."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.call_trace import Call, Way, changes, hooked, read_calls, way

MODULES = {
    "__init__.py": "",
    "door.py": """
import asyncio, os, threading
from toy import clock
from toy.rooms import desk

class Door:
    async def take(self, topic):
        await desk.write([n for n in range(3)])
        await asyncio.sleep(0.01)
        return self.answer([topic, b""])

    def answer(self, frames):
        return frames
""",
    "clock.py": """
async def beat(gate):
    while True:
        await gate.wait()
        gate.clear()
        tick()

def tick(): pass
""",
    "rooms/__init__.py": "",
    "rooms/desk.py": """
import asyncio

async def write(values):
    for value in values:
        await asyncio.sleep(0)
        note(value)

def note(value): pass
""",
    "main.py": """
import asyncio, os, threading
from benchmarks.call_trace import TimedLoop, install
from toy import clock
from toy.door import Door
from toy.rooms import desk

async def main(recorder):
    gate = asyncio.Event()
    beating = asyncio.create_task(clock.beat(gate))
    await asyncio.sleep(0)
    recorder.mark_background(True)
    gate.set()
    await asyncio.sleep(0.01)
    recorder.mark_background(False)
    asyncio.get_running_loop().call_later(0.001, clock.tick)
    await asyncio.create_task(Door().take("pkg/A/"))
    gate.set()
    await asyncio.sleep(0.01)
    beating.cancel()
    thread = threading.Thread(target=desk.note, args=[1])
    thread.start()
    thread.join()

recorder = install()
if (child := os.fork()) == 0:
    desk.note("in the child")
    os._exit(0)
os.waitpid(child, 0)
with asyncio.Runner(loop_factory=TimedLoop) as runner:
    runner.run(main(recorder))
""",
}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    folder = tmp_path_factory.mktemp("trace")
    package = folder / "code" / "toy"
    for name, text in MODULES.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    subprocess.run([sys.executable, "-m", "toy.main"], env=hooked(folder / "calls", package, "pkg/"), check=True)
    return read_calls(folder / "calls")


def test_a_function_counts_at_its_first_step_alone(calls: list[Call]) -> None:
    [main] = [call for call in calls if call.function == "main"]
    of_loop = [call for call in calls if call.thread == main.thread and not call.background]
    names = [(call.room, call.function) for call in of_loop]
    notes = [("rooms", "note")] * 3
    assert names == [
        ("main", "main"),
        ("clock", "beat"),
        ("door", "Door.take"),
        ("rooms", "write"),
        *notes,
        ("door", "Door.answer"),
    ]
    assert [call.function for call in of_loop if call.watched] == ["Door.take", "Door.answer"]
    assert way(of_loop) == Way(files=4, changes=4, pairs=4, calls=8)


def test_what_a_marked_task_or_a_timer_calls_is_background(calls: list[Call]) -> None:
    assert [call.function for call in calls if call.background] == ["tick"] * 3


def test_other_threads_and_forked_processes_are_traced(calls: list[Call]) -> None:
    [main] = [call for call in calls if call.function == "main"]
    pid = main.thread.split()[0]
    others = [call.thread.split()[0] for call in calls if call.thread != main.thread]
    assert sorted(other == pid for other in others) == [False, True]


def test_each_thread_changes_files_by_itself() -> None:
    files = [("1", "a"), ("2", "b"), ("1", "a"), ("2", "a"), ("1", "b"), ("1", "a"), ("1", "b")]
    calls = [Call(at, thread, file, "f", watched=False, background=False) for at, (thread, file) in enumerate(files)]
    assert list(changes(calls)) == [("a", "b"), ("b", "a"), ("a", "b"), ("b", "a")]
    assert way(calls) == Way(files=2, changes=4, pairs=2, calls=7)
