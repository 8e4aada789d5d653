"""Text from a trained transformer, token by token; keys and values of earlier ones are kept."""

import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from gdcore import kernels
from gdcore.errors import require, require_number
from gdcore.layers.passes import Pass, rotary_turns


class Writer:
    """`generate` of a GPT."""

    def generate(
        self, prompt, max_tokens=200, *, temperature=1.0, top_k=None, top_p=None,
        repetition_penalty=1.0, stop=(), seed=None, stream=False, cache=True,
    ):  # fmt: skip
        """What the model writes after a prompt.

        Parameters
        ----------
        prompt : str, tokens (n,), or a list of them
            Each prompt of a list has a generator of its own.
        max_tokens : int
        temperature : float
            Divides the logits; 0 always takes the likeliest token.
        top_k : int, optional
            Choose among the k likeliest tokens alone.
        top_p : float in (0, 1], optional
            Choose among the fewest tokens that together have this probability.
        repetition_penalty : float > 0
            Above 1 it makes tokens that were there already less likely.
        stop : str or list of str
            Ends before the first of them.
        seed : int, optional
        stream : bool
            Return an iterator of pieces, for one prompt.
        cache : bool
            Keep keys and values. Without, every token reads the whole window: the same, slowly.

        Returns
        -------
        str for a text, array of tokens for tokens, a list for a list.
        """
        self._require_fitted()
        require_number("max_tokens", max_tokens, low=0, whole=True)
        sampling = Sampling(temperature, top_k, top_p, repetition_penalty)
        if seed is not None:
            require_number("seed", seed, low=0, whole=True)
        stop = _texts(stop)
        several = isinstance(prompt, (list, tuple)) and not _numbers(prompt)
        if several:
            require(not stream, "stream=True takes one prompt. Pass them one after another.")
            seeds = np.random.SeedSequence(seed).spawn(len(prompt))
            return [
                self._answer(each, max_tokens, sampling, stop, (np.random.default_rng(s), cache))
                for each, s in zip(prompt, seeds, strict=True)
            ]
        how = np.random.default_rng(seed), cache
        if stream:
            return self._pieces(prompt, max_tokens, sampling, stop, how)
        return self._answer(prompt, max_tokens, sampling, stop, how)

    def _answer(self, prompt, count, sampling, stop, how):
        parts = self._pieces(prompt, count, sampling, stop, how)
        return "".join(parts) if isinstance(prompt, str) else np.array(list(parts), np.int64)

    def _pieces(self, prompt, count, sampling, stop, how):
        """Pieces of text, or tokens where the prompt is of tokens."""
        ids = self._known_tokens(prompt, "prompt").tolist()
        require(ids, "prompt is empty. Pass at least one token to go on from.")
        told = isinstance(prompt, str) or not stop
        require(told, "stop takes texts, and the prompt holds tokens. Pass a text.")
        rng, cache = how
        decoder = Decoder(self.model_, self.theta_.vector, cache=cache)
        tokens = tokens_after(decoder, ids, count, sampling, rng)
        return pieces(tokens, self.tokenizer_, stop) if isinstance(prompt, str) else tokens


def _texts(stop):
    """stop as a list."""
    stop = [stop] if isinstance(stop, str) or not isinstance(stop, Iterable) else list(stop)
    for each in stop:
        if not isinstance(each, str):
            raise TypeError(f"stop must be a text or a list of texts, got {each!r}. Pass such.")
        require(each, "stop holds an empty text. Pass texts of at least one character.")
    return stop


def _numbers(prompt):
    return len(prompt) > 0 and all(isinstance(each, numbers.Integral) for each in prompt)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen from its logits.

    Logits of tokens in the text so far are divided by repetition_penalty where positive, else
    multiplied (Keskar et al., 2019); then all are divided by temperature; then only the top_k
    largest stay, and of those the fewest whose probabilities sum to top_p (Holtzman et al., 2020).
    Temperature 0 takes the largest.
    """

    temperature: float = 1.0
    top_k: object = None
    top_p: object = None
    repetition_penalty: float = 1.0

    def __post_init__(self):
        require_number("temperature", self.temperature, low=0)
        if self.top_k is not None:
            require_number("top_k", self.top_k, low=1, whole=True)
        if self.top_p is not None:
            require_number("top_p", self.top_p, low=0, high=1, above=True)
        require_number("repetition_penalty", self.repetition_penalty, low=0, above=True)

    def choose(self, logits, seen, rng):
        """The number of the next token."""
        z = logits.astype(np.float64)
        if self.repetition_penalty != 1:
            met = np.unique(seen)
            by = self.repetition_penalty
            z[met] = np.where(z[met] > 0, z[met] / by, z[met] * by)
        if self.temperature == 0:
            return int(z.argmax())
        reached = self.probabilities(z).cumsum()
        drawn = min(rng.random() * reached[-1], np.nextafter(reached[-1], 0))
        return int(np.searchsorted(reached, drawn, "right"))  # never one of probability zero

    def probabilities(self, z):
        """Those of the tokens, zero for what top_k and top_p leave out."""
        with np.errstate(over="ignore"):  # to −∞, near temperature zero
            z = (z - z.max()) / self.temperature
        if self.top_k is not None and self.top_k < len(z):
            z = _largest(z, self.top_k)
        p = np.exp(z)
        p /= p.sum()
        if self.top_p is not None and self.top_p < 1:
            order = np.argsort(-p, kind="stable")
            beyond = p[order].cumsum() - p[order] >= self.top_p  # what came before is enough
            p[order[beyond]] = 0
            p /= p.sum()
        return p


def _largest(z, k):
    """z with −∞ for all but its k largest; of equals the first stay."""
    least = np.partition(z, -k)[-k]
    above, equal = z > least, np.flatnonzero(z == least)
    above[equal[: k - np.count_nonzero(above)]] = True
    return np.where(above, z, -np.inf)


class Decoder:
    """Logits of the next token for one text that grows, from what is kept of the tokens before.

    Where the text outgrows the model's places, only its latest half of them is read again, so that
    a window always holds between half of the places and all. `cache=False` reads the same window
    anew for every token: the same logits but for rounding.
    """

    def __init__(self, model, theta, *, cache=True):
        # Every block's keys and values are asked for after the pass: none may share its memory.
        self.net, self.cache = replace(model.layers, recompute=False), cache
        self.scope = model.scope(theta)
        self.places = self.net.places
        shape = (self.net.blocks, 2, self.places, self.net.features)
        self.kept = np.empty(shape if cache else (0,), theta.dtype)
        self.window, self.rooms = [], _Rooms(self.net, theta.dtype)
        rotary = self.net.positions == "rotary"
        width = self.net.features // self.net.heads
        self.turns = rotary_turns(self.places, width, theta.dtype) if rotary else None

    def read(self, ids):
        """Logits (vocabulary,) after these tokens, which follow those read before."""
        fresh = [*self.window, *ids]
        if len(fresh) > self.places:
            fresh = fresh[-_length(len(fresh), self.places) :]
        elif self.cache and self.window and len(ids) == 1:
            self.window = fresh
            return self._step(ids[0], len(fresh) - 1)
        self.window = fresh
        return self._read_all()

    def _read_all(self):
        ids = np.array([self.window])
        with np.errstate(all="ignore"):
            run = Pass(self.net, self.scope, *ids.shape)
            logits = run.forward(ids)[0, -1]
            if self.cache:
                for i in range(self.net.blocks):
                    self._keep(i, run.keys_and_values(i))
        return logits

    def _keep(self, i, keys_and_values):
        for kept, fresh in zip(self.kept[i], keys_and_values, strict=True):
            kept[: len(fresh)] = fresh

    def _step(self, token, place):
        """The same for one more token, with the keys and values that are kept."""
        net, theta, r = self.net, self.scope, self.rooms
        np.copyto(r.x, theta["wte.weight"][token])
        if net.positions == "learned":
            r.x += theta["wpe.weight"][place]
        with np.errstate(all="ignore"):
            for i in range(net.blocks):
                self._norm(f"h.{i}.ln_1")
                self._product(f"h.{i}.attn.c_attn", r.h, r.qkv)
                self._attend(i, place)
                self._add(f"h.{i}.attn.c_proj", r.a)
                self._norm(f"h.{i}.ln_2")
                np.matmul(r.h, theta[f"h.{i}.mlp.c_fc.weight"], out=r.f)
                bias = theta[f"h.{i}.mlp.c_fc.bias"] if net.bias else r.none
                kernels.activate(net.activation, r.f, bias, r.slope)
                self._add(f"h.{i}.mlp.c_proj", r.f)
            self._norm("ln_f")
            return (theta[net.head] @ r.h[0]).copy()

    def _norm(self, name):
        r, theta = self.rooms, self.scope
        shift = theta[f"{name}.bias"] if self.net.bias else r.zeros
        kernels.layer_norm(r.x, theta[f"{name}.weight"], shift, self.net.eps, r.h, r.statistics)

    def _product(self, name, x, out):
        np.matmul(x, self.scope[f"{name}.weight"], out=out)
        if self.net.bias:
            out += self.scope[f"{name}.bias"]

    def _add(self, name, x):
        self._product(name, x, self.rooms.d)
        self.rooms.x += self.rooms.d

    def _attend(self, i, place):
        """a from the query of this place and all keys and values up to it."""
        net, r = self.net, self.rooms
        c, d = net.features, net.features // net.heads
        q, k, v = r.qkv[0, :c], r.qkv[0, c : 2 * c], r.qkv[0, 2 * c :]
        if self.turns is not None:
            q, k = (_turned(each.reshape(-1, d), self.turns[place]) for each in (q, k))
        keys, values = self.kept[i]
        keys[place], values[place] = k.reshape(-1), v
        end = place + 1
        K = keys[:end].reshape(end, net.heads, d).transpose(1, 0, 2)
        V = values[:end].reshape(end, net.heads, d).transpose(1, 0, 2)
        z = (K @ q.reshape(net.heads, d, 1))[:, :, 0] * q.dtype.type(1 / math.sqrt(d))
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        np.matmul(p[:, None], V, out=r.a.reshape(net.heads, 1, d))


class _Rooms:
    """Memory for one token's way."""

    def __init__(self, net, dtype):
        c = net.features
        self.x, self.h, self.a, self.d = np.empty((4, 1, c), dtype)
        self.qkv, self.statistics = np.empty((1, 3 * c), dtype), np.empty((1, 2), dtype)
        self.f, self.slope = np.empty((2, 1, net.width), dtype)
        self.zeros, self.none = np.zeros(c, dtype), np.empty(0, dtype)


def _length(n, places):
    """Tokens that are read of a text of n: all, or between half of the places and all of them."""
    half = max(1, places // 2)
    return n if n <= places else places - half + 1 + (n - places - 1) % half


def _turned(x, turn):
    """Pairs (x_j, x_{j + d/2}) of each row turned by their angle."""
    half = x.shape[1] // 2
    cosine, sine = turn[:half], turn[half:]
    a, b = x[:, :half], x[:, half:]
    return np.concatenate([a * cosine - b * sine, a * sine + b * cosine], axis=1)


def tokens_after(decoder, ids, count, sampling, rng):
    """Yield up to count tokens, each chosen after all before it."""
    ids = fresh = list(ids)
    for _ in range(count):
        token = sampling.choose(decoder.read(fresh), ids, rng)
        ids.append(token)
        fresh = [token]
        yield token


def pieces(tokens, tokenizer, stop):
    """Yield the text of tokens as it grows, up to a stop string, never half a character.

    What may be the beginning of a stop string is held back until it is none.
    """
    ids, text, shown = [], "", 0
    before = ""  # text of tokens that need not be decoded again
    for token in tokens:
        ids.append(token)
        text = before + tokenizer.decode(ids)
        ends = [text.find(each) for each in stop if each in text]
        if ends:
            text = text[: min(ends)]
            break
        whole = len(text.rstrip("\ufffd"))
        if whole == len(text) and getattr(tokenizer, "joins", False):
            before, ids = text, []
        safe = whole - _begun(text[:whole], stop)
        if safe > shown:
            yield text[shown:safe]
            shown = safe
    if len(text) > shown:
        yield text[shown:]


def _begun(text, stop):
    """Characters at the end of a text that may be the beginning of a stop string."""
    most = 0
    for each in stop:
        for n in range(1, len(each)):
            if text.endswith(each[:n]):
                most = max(most, n)
    return most
