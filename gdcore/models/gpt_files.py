"""A GPT in files: its own, GPT-2's, and checkpoints of a fit; all of them safetensors."""

import dataclasses
import json
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from gdcore import tensors
from gdcore._typing import Array, PathLike
from gdcore._version import __version__
from gdcore.disk import as_path, clear, complaint, damaged, rehearse, replace, said, shown
from gdcore.errors import require
from gdcore.models.gpt_claims import AGAIN, parts, require_room, require_same, whole
from gdcore.models.language import LanguageModel
from gdcore.parameters import Parameters, aligned, held
from gdcore.remembered import forgetful
from gdcore.snapshot import Snapshot
from gdcore.tokenizers import LEARNED, restored, tokenizer_for

MODEL, CHECKPOINT = "gdcore.GPT", "gdcore.GPT.checkpoint"
PREFIX = "transformer."  # before each name where Hugging Face saved the model with its head
BUFFERS = (".attn.bias", ".attn.masked_bias")  # masks, in older files of theirs
ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}
USUAL = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}  # in config.json
SUMS, DESCRIPTION = "crc32", "__metadata__"  # sums of all that a file holds, and one of its names


class GPTFiles:
    """`save`, `load`, `from_gpt2` and `save_gpt2` of a GPT."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    theta_: Parameters
    tokenizer_: Any
    model_: LanguageModel

    if TYPE_CHECKING:
        tokenizer: Any
        vocabulary: Any
        tied: bool
        dtype: str

        def __init__(self, **parameters: Any) -> None: ...
        def _require_fitted(self) -> None: ...
        def _build(self, vocabulary: int) -> None: ...

    def save(self, path: PathLike) -> None:
        """Write weights, configuration and tokenizer as safetensors, whole or not at all.

        A tokenizer of your own is not kept: pass it to `load` again.
        """
        self._require_fitted()
        _write(path, _named(self.theta_), {"format": MODEL, **self._described()})

    @classmethod
    def load(cls, path: PathLike, tokenizer: Any = None) -> Self:
        """Read a GPT that `save` or a checkpoint of `fit` wrote; it gives the same bits.

        Raises
        ------
        FileNotFoundError, ValueError
            For no such file, or one that is damaged: the message names the tensor.
        """
        arrays, metadata = tensors.read(path)
        kind = metadata.get("format")
        ours = kind in (MODEL, CHECKPOINT)
        require(ours, f"{path} is no model of gdcore. GPT-2's are read by GPT.from_gpt2.")
        _require_told(path, metadata)
        try:
            gpt = cls(**json.loads(metadata["parameters"]))
            require_room(gpt, sum(array.size for array in arrays.values()))
            gpt._build(whole(json.loads(metadata["vocabulary"])))
            state = json.loads(metadata["tokenizer"])
            known = restored(state) if state is not None else None
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            what = complaint(error)
            raise ValueError(f"{path} has a damaged description: {what}. Save it again.") from error
        if tokenizer is not None:
            known = _own(tokenizer)
        if known is not None:
            gpt.tokenizer = gpt.tokenizer_ = known
        if kind == CHECKPOINT:
            shapes: dict[str, tuple[int, ...]] = {"theta": (gpt.model_.size,)}
            theta = _checked(path, arrays, "theta", shapes["theta"])
            gpt.theta_ = Parameters(gpt.model_.shapes(), _placed({"theta": theta}, shapes))
        else:
            gpt._take(path, arrays)
        _require_kept(path, arrays, metadata)
        return gpt

    @classmethod
    def from_gpt2(cls, path: PathLike, n_head: int | None = None, tokenizer: Any = None) -> Self:
        """Read GPT-2 in Hugging Face's naming: a .safetensors file, or the folder it lies in.

        Parameters
        ----------
        n_head : int, optional
            Default: from the config.json beside the weights.
        tokenizer : object with encode and decode, optional
            As tiktoken.get_encoding("gpt2"). Without one the model takes and gives tokens.
        """
        path = Path(path) / "model.safetensors" if Path(path).is_dir() else Path(path)
        arrays, _ = tensors.read(path)
        plain = {name.removeprefix(PREFIX): array for name, array in arrays.items()}
        plain = {n: array for n, array in plain.items() if not n.endswith(BUFFERS)}
        gpt = cls(**_gpt2_settings(path, plain, n_head), tokenizer=tokenizer)
        if tokenizer is not None:
            gpt.tokenizer_ = _own(tokenizer)
        gpt._build(gpt.vocabulary)
        if gpt.tied:
            plain.pop("lm_head.weight", None)
        gpt._take(path, plain)
        return gpt

    def save_gpt2(self: Any, path: PathLike) -> None:
        """Write model.safetensors and config.json, as GPT2LMHeadModel.from_pretrained reads them.

        path is a folder, or a file, which config.json is then put beside.
        """
        self._require_fitted()
        as_theirs = self.positions == "learned" and self.bias
        require(as_theirs, "GPT-2 has learned positions and biases. Save this model by save.")
        path = Path(path)
        if path.suffix != ".safetensors":
            path.mkdir(parents=True, exist_ok=True)
            path = path / "model.safetensors"
        arrays = {
            PREFIX + n if n != "lm_head.weight" else n: a for n, a in _named(self.theta_).items()
        }
        tensors.write(path, arrays, {"format": "pt"})
        theirs = {ours: name for name, ours in reversed(ACTIVATIONS.items())}
        config = {
            "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
            "activation_function": theirs[self.activation], "n_layer": self.n_layer,
            "n_head": self.n_head, "n_embd": self.n_embd, "n_positions": self.block_size,
            "n_ctx": self.block_size, "n_inner": self.n_inner,
            "vocab_size": self.model_.layers.vocabulary, "layer_norm_epsilon": self.eps,
            "tie_word_embeddings": self.tied, "resid_pdrop": self.dropout,
            "embd_pdrop": self.dropout, "attn_pdrop": self.dropout,
        }  # fmt: skip
        text = json.dumps(config, indent=1) + "\n"
        replace(path.with_name("config.json"), lambda file: file.write(text.encode()))

    def _described(self) -> dict[str, str]:
        """Parameters, vocabulary and tokenizer as texts."""
        tokenizer: Any = getattr(self, "tokenizer_", None)
        state = tokenizer.state() if hasattr(tokenizer, "state") else None
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if not isinstance(fields["tokenizer"], str):
            fields["tokenizer"] = None
        return {
            "gdcore": __version__,
            "parameters": _text(fields),
            "vocabulary": _text(self.model_.layers.vocabulary),
            "tokenizer": _text(state),
        }

    def _take(self, path: PathLike, arrays: dict[str, Array]) -> None:
        """Weights by name, each of them checked."""
        shapes = self.model_.shapes()
        unknown = min(arrays.keys() - shapes.keys(), default=None)
        require(
            unknown is None,
            f"{path}: tensor {shown(str(unknown))} belongs to no part of the model. "
            "Pass a file of such a one.",
        )
        given = path, arrays
        checked = {n: _checked(*given, n, shape, self.dtype) for n, shape in shapes.items()}
        self.theta_ = Parameters(shapes, _placed(checked, shapes, self.dtype))


def _own(tokenizer: Any) -> Any:
    """A tokenizer that comes with no text: an object, or the name of one that learns nothing."""
    learns = isinstance(tokenizer, str) and tokenizer in LEARNED
    require(
        not learns,
        f"tokenizer={tokenizer!r} would have to learn from a text. Pass the tokenizer_ that did.",
    )
    return tokenizer_for(tokenizer, "")


def _named(theta: Parameters) -> dict[str, Array]:
    return {name: theta[name] for name in theta}


def _text(value: Any) -> str:
    """JSON; numbers of NumPy are numbers."""
    return json.dumps(value, default=lambda number: number.item())


def _write(path: PathLike, arrays: dict[str, Array], metadata: dict[str, str]) -> None:
    """A file of ours, with sums by which `load` knows every tensor and the description again."""
    sums = {name: _sum(array) for name, array in arrays.items()} | {DESCRIPTION: _told(metadata)}
    tensors.write(path, arrays, metadata | {SUMS: _text(sums)})


def _sum(array: Array) -> int:
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return zlib.crc32(array.reshape(-1).view(np.uint8).data)


def _told(metadata: dict[str, str]) -> int:
    return zlib.crc32(json.dumps(sorted(metadata.items())).encode())


def _sums(path: PathLike, metadata: dict[str, str]) -> dict[str, int]:
    try:
        return dict(json.loads(metadata[SUMS]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise damaged(path, "file of a GPT", f"its {SUMS} are none", AGAIN) from error


def _require_told(path: PathLike, metadata: dict[str, str]) -> None:
    """The description is the one that was written."""
    plain = {name: text for name, text in metadata.items() if name != SUMS}
    if _sums(path, metadata).get(DESCRIPTION) != _told(plain):
        raise damaged(path, "file of a GPT", "its description is not what was written", AGAIN)


def _require_kept(path: PathLike, arrays: dict[str, Array], metadata: dict[str, str]) -> None:
    """All tensors are there, and each of them as it was written."""
    sums = _sums(path, metadata)
    for name in [*sums.keys(), *arrays.keys()]:
        if name == DESCRIPTION:
            continue
        kept = name in sums and name in arrays and sums[name] == _sum(arrays[name])
        what = "is not what was written" if name in arrays else "is missing"
        if not kept:
            raise damaged(path, "file of a GPT", f"tensor {name} {what}", AGAIN)


def _checked(
    path: PathLike, arrays: dict[str, Array], name: str, shape: Sequence[int], dtype: Any = None
) -> Array:
    """The array of a name, as it must be, where it is to become one of another dtype, too."""
    require(name in arrays, f"{path}: tensor {name} is missing. Pass a file of the same model.")
    array = arrays[name]
    require(
        array.shape == tuple(shape),
        f"{path}: tensor {name} has shape {array.shape}, and the model's is {tuple(shape)}. "
        "Pass a file of the same model.",
    )
    finite = array.dtype.kind == "f" and bool(np.isfinite(held(array, dtype)).all())
    require(finite, f"{path}: tensor {name} does not hold finite numbers. Fetch it again.")
    return array


def _placed(
    arrays: dict[str, Array], shapes: dict[str, tuple[int, ...]], dtype: Any = None
) -> Array:
    """Arrays one after another in one vector."""
    first = next(iter(arrays.values()))
    vector = aligned(sum(map(np.size, arrays.values())), dtype or first.dtype)
    place = 0
    for name in shapes:
        end = place + arrays[name].size
        vector[place:end] = arrays[name].reshape(-1)
        place = end
    return vector


def _gpt2_settings(path: Path, arrays: dict[str, Array], n_head: int | None) -> dict[str, Any]:
    """What a GPT must be like to hold these tensors, and what config.json adds to that."""
    for name in ("wte.weight", "wpe.weight", "h.0.mlp.c_fc.weight"):
        shaped = name in arrays and arrays[name].ndim == 2
        require(shaped, f"{path}: tensor {name} is missing. Pass the weights of a GPT-2.")
    (vocabulary, width), places = arrays["wte.weight"].shape, len(arrays["wpe.weight"])
    beside = path.with_name("config.json")
    config = _config(beside)
    n_head = n_head or config.get("n_head")
    require(
        n_head,
        f"The number of heads is not in {path}, and there is no config.json beside it. "
        "Pass n_head, 12 for the smallest GPT-2.",
    )
    activation = config.get("activation_function", "gelu_new")
    known = ", ".join(ACTIVATIONS)
    require(
        isinstance(activation, str) and activation in ACTIVATIONS,
        f"{beside}: activation_function is {shown(str(activation), 60)}, none of "
        f"{known}. Pass such a GPT-2.",
    )
    head = arrays.get("lm_head.weight")
    inner = arrays["h.0.mlp.c_fc.weight"].shape[1]
    return {
        "n_layer": len({n.split(".")[1] for n in arrays if n.startswith("h.")}),
        "n_head": n_head, "n_embd": width, "block_size": places, "vocabulary": vocabulary,
        "tied": head is None or np.array_equal(head, arrays["wte.weight"]),
        "activation": ACTIVATIONS[activation], "eps": config.get("layer_norm_epsilon", 1e-5),
        "n_inner": None if inner == 4 * width else inner,
    }  # fmt: skip


def _config(path: Path) -> dict[str, Any]:
    """What config.json says, none of it beyond this model; nothing where there is no such file."""
    if not path.is_file():
        return {}
    try:
        config = dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(path, "config.json", error, "Fetch it again.") from error
    for name, usual in USUAL.items():
        given = config.get(name, usual)
        require(
            given == usual,
            f"{path}: {name} is {shown(str(given), 60)}, which this model lacks. "
            "Pass a GPT-2 without it.",
        )
    return config


class Checkpoint:
    """Where a fit is kept while it runs, and what it goes on from."""

    def __init__(self, path: Any, header: Any, snapshot: Snapshot | None = None) -> None:
        self.path, self.header, self.snapshot, self.failed = path, header, snapshot, False

    @property
    def steps(self) -> int:
        """Steps that are already done."""
        return 0 if self.snapshot is None else self.snapshot.numbers["step"]

    @classmethod
    def at(
        cls, path: PathLike | None, gpt: Any, cost: Any, rules: tuple[Any, Any, Any], resume: bool
    ) -> Self:
        """The checkpoint of a fit that is about to begin; read, where it is to go on from one."""
        if path is None:
            require(not resume, "resume=True needs a checkpoint. Pass its path.")
            return cls(None, None)
        require(
            not forgetful(rules[1]),
            f"schedule observes costs, and a checkpoint cannot keep what it saw: {rules[1]!r}. "
            "Give it state_dict and load_state_dict, or leave checkpoint out.",
        )
        require(
            not as_path(path).is_dir(),
            f"checkpoint is a folder: {path}. Pass the path of a file in it.",
        )
        if resume:  # else another process may be at work there
            clear(path)
        rehearse(path)
        header = {"format": CHECKPOINT, **gpt._described(), "run": _text(_run(cost, rules))}
        if not Path(path).exists():
            return cls(path, header)
        require(
            resume,
            f"{path} exists. Pass resume=True to go on from it, or another path to begin anew.",
        )
        arrays, metadata = tensors.read(path)
        ours = metadata.get("format") == CHECKPOINT
        require(ours, f"{path} is no checkpoint of a GPT's fit. Pass the path of one, or of none.")
        _require_told(path, metadata)
        _require_kept(path, arrays, metadata)
        kept = parts(path, metadata)
        if gpt.random_state is None:  # the run's own luck is what to go on with
            cost.seed = kept["run"]["seed"]
            header["run"] = _text(_run(cost, rules))
        require_same(path, header, kept)
        # copies: a file that is mapped could not be replaced by the next one on Windows
        return cls(path, header, Snapshot(arrays, kept["numbers"], path=path).copy())

    def write(self, snapshot: Snapshot) -> None:
        """Keep this state of the descent; the fit is worth more than that, and goes on without."""
        numbers = {"numbers": _text(snapshot.numbers)}
        try:
            _write(self.path, snapshot.arrays, self.header | numbers)
            self.failed = False
        except (OSError, MemoryError) as error:
            if not self.failed:
                warnings.warn(said(self.path, error), RuntimeWarning, stacklevel=2)
            self.failed = True


def _run(cost: Any, rules: tuple[Any, Any, Any]) -> dict[str, Any]:
    """What a run's bits depend on beside the model."""
    known: dict[str, Any] = cost.facts()
    return known | {
        "optimizer": repr(rules[0]), "patience": "some" if rules[2] is not None else "none",
        "schedule": repr(rules[1]) if dataclasses.is_dataclass(rules[1]) else "a callable",
    }  # fmt: skip
