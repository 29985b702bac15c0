"""Files of tables: what their names say they are, how they are compressed, and which library reads them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunesmith.domain.market.layouts.file_names import is_readable_name, kind_of
from tunesmith.domain.market.layouts.json_tables import read_json
from tunesmith.domain.market.layouts.sheet import Sheet, sheet_of_frame
from tunesmith.domain.market.layouts.text_tables import is_data, read_text
from tunesmith.errors import Invalid

_NO_TABLE = (ValueError, EOFError, ArithmeticError, LookupError, Warning)
"""What libraries raise for what is no table; some warn, where a row would be cut."""
_INSTALL = "pip install 'tunesmith[files]'"


def read_sheet(path: Path) -> Sheet:
    """The table in a file. Raises `Invalid` when it cannot be read as one."""
    name = path.name
    if not is_readable_name(name) and not name.lower().endswith(".zip"):
        raise Invalid(f"{name}: expected a file such as .csv, .csv.gz, .json, .xlsx, .h5, .parquet or .feather")
    kind = kind_of(name) or "zip"
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise Invalid(f"{name}: it is no file but a pipe or a device; write what comes out of it to a file first")
        if path.stat().st_size == 0:
            raise Invalid(f"{name}: the file is empty")
        inside, content = _content(path)
        kind = kind_of(inside) or kind
        sheet = _READERS[kind](path if content is None else content)
    except ImportError as error:
        raise Invalid(f"{name}: {kind} files need the extra packages of `files`: {_INSTALL}") from error
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise Invalid(f"{name}: cannot be read as {kind}: {str(reason).splitlines()[0][:200]}") from error
    except (*_NO_TABLE, lzma.LZMAError, zlib.error) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise Invalid(f"{name}: is no {kind} file with a table: {reason[0][:200]}") from error
    if not sheet.columns:
        raise Invalid(f"{name}: there are no columns")
    return sheet


def _content(path: Path) -> tuple[str, bytes | None]:
    """The name of what a file holds and, where it is compressed or read whole, its bytes."""
    low = path.name.lower()
    if low.endswith(".gz"):
        try:
            return path.name, gzip.decompress(path.read_bytes())
        except zlib.error as error:
            raise ValueError(f"the compression is damaged: {error}") from error
    if low.endswith(".xz"):
        return path.name, lzma.decompress(path.read_bytes())
    if low.endswith(".bz2"):
        return path.name, bz2.decompress(path.read_bytes())
    if low.endswith(".zst"):
        import pyarrow as pa

        with pa.input_stream(str(path), compression="zstd") as stream:
            return path.name, stream.read()
    if low.endswith(".zip"):
        return _only_member(path)
    return path.name, None


def _only_member(path: Path) -> tuple[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        names = [each for each in archive.namelist() if is_readable_name(each) and not each.startswith("__MACOSX")]
        if len(names) != 1:
            raise ValueError(f"it holds {len(names)} tables; unpack it and import them one by one, or as a folder")
        return names[0], archive.read(names[0])


def _opened(where: Path | bytes) -> Any:
    return io.BytesIO(where) if isinstance(where, bytes) else where


def _bytes(where: Path | bytes) -> bytes:
    return where if isinstance(where, bytes) else where.read_bytes()


def _read_json(where: Path | bytes) -> Sheet:
    return read_json(_bytes(where))


def _read_parquet(where: Path | bytes) -> Sheet:
    import pandas as pd
    import pyarrow as pa

    try:
        return sheet_of_frame(pd.read_parquet(_opened(where)))
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def _read_feather(where: Path | bytes) -> Sheet:
    """Feather files, and streams of Arrow, which have no mark at their beginning."""
    import pandas as pd
    import pyarrow as pa

    content = _bytes(where)
    try:
        if content[:6] == b"ARROW1" or content[:4] == b"FEA1":
            return sheet_of_frame(pd.read_feather(io.BytesIO(content)))
        return sheet_of_frame(pa.ipc.open_stream(content).read_all().to_pandas())
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def _read_excel(where: Path | bytes) -> Sheet:
    import pandas as pd
    import python_calamine

    try:
        found = pd.read_excel(_opened(where), sheet_name=None, header=None, engine="calamine")
    except python_calamine.CalamineError as error:
        raise ValueError(str(error)) from error
    filled = {name: frame.dropna(how="all") for name, frame in found.items() if not frame.dropna(how="all").empty}
    if len(filled) != 1:
        raise ValueError(f"it has {len(filled)} sheets with a table; save the one as a file of its own")
    [frame] = filled.values()
    rows = frame.reset_index(drop=True)
    first = ["" if cell is None or cell != cell else str(cell).strip() for cell in rows.iloc[0]]
    if is_data(first):
        return _typed(None, rows)
    return _typed(first, rows.iloc[1:].reset_index(drop=True))


def _typed(names: list[str] | None, frame: Any) -> Sheet:
    return Sheet(names, [frame[column].infer_objects() for column in frame.columns])


def _read_hdf(where: Path | bytes) -> Sheet:
    """pandas' HDF5, as freqtrade wrote it: one table under some key."""
    import pandas as pd
    import tables

    if isinstance(where, bytes):
        raise ValueError("unpack it first")
    try:
        with pd.HDFStore(where, mode="r") as store:
            keys = store.keys()
            if len(keys) != 1:
                raise ValueError(f"it has {len(keys)} tables")
            return sheet_of_frame(store[keys[0]])
    except tables.HDF5ExtError as error:
        raise ValueError("it is damaged, or no HDF5 file") from error


_READERS: dict[str, Callable[[Path | bytes], Sheet]] = {
    "CSV": read_text,
    "JSON": _read_json,
    "Parquet": _read_parquet,
    "Feather": _read_feather,
    "Excel": _read_excel,
    "HDF5": _read_hdf,
}
