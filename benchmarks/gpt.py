"""One training step of a GPT by gdcore and PyTorch, on one batch in memory.

GPT-2's arithmetic, tied head, no dropout, AdamW with decay on matrices alone, gradient clipped to
norm 1, float32. Both sides start from the same weights and see the same batch; PyTorch's side is
what its users write for speed: scaled_dot_product_attention, fused AdamW, packed q, k and v.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

import gdcore as gd
from gdcore.models.language import LanguageCost, LanguageModel
from gdcore.parameters import Parameters, aligned_copy

LR, BETAS, DECAY, EPS, CLIP = 1e-3, (0.9, 0.99), 0.1, 1e-8, 1.0
VOCABULARY = 65  # characters, as in nanoGPT's configuration


@dataclass(frozen=True)
class Sizes:
    """Width, blocks, heads, window and windows a step."""

    features: int
    blocks: int
    heads: int
    places: int
    batch: int

    def __str__(self):
        return (
            f"GPT step {self.features} wide, {self.blocks} blocks, window {self.places}, "
            f"batch {self.batch}"
        )


class Problem:
    """A text of random tokens, the windows of one batch, and the weights to start from."""

    def __init__(self, sizes, tokens=None, seed=1):
        self.sizes = sizes
        rng = np.random.default_rng(0)
        self.tokens = rng.integers(0, VOCABULARY, 20_000) if tokens is None else tokens
        self.rows = rng.integers(0, len(self.tokens) - sizes.places, sizes.batch)
        vocabulary = VOCABULARY if tokens is None else int(self.tokens.max()) + 1
        net = gd.layers.Transformer(
            vocabulary, sizes.features, sizes.heads, sizes.blocks, sizes.places
        )
        self.model = LanguageModel(net)
        self.theta = self.model.init(seed)

    def batch(self, rows):
        """Inputs and targets (n, places) of the windows that begin at these places, for PyTorch."""
        windows = self.tokens[rows[:, None] + np.arange(self.sizes.places + 1)]
        return torch.from_numpy(windows[:, :-1].copy()), torch.from_numpy(windows[:, 1:].copy())


def ours(problem, setting):
    """(`LanguageCost.step`, which gathers the windows, too; its cost)."""
    theta = aligned_copy(problem.theta)
    adam = gd.optim.AdamW(LR, beta1=BETAS[0], beta2=BETAS[1], eps=EPS, decay=DECAY)
    cost = LanguageCost(
        problem.model, problem.tokens, max_steps=1, round_steps=1, batch_size=problem.sizes.batch,
        clip_norm=CLIP, n_threads=setting.threads,
    )  # fmt: skip
    step = partial(cost.step, theta, adam, adam.init(theta), problem.rows, LR)
    step.parameters = lambda: theta
    if setting.threads == 1:
        setting.stack.enter_context(cost)
    return step, cost


class Attention(torch.nn.Module):
    """Causal attention as PyTorch's users write it."""

    def __init__(self, sizes):
        super().__init__()
        self.heads = sizes.heads
        self.c_attn = torch.nn.Linear(sizes.features, 3 * sizes.features)
        self.c_proj = torch.nn.Linear(sizes.features, sizes.features)

    def forward(self, x):
        n, t, c = x.shape
        shape = (n, t, self.heads, c // self.heads)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.c_attn(x).split(c, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(n, t, c))


class Block(torch.nn.Module):
    def __init__(self, sizes):
        super().__init__()
        c = sizes.features
        self.ln_1, self.ln_2 = torch.nn.LayerNorm(c), torch.nn.LayerNorm(c)
        self.attn = Attention(sizes)
        self.mlp = torch.nn.ModuleDict(
            {"c_fc": torch.nn.Linear(c, 4 * c), "c_proj": torch.nn.Linear(4 * c, c)}
        )

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        hidden = F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh")
        return x + self.mlp["c_proj"](hidden)


class Twin(torch.nn.Module):
    """The same network in PyTorch, its modules named as GPT-2's."""

    def __init__(self, sizes, vocabulary):
        super().__init__()
        self.wte = torch.nn.Embedding(vocabulary, sizes.features)
        self.wpe = torch.nn.Embedding(sizes.places, sizes.features)
        self.h = torch.nn.ModuleList([Block(sizes) for _ in range(sizes.blocks)])
        self.ln_f = torch.nn.LayerNorm(sizes.features)
        self.register_buffer("places", torch.arange(sizes.places))

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(self.places[: ids.shape[1]])
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T

    def loss(self, ids, y):
        z = self(ids)
        return F.cross_entropy(z.view(-1, z.shape[-1]), y.reshape(-1))


def twin(problem):
    """The twin with the problem's weights."""
    net = Twin(problem.sizes, problem.model.layers.vocabulary)
    named = Parameters(problem.model.shapes(), problem.theta)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            array = torch.from_numpy(named[name])
            parameter.copy_(array.T if _turned(name) else array)
    return net


def _turned(name):
    return name.endswith("weight") and (".attn." in name or ".mlp." in name)


def optimizer_of(net):
    """Fused AdamW, decay on matrices alone."""
    parts = list(net.parameters())
    groups = [
        {"params": [p for p in parts if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in parts if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, LR, BETAS, EPS, fused=True)


def torch_step(problem, setting, compiled=False):
    """Eager or compiled."""
    net = twin(problem)
    adam = optimizer_of(net)
    ids, y = problem.batch(problem.rows)
    forward = net.loss
    if compiled and not setting.smoke:  # a minute for each: not in a smoke run
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own modules
            forward = torch.compile(net.loss)
            forward(ids, y).backward()
    parameters = list(net.parameters())

    def step():
        adam.zero_grad()
        forward(ids, y).backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        adam.step()

    step.parameters = lambda: flat(net, problem)
    return step


def flat(net, problem):
    """A twin's weights as our θ."""
    theirs = {name: p.detach().numpy() for name, p in net.named_parameters()}
    vector = np.empty_like(problem.theta)
    for name, view in problem.model.views(vector).items():
        view[...] = theirs[name].T if _turned(name) else theirs[name]
    return vector


PROMPT = [1, 2, 3, 4]


def writing(problem, setting, count):
    """`GPT.generate`: keys and values are kept."""
    sizes = problem.sizes
    model = gd.GPT(
        n_layer=sizes.blocks, n_head=sizes.heads, n_embd=sizes.features, block_size=sizes.places,
        tokenizer=None, vocabulary=VOCABULARY,
    )  # fmt: skip
    model._build(VOCABULARY)
    model.theta_ = Parameters(problem.model.shapes(), problem.theta)
    return lambda: model.generate(PROMPT, count, seed=0)


def torch_writing(problem, setting, count, cached):
    """The twin's `generate` as nanoGPT has it, which reads the window at each token; or cached."""
    net, generator = twin(problem).eval(), torch.Generator().manual_seed(0)

    @torch.no_grad()
    def run():
        ids, kept = torch.tensor([PROMPT]), [None] * problem.sizes.blocks
        for _ in range(count):
            if cached:
                fresh = ids if kept[0] is None else ids[:, -1:]
                z = _step(net, fresh, ids.shape[1] - fresh.shape[1], kept)[:, -1]
            else:
                z = net(ids[:, -problem.sizes.places :])[:, -1]
            p = torch.softmax(z, dim=-1)
            ids = torch.cat([ids, torch.multinomial(p, 1, generator=generator)], dim=1)
        return ids

    return run


def _step(net, ids, place, kept):
    """Logits of the twin for tokens that follow those whose keys and values are kept."""
    n, t = ids.shape
    x = net.wte(ids) + net.wpe(net.places[place : place + t])
    for i, block in enumerate(net.h):
        h, attn = block.ln_1(x), block.attn
        shape = (n, t, attn.heads, h.shape[-1] // attn.heads)
        q, k, v = (part.view(shape).transpose(1, 2) for part in attn.c_attn(h).chunk(3, dim=2))
        if kept[i] is not None:
            k, v = (torch.cat(pair, dim=2) for pair in zip(kept[i], (k, v), strict=True))
        kept[i] = k, v
        y = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1)
        x = x + attn.c_proj(y.transpose(1, 2).reshape(n, t, -1))
        hidden = F.gelu(block.mlp["c_fc"](block.ln_2(x)), approximate="tanh")
        x = x + block.mlp["c_proj"](hidden)
    return net.ln_f(x) @ net.wte.weight.T


def products(problem, setting, block=None):
    """The matrix products of a step alone; attention's over the full square, or by blocks of rows.

    Forward y = xW, backward dx = dy·Wᵀ and dW = xᵀ·dy for every matrix; QKᵀ and PV of every head,
    of the backward pass four more (dV, dP, dQ, dK).
    """
    s = problem.sizes
    rng, n = np.random.default_rng(0), s.batch * s.places
    c, v = s.features, problem.model.layers.vocabulary

    def array(*shape):  # small enough that products of products stay finite
        return rng.standard_normal(shape, dtype=np.float32) / np.float32(c)

    pairs = [(c, 3 * c), (c, c), (c, 4 * c), (4 * c, c)] * s.blocks + [(c, v)]
    W = [array(*pair) for pair in pairs]
    g = [np.empty_like(each) for each in W]
    x, y = {k: array(n, k) for k, _ in pairs}, {k: array(n, k) for _, k in pairs}
    d = c // s.heads
    qkv = array(s.batch, s.places, 3, s.heads, d).transpose(2, 0, 3, 1, 4)
    q, k, value = qkv
    out = array(s.batch, s.places, s.heads, d).transpose(0, 2, 1, 3)
    S = np.empty((s.batch, s.heads, s.places, s.places), np.float32)
    block = block or s.places
    dk = np.empty_like(k)

    def attention():
        for a in range(0, s.places, block):
            b = a + block
            here, upto = slice(a, b), slice(0, b)
            scores, P = k[:, :, upto].swapaxes(2, 3), S[:, :, here, upto]
            np.matmul(q[:, :, here], scores, out=P)
            np.matmul(P, value[:, :, upto], out=out[:, :, here])

    def attention_back():
        for a in range(0, s.places, block):
            b = a + block
            here, upto = slice(a, b), slice(0, b)
            P, turned = S[:, :, here, upto], S[:, :, here, upto].swapaxes(2, 3)
            np.matmul(q[:, :, here], k[:, :, upto].swapaxes(2, 3), out=P)
            np.matmul(out[:, :, here], value[:, :, upto].swapaxes(2, 3), out=P)
            np.matmul(turned, out[:, :, here], out=dk[:, :, upto])
            np.matmul(P, k[:, :, upto], out=out[:, :, here])
            np.matmul(turned, q[:, :, here], out=dk[:, :, upto])

    def run():
        for p, m in pairs:
            np.matmul(x[p], W[pairs.index((p, m))], out=y[m])
        for _ in range(s.blocks):
            attention()
            attention_back()
        for i, (p, m) in enumerate(pairs):
            np.matmul(y[m], W[i].T, out=x[p])
            np.matmul(x[p].T, y[m], out=g[i])

    return run
