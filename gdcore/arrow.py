"""Files of columns as chunks of rows, by pyarrow: CSV, Parquet and Arrow's own (IPC)."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Self, TypeAlias

import numpy as np

from gdcore._typing import Array, PathLike
from gdcore.disk import shown
from gdcore.errors import require

Files: TypeAlias = PathLike | Sequence[PathLike]
Piece: TypeAlias = tuple[str, Any]  # a file, and what of it
Chunk: TypeAlias = tuple[Array, ...]

NUMBERS = 1 << 19  # in a chunk, where `rows` is left to us: 4 MB
BLOCK = 1 << 20  # bytes of a CSV file at a time
PAGES = 1 << 16  # of a Parquet file, for each column
FILES = 16  # open at once
CURE = "Encode it as numbers, or hash it with gd.hash_features."


@dataclass(frozen=True, eq=False)
class Columns:
    """What is read of each row: names of the features, the target and the weights."""

    features: tuple[str, ...]
    target: str
    weights: str | None
    dtype: np.dtype[Any]
    classes: bool  # is the target text?

    def names(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys((*self.features, self.target, *filter(None, [self.weights]))))


@dataclass(frozen=True, eq=False)
class FileChunks:
    """Rows of files as chunks (X, y) or (X, y, weights); every pass opens the files anew.

    A piece is what can be read on its own: a row group, a record batch, or a whole CSV file.
    """

    pieces: tuple[Piece, ...]
    columns: Columns
    rows: int
    read: Callable[..., Iterator[Any]]
    counted: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def feature_names(self) -> list[str]:
        """Names of the columns of X."""
        return list(self.columns.features)

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return len(self.columns.features)

    @property
    def n_rows(self) -> int | None:
        """Rows of all files; None where no pass has counted them yet."""
        return self.counted.get("rows")

    def __iter__(self) -> Iterator[Chunk]:
        return self.visit(range(len(self.pieces)))

    def visit(self, order: Iterable[int]) -> Iterator[Chunk]:
        """The chunks of these pieces, in this order."""
        count, whole = 0, sorted(order) == list(range(len(self.pieces)))
        for chunk in self._cut(self._batches(order)):
            count += len(chunk[0])
            yield chunk
        if whole:
            self.counted["rows"] = count

    def _batches(self, order: Iterable[int]) -> Iterator[Any]:
        files: dict[
            str, _open
        ] = {}  # that are open: what stands at a file's end need not be read for each piece
        try:
            for k in order:
                try:
                    for batch in self.read(self.pieces[k], self.columns, self.rows, files):
                        if batch.num_rows:
                            yield batch
                except _broken() as error:
                    _refuse(error, self.pieces[k][0])
        finally:
            for file in files.values():
                file.source.close()

    def _cut(self, batches: Iterable[Any]) -> Iterator[Chunk]:
        """Chunks of equally many rows, the last one apart, whatever the files' batches are."""
        waiting: list[Any] = []
        held = 0
        for batch in batches:
            start = 0
            while held + batch.num_rows - start >= self.rows:
                end = start + self.rows - held
                yield _chunk([*waiting, batch.slice(start, end - start)], self.columns)
                waiting, held, start = [], 0, end
            if start < batch.num_rows:
                waiting.append(batch.slice(start))
                held += batch.num_rows - start
        if waiting:
            yield _chunk(waiting, self.columns)


def read_csv(
    path: Files,
    target: str,
    rows: int | None,
    columns: Sequence[str] | None,
    options: dict[str, Any],
) -> FileChunks:
    """The chunks of `gd.chunks.csv`; options: weights, dtype and delimiter."""
    csv = _pyarrow("csv")
    paths, delimiter = _files(path), options["delimiter"]
    parse = csv.ParseOptions(delimiter=delimiter)
    first = None
    for each in paths:
        with _opened(csv, each, parse, None) as reader:
            first = _same(reader.schema, first, each, columns, (target, options["weights"]))
    named = _columns(first, target, columns, options, paths[0], free=True)
    return FileChunks(tuple((each, parse) for each in paths), named, _rows(rows, named), _read_csv)


def read_columns(
    path: Files,
    target: str,
    rows: int | None,
    columns: Sequence[str] | None,
    options: dict[str, Any],
) -> FileChunks:
    """The chunks of `gd.chunks.parquet`; options: weights and dtype."""
    _pyarrow()
    first, pieces, counts, kinds = None, [], [], set()
    named: list[Columns] = []
    for each in _files(path):
        kind = _kind(each)
        kinds.add(kind)
        with _open(each, kind) as file:
            first = _same(file.schema, first, each, columns, (target, options["weights"]))
            chosen = columns or (named[0].features if named else None)
            named.append(_columns(file.schema, target, chosen, options, path=each))
            pieces += [(each, k) for k in range(file.pieces)]
            counts.append(file.n_rows)
    require(len(kinds) == 1, f"{path!r} are files of {' and '.join(sorted(kinds))}. Pass one kind.")
    require(
        len({one.classes for one in named}) == 1,
        f"The target {target!r} is text in some files and numbers in others. Mend those.",
    )
    require(bool(pieces), f"{path!r} holds no rows. Pass at least one example.")
    read = replace(named[0], dtype=np.result_type(*(one.dtype for one in named)))
    made = FileChunks(tuple(pieces), read, _rows(rows, read), _read_piece)
    if None not in counts:
        made.counted["rows"] = sum(counts)
    return made


def _pyarrow(part: str | None = None) -> Any:
    import importlib

    try:
        return importlib.import_module(f"pyarrow.{part}" if part else "pyarrow")
    except ImportError as error:
        raise ImportError(
            "Files of columns need the package pyarrow. Install gdcore[arrow]."
        ) from error


def _files(path: Files) -> list[str]:
    """The files that a path, a pattern or a list of them names, in the order of their names."""
    given = [path] if isinstance(path, (str, os.PathLike)) else path
    try:
        names = [os.fspath(each) for each in given]
    except TypeError as error:
        raise TypeError(
            f"path must be a path, a pattern like 'part-*.csv', or a list, got {path!r}. Pass such."
        ) from error
    found: list[str] = []
    for each in names:
        # a file of that very name comes first: names may hold [ ]
        matches = [each] if os.path.exists(each) else sorted(glob.glob(each, recursive=True))
        require(bool(matches), f"There is no file {each!r}. Pass the path of one, or a pattern.")
        found += matches
    require(bool(found), "path names no file. Pass at least one.")
    return found


def _kind(path: str) -> str:
    """ "parquet" or "ipc", by how the file begins."""
    with open(path, "rb") as file:
        start = file.read(6)
    if start[:4] == b"PAR1":
        return "parquet"
    require(
        start == b"ARROW1",
        f"{path} is neither a Parquet file nor an Arrow (IPC, Feather version 2) file. "
        "Save it as one of them, or read it with gd.chunks.csv.",
    )
    return "ipc"


class _open:
    """An open Parquet or IPC file: schema, pieces, n_rows, and the batches of a piece."""

    def __init__(self, path: str, kind: str) -> None:
        pyarrow = _pyarrow()
        self.source = pyarrow.OSFile(os.fspath(path), "rb")  # not mapped: maps count as memory
        try:
            if kind == "parquet":
                self.file = _pyarrow("parquet").ParquetFile(
                    self.source, buffer_size=PAGES, pre_buffer=False
                )
                self.schema, self.pieces = self.file.schema_arrow, self.file.num_row_groups
                self.n_rows = self.file.metadata.num_rows
            else:
                self.file = _pyarrow("ipc").open_file(self.source)
                self.schema, self.pieces = self.file.schema, self.file.num_record_batches
                self.n_rows = None if self.pieces else 0
        except _broken() as error:
            self.source.close()
            _refuse(error, path)
        self.kind = kind

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    def batches(self, piece: int, names: list[str], rows: int) -> Iterator[Any]:
        """Record batches of these columns."""
        if self.kind == "parquet":
            yield from self.file.iter_batches(
                batch_size=rows, row_groups=[piece], columns=names, use_threads=False
            )
        else:
            yield self.file.get_batch(piece).select(names)


def _read_piece(
    piece: Piece, columns: Columns, rows: int, files: dict[str, _open]
) -> Iterator[Any]:
    path, number = piece
    if path not in files:
        if len(files) == FILES:
            files.pop(next(iter(files))).source.close()
        files[path] = _open(path, _kind(path))
    yield from files[path].batches(number, columns.names(), rows)


def _opened(csv: Any, path: str, parse: Any, convert: Any) -> Any:
    try:
        return csv.open_csv(
            path, csv.ReadOptions(block_size=BLOCK, use_threads=False), parse, convert
        )
    except _broken() as error:
        _refuse(error, path)


def _read_csv(piece: Piece, columns: Columns, rows: int, files: dict[str, _open]) -> Iterator[Any]:
    pyarrow, csv = _pyarrow(), _pyarrow("csv")
    path, parse = piece
    types = dict.fromkeys(columns.names(), pyarrow.float64())
    if columns.classes:
        types[columns.target] = pyarrow.string()
    convert = csv.ConvertOptions(column_types=types, include_columns=columns.names())
    with _opened(csv, path, parse, convert) as reader:
        yield from reader


def _same(
    schema: Any, first: Any, path: str, columns: Sequence[str] | None, others: Iterable[str | None]
) -> Any:
    """The schema, if it has the columns of the first one's."""
    try:
        names = schema.names
    except UnicodeDecodeError as error:
        _refuse(error, path)
    double = sorted({name for name in names if names.count(name) > 1})
    require(not double, f"{path} names a column twice: {double[:1]}. Rename one of them.")
    given = dict(zip(("target", "weights"), others, strict=True))
    if given["weights"] is None:
        del given["weights"]
    for argument, name in given.items():
        if not isinstance(name, str):
            raise TypeError(
                f"{argument} must be the name of a column, got {name!r}. Pass one of {names[:9]}."
            )
    wanted = [*(columns or (first.names if first else ())), *given.values()]
    missing = sorted({name for name in wanted if name not in names})
    require(
        not missing, f"{path} has no column {missing[:1]}, only {names[:9]}. Pass one of those."
    )
    more = [] if columns or first is None else sorted(set(names) - set(first.names))
    require(
        not more,
        f"{path} has a column {more[:1]} that the first file lacks. Pass columns= to choose.",
    )
    return schema if first is None else first


def _columns(
    schema: Any,
    target: str,
    columns: Sequence[str] | None,
    options: dict[str, Any],
    path: str,
    free: bool = False,
) -> Columns:
    """What to read, once the types allow it; free: a CSV file's types are guesses, and forced."""
    types = _pyarrow().types
    weights = options["weights"]
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got {columns!r}. Pass [{columns!r}].")
    features = tuple(columns or (n for n in schema.names if n not in (target, weights)))
    require(bool(features), "No column is left to predict from. Pass more columns.")
    require(target not in features, f"columns hold the target {target!r}. Leave it out.")
    for name in (*features, *filter(None, [weights])):
        kind = schema.field(name).type
        numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
        numeric = numeric or (types.is_boolean(kind) and not free)
        require(
            numeric or (free and types.is_null(kind)),
            f"Column {name!r} of {path} holds {kind}, and X holds numbers. {CURE}",
        )
    kind = schema.field(target).type
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind)
    text = text or (free and not (types.is_integer(kind) or types.is_floating(kind)))
    small = all(
        types.is_float32(schema.field(name).type) or types.is_float16(schema.field(name).type)
        for name in features
    )
    given = options["dtype"] or (np.float32 if small else np.float64)
    try:
        dtype = np.dtype(given)
    except TypeError:
        dtype = np.dtype(object)
    require(
        dtype in (np.float32, np.float64),
        f"dtype must be float32 or float64, got {given!r}. Pass one.",
    )
    return Columns(features, target, weights, dtype, text)


def _rows(rows: int | None, columns: Columns) -> int:
    return rows or max(1, NUMBERS // len(columns.features))


def _chunk(batches: Sequence[Any], columns: Columns) -> Chunk:
    """(X, y) or (X, y, weights) of some record batches in a row."""
    X = np.empty((sum(batch.num_rows for batch in batches), len(columns.features)), columns.dtype)
    start = 0
    with np.errstate(over="ignore"):  # to infinity, which is refused
        for batch in batches:
            for j, name in enumerate(columns.features):
                X[start : start + batch.num_rows, j] = _array(batch.column(name))
            start += batch.num_rows
    names = [columns.target, *filter(None, [columns.weights])]
    rest = [np.concatenate([_array(batch.column(n)) for batch in batches]) for n in names]
    return (X, *rest)


def _array(column: Any) -> Array:
    """A column in NumPy; what is missing becomes NaN, and is refused where chunks are checked."""
    pyarrow = _pyarrow()
    if pyarrow.types.is_decimal(column.type) or pyarrow.types.is_float16(column.type):
        column = column.cast(pyarrow.float64())
    elif pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values: Array = column.to_numpy(zero_copy_only=False)
    if values.dtype == object and not column.null_count and len(values):
        values = np.array(values.tolist())
    if values.dtype == object and pyarrow.types.is_boolean(column.type):
        values = values.astype(np.float64)
    return values


def _broken() -> tuple[type[BaseException], ...]:
    """What pyarrow raises for files that it cannot read."""
    return _pyarrow().ArrowException, OSError, UnicodeDecodeError


def _refuse(error: BaseException, path: str) -> NoReturn:
    """Say what pyarrow says of a file, with the file's name and what to do."""
    if getattr(error, "errno", None) is not None:  # the system's, with the name
        raise error
    text = shown(" ".join(str(error).split()))
    cure = CURE if "conversion error" in text else "Mend the file."
    raise ValueError(f"{path} cannot be read ({text}). {cure}") from error
