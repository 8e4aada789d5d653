"""Every function of gdcore that reads a file, by name: each takes the path of any file at all."""

import functools

import numpy as np

import gdcore as gd
from gdcore import tensors
from gdcore.callbacks import load_checkpoint
from gdcore.tabular import Table
from tests.languages import TEXT

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]])
SMALL = {"n_layer": 1, "n_head": 1, "n_embd": 4, "block_size": 4, "random_state": 0}
STEPS = {"max_steps": 2, "batch_size": 2, "eval_every": 1}


@functools.cache
def network():
    """A fitted network, whose weights may be read."""
    layers = [gd.layers.Dense(3, "tanh"), gd.layers.Dense(1)]
    return gd.MLPRegressor(layers=layers, max_epochs=1, tol=0, random_state=0).fit(ROWS, ROWS[:, 0])


def _all(chunks):
    return [tuple(map(np.asarray, chunk)) for chunk in gd.chunks.checked(chunks)]


def _resumed(path):
    return gd.GPT(**SMALL).fit(TEXT, checkpoint=path, resume=True, **STEPS)


def _weights(path):
    gd.load_weights(network(), path)
    return network()


READERS = {
    "load": gd.load,
    "load_weights": _weights,
    "load_checkpoint": load_checkpoint,
    "tensors.read": tensors.read,
    "GPT.load": gd.GPT.load,
    "GPT.from_gpt2": lambda path: gd.GPT.from_gpt2(path, n_head=1),
    "GPT.fit(resume=True)": _resumed,
    "chunks.arrays": lambda path: _all(gd.chunks.arrays(path, np.zeros(4))),
    "chunks.csv": lambda path: _all(gd.chunks.csv(path, target="y")),
    "chunks.parquet": lambda path: _all(gd.chunks.parquet(path, target="y")),
    "gdcore train": Table,
}


def honest(folder):
    """One good file for each reader, {reader: path}."""
    import pandas

    linear = gd.LogisticRegression(tol=1e-2).fit(ROWS, ["a", "b", "a", "b"])
    paths = {name: folder / file for name, file in FILES.items()}
    gd.save(linear, paths["load"])
    gd.save_weights(network(), paths["load_weights"])
    keep = gd.callbacks.Checkpoint(paths["load_checkpoint"])
    gd.LinearRegression(callbacks=keep, max_epochs=2, tol=0).fit(ROWS, ROWS[:, 0])
    tensors.write(paths["tensors.read"], {"w": ROWS, "n": np.arange(3)}, {"what": "a file"})
    gpt = gd.GPT(**SMALL).fit(TEXT, checkpoint=paths["GPT.fit(resume=True)"], **STEPS)
    gpt.save(paths["GPT.load"])
    gpt.save_gpt2(paths["GPT.from_gpt2"])
    np.save(paths["chunks.arrays"], ROWS)
    frame = pandas.DataFrame(ROWS, columns=["a", "b"]).assign(y=[0, 1, 0, 1])
    for name in ("chunks.csv", "gdcore train"):
        frame.to_csv(paths[name], index=False)
    frame.to_parquet(paths["chunks.parquet"])
    return paths


FILES = {
    "load": "model.npz",
    "load_weights": "weights.npz",
    "load_checkpoint": "checkpoint.npz",
    "tensors.read": "tensors.safetensors",
    "GPT.load": "gpt.safetensors",
    "GPT.from_gpt2": "gpt2.safetensors",
    "GPT.fit(resume=True)": "run.safetensors",
    "chunks.arrays": "X.npy",
    "chunks.csv": "rows.csv",
    "chunks.parquet": "rows.parquet",
    "gdcore train": "table.csv",
}
