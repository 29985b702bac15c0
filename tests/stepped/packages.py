"""Packages with strategies, installed for real: a module and a .dist-info with entry points in a folder on the path."""

from __future__ import annotations

from pathlib import Path

from stepped import averaging

AVERAGING = Path(averaging.__file__).read_text()


def install(folder: Path, module: str, text: str, value: str | None = None) -> None:
    """Install `text` as `module`, registered as `value` (default: its STRATEGY)."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tunesmith.strategies]\n{module} = {value or f'{module}:STRATEGY'}\n")


def uninstall(folder: Path, module: str) -> None:
    """Take a module and its metadata away."""
    (folder / f"{module}.py").unlink()
    info = folder / f"{module}-1.0.dist-info"
    for file in info.iterdir():
        file.unlink()
    info.rmdir()
