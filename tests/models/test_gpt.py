"""GPT: what it is trained on, how it ends, and what it refuses."""

import io
import sys
import time
import tracemalloc

import numpy as np
import pytest

import gdcore as gd
from gdcore.models import stepped
from gdcore.models.language import LanguageCost, LanguageModel
from tests.languages import TEXT, random_gpt

SMALL = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 16}
QUICK = {"max_steps": 6, "batch_size": 2, "eval_every": 2}
TOKENS = np.random.default_rng(0).integers(0, 9, 400)


def fit(data=TEXT, given=None, **options):
    return gd.GPT(**SMALL | (given or {})).fit(data, **QUICK | options)


def same(one, other):
    return one.theta_.vector.tobytes() == other.theta_.vector.tobytes()


@pytest.mark.parametrize(
    "given", [{}, {"positions": "rotary", "bias": False, "tied": False}], ids=str
)
def test_a_text_that_repeats_itself_is_learned(given):
    gpt = gd.GPT(**SMALL | given)
    gpt.fit(TEXT, max_steps=300, batch_size=8, learning_rate=0.01, eval_every=100)
    assert (
        gpt.trace_.validation[-1] < 0.35 < 2.5 < gpt.trace_.cost[0] < gpt.trace_.validation[0] + 1
    )
    assert gpt.evaluate(TEXT) < 0.35
    assert gpt.generate("and the dog lay", 11, temperature=0) == " by the log"
    assert gpt.result_.status is gd.Status.STEPS
    assert (gpt.n_iter_, gpt.trace_.step.tolist()) == (300, [0, 100, 200, 300])
    assert gpt.trace_.examples.tolist() == [0, 800, 1600, 2400]


def test_the_trace_has_the_loss_met_since_the_row_before():
    met = []

    def spy(self, *args):
        met.append(step(self, *args))
        return met[-1]

    step = LanguageCost.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageCost, "step", spy)
        gpt = fit()
    np.testing.assert_allclose(gpt.trace_.cost[1:], np.reshape(met, (3, 2)).mean(axis=1))
    assert np.isfinite(gpt.trace_.validation).all()
    assert gpt.trace_.gradient_norm[0] > 0


def test_evaluate_is_the_mean_loss_of_windows_that_do_not_overlap():
    gpt, tokens = random_gpt(), TOKENS[: 5 * 8 + 1]
    losses = []
    for start in range(0, 40, 8):
        z = gpt.logits(tokens[start : start + 8])
        z = z - z.max(axis=1, keepdims=True)
        chosen = z[np.arange(8), tokens[start + 1 : start + 9]]
        losses += [*(np.log(np.exp(z).sum(axis=1)) - chosen)]
    assert gpt.evaluate(tokens) == pytest.approx(np.mean(losses), rel=1e-12)
    assert gpt.evaluate(tokens.tolist()) == gpt.evaluate(tokens.astype(np.uint8))


def test_seeds_repeat():
    assert same(fit(given={"dropout": 0.2}), fit(given={"dropout": 0.2}))
    assert not same(fit(), fit(given={"random_state": 1}))
    assert not same(fit(given={"random_state": None}), fit(given={"random_state": None}))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, dtype):
    monkeypatch.setattr(LanguageModel, "shards", lambda self, rows: min(rows, 4))
    monkeypatch.setattr(stepped, "SLICES", 512)
    given = {"dropout": 0.2, "dtype": dtype}
    one, *others = (fit(given=given | {"n_threads": n}, batch_size=6) for n in (1, 2, 3))
    for other in others:
        assert same(one, other)
        assert one.trace_.cost.tobytes() == other.trace_.cost.tobytes()
        assert one.trace_.validation.tobytes() == other.trace_.validation.tobytes()


def test_accumulated_batches_are_one_batch():
    given = {"dtype": "float64"}
    whole = fit(given=given, batch_size=8)
    for batch_size, times in ((4, 2), (1, 8)):
        other = fit(given=given, batch_size=batch_size, gradient_accumulation=times)
        np.testing.assert_allclose(other.theta_.vector, whole.theta_.vector, atol=1e-8)
        assert other.trace_.examples.tolist() == whole.trace_.examples.tolist()
    assert np.abs(fit(given=given, batch_size=4).theta_.vector - whole.theta_.vector).max() > 1e-4


def test_data_of_every_kind_is_the_same_data(tmp_path):
    gpt = fit()
    tokens = gpt.tokenizer_.encode(TEXT)
    size = {"vocabulary": gpt.tokenizer_.size}
    np.save(tmp_path / "tokens.npy", tokens.astype(np.uint16))
    mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    for data in (tokens, tokens.tolist(), tokens.astype(np.uint8), mapped):
        assert same(fit(data, size), gpt)
    cut = round(len(tokens) * 0.9)
    for validation in (TEXT[cut:], 0.1):
        other = fit(TEXT[:cut] if isinstance(validation, str) else TEXT, validation=validation)
        assert other.trace_.validation.tobytes() == gpt.trace_.validation.tobytes()
    other = fit(tokens[:cut], size, validation=tokens[cut:])
    assert other.trace_.validation.tobytes() == gpt.trace_.validation.tobytes()


def test_nothing_is_held_out_where_nobody_asks():
    for validation in (None, 0, 0.0):
        gpt = fit(validation=validation)
        assert np.isnan(gpt.trace_.validation).all()
        assert len(gpt.trace_) == 4


def test_a_memmap_is_read_window_by_window(tmp_path):
    n = 10_000_000
    tokens = np.memmap(tmp_path / "tokens", np.uint16, "w+", shape=(n,))
    tokens[::1000] = 5
    tracemalloc.start()
    try:
        gpt = fit(tokens, validation=tokens[:200])
        gpt.fit(tokens, **QUICK | {"validation": tokens[:200]})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n / 2
    assert gpt.model_.layers.vocabulary == 6


def test_the_vocabulary_is_that_of_all_data_or_of_the_tokenizer():
    held = np.r_[TOKENS, np.full(40, 12)]
    assert fit(held).model_.layers.vocabulary == 13  # 12 is held out
    assert fit(TOKENS, {"tokenizer": "bytes"}).model_.layers.vocabulary == 256
    assert fit(TOKENS, {"vocabulary": 50}).logits(TOKENS[:3]).shape == (3, 50)
    told = fit(TOKENS, {"tokenizer": "bytes"})
    assert len(told.generate("ab", 3, seed=0).encode("utf-8", "replace")) >= 1


def test_patience_keeps_the_weights_with_the_lowest_held_out_loss():
    noise = np.random.default_rng(1).integers(0, 5, 300)
    settings = {"validation": noise[:100], "max_steps": 150, "learning_rate": 0.02}
    gpt = gd.GPT(**SMALL).fit(noise[100:], patience=2, eval_every=10, batch_size=8, **settings)
    losses = gpt.trace_.validation
    assert gpt.result_.status is gd.Status.VALIDATION
    assert gpt.n_iter_ < 150
    assert losses.argmin() == len(losses) - 3
    found = gd.GPT(**SMALL)
    stop = {"callbacks": [lambda moment: moment.step == gpt.trace_.step[-3]]}
    found.fit(noise[100:], eval_every=10, batch_size=8, **settings, **stop)
    assert same(found, gpt)
    last = gd.GPT(**SMALL).fit(noise[100:], eval_every=10, batch_size=8, **settings)
    assert last.trace_.validation[-1] > losses.min()
    assert (last.n_iter_, last.result_.status) == (150, gd.Status.STEPS)


def test_callbacks_see_each_measurement_and_stop_the_fit():
    seen = []
    gpt = fit(callbacks=lambda moment: seen.append(moment.step))
    assert seen == [0, 2, 4, 6]
    gpt = fit(callbacks=[lambda moment: moment.step == 4])
    assert (gpt.n_iter_, gpt.result_.status) == (4, gd.Status.CALLBACK)
    assert "stopped after 4 steps. A callback" in gpt.result_.message
    assert same(gpt, fit(max_steps=6, callbacks=lambda moment: moment.step >= 3))


def test_time_ends_a_fit():
    gpt = fit(max_steps=10**6, schedule=None, max_time=1e-6)
    assert gpt.result_.status is gd.Status.TIME


def interrupted_at(number):
    """A step that Ctrl-C meets half way: the weights have moved, the loss is not yet known."""
    count, step = [0], LanguageCost.step

    def stepping(self, *args):
        loss = step(self, *args)
        count[0] += 1
        if count[0] == number:
            raise KeyboardInterrupt
        return loss

    return stepping


def test_ctrl_c_gives_the_weights_of_the_last_measurement(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(LanguageCost, "step", interrupted_at(6))
        gpt = fit()
    assert gpt.result_.status is gd.Status.INTERRUPTED
    assert "stopped after 4 steps. Interrupted" in gpt.result_.message
    assert "the parameters measured last are kept" in gpt.result_.message
    assert len(gpt.trace_) == 3
    assert same(gpt, fit(callbacks=lambda moment: moment.step == 4))
    assert len(gpt.generate("the", 5, seed=0)) == 5


def raising(moment):
    raise KeyboardInterrupt


def test_ctrl_c_at_once_gives_the_first_weights():
    gpt = fit(callbacks=raising)
    assert gpt.result_.status is gd.Status.INTERRUPTED
    np.testing.assert_array_equal(gpt.theta_.vector, gpt.model_.init(0, np.float32))


@pytest.mark.parametrize("validation", [0.1, None])
@pytest.mark.parametrize("steps", [1, 2, 20])
@pytest.mark.parametrize("eval_every", [1, 4])
def test_a_fit_that_diverges_ends_with_weights_from_before(eval_every, steps, validation):
    """Steps that led nowhere are not kept, though the loss that they met was fine."""
    for rate in (1e4, 1e30, 3e38):
        options = {"learning_rate": rate, "max_steps": steps, "eval_every": eval_every}
        options |= {"optimizer": "sgd", "clip_norm": None, "schedule": None}
        gpt = fit(validation=validation, **options)
        assert np.isfinite(gpt.theta_.vector).all()
        assert gpt.result_.fun < 10 or rate == 1e4
        assert gpt.evaluate(TEXT) < 10 or rate == 1e4
        if rate > 1e4:
            assert gpt.result_.status is gd.Status.DIVERGED


def test_a_second_fit_goes_on_from_the_first():
    gpt = fit()
    before = gpt.theta_.vector.copy()
    gpt.fit(TEXT, **QUICK | {"learning_rate": 1e-30})
    np.testing.assert_allclose(gpt.theta_.vector, before, atol=1e-12)
    with pytest.raises(ValueError, match="which the tokenizer never saw"):
        gpt.fit("ß" * 100, **QUICK)
    np.testing.assert_allclose(gpt.theta_.vector, before, atol=1e-12)


def test_a_fit_that_is_refused_leaves_nothing_behind():
    gpt = gd.GPT(**SMALL)
    for data in ("too short", "", np.zeros(3), np.full(99, -1)):
        with pytest.raises(ValueError, match=r"\. "):
            gpt.fit(data, **QUICK)
        assert not hasattr(gpt, "theta_")
    assert same(gpt.fit(TEXT, **QUICK), fit())


def test_optimizers_by_name_and_instance():
    rate = {"learning_rate": 0.003}
    auto = fit(**rate)
    assert same(auto, fit(optimizer=gd.optim.AdamW(0.003, beta2=0.99, decay=0.1)))
    assert same(fit(optimizer="lion", **rate), fit(optimizer=gd.optim.Lion(0.003)))
    for rule in ("muon", "adafactor", "schedulefreeadamw", gd.optim.chain(gd.optim.SGD(0.1))):
        assert np.isfinite(fit(optimizer=rule).trace_.validation).all()
    assert fit(schedule=lambda step: 0.5).trace_.learning_rate.tolist() == [5e-4] * 4
    warm = fit(max_steps=50, eval_every=1, **rate).trace_.learning_rate
    np.testing.assert_allclose(warm[:5], 0.003 * np.arange(1, 6) / 5)
    assert warm[-1] == pytest.approx(0.0003)


def test_progress_is_quiet_where_nobody_looks(capsys):
    fit(progress=True)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("tqdm", [True, False])
def test_progress_on_a_terminal_has_loss_speed_and_time(monkeypatch, tqdm):
    if tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    fit(progress=True, callbacks=lambda moment: time.sleep(0.11))  # a bar is not redrawn sooner
    text = screen.getvalue()
    for part in ("loss 2.", "tokens/s", *(("3/6",) if tqdm else ("step 6/6", "0:00 left"))):
        assert part in text


class Silent:
    encode = decode = list


BAD = {
    "an empty text": ("", {}, {}, "data is an empty text"),
    "a short text": ("abc" * 4, {}, {}, "data holds 11 tokens, and a window of block_size=16"),
    "a short rest": (TEXT[:60], {}, {}, "validation holds 6 tokens"),
    "a matrix": (np.zeros((9, 9), int), {}, {}, "data must be a text or a vector of whole numbers"),
    "halves": (np.zeros(99), {}, {}, "data must be a text or a vector of whole numbers"),
    "no data": (None, {}, {}, "data is None. Pass"),
    "negative": (np.r_[TOKENS, -3], {}, {}, "validation holds the token -3, and the model has 9"),
    "one's own": (TOKENS, {"tokenizer": Silent()}, {}, "does not say how many tokens it has"),
    "unknown": (TOKENS, {"vocabulary": 8}, {}, "data holds the token 8, and the model has 8"),
    "of another dtype": (TOKENS << 40, {}, {}, "data holds the token 8796093022208, and a"),
    "no tokenizer": (TEXT, {"tokenizer": None}, {}, "A text needs a tokenizer"),
    "held text": (TOKENS, {}, {"validation": "abc"}, "validation is a text, and this GPT learned"),
    "tokenizer": (TEXT, {"tokenizer": "byte"}, {}, "tokenizer='byte' is not known"),
    "object": (TEXT, {"tokenizer": object()}, {}, "tokenizer must have encode and decode"),
    "heads": (TEXT, {"n_head": 3}, {}, "n_embd must be a multiple of n_head, got 16 and 3"),
    "layers": (TEXT, {"n_layer": 0}, {}, "n_layer must be a whole number of at least 1, got 0"),
    "block": (TEXT, {"block_size": 2.5}, {}, "block_size must be a whole number, got 2.5"),
    "dropout": (TEXT, {"dropout": 1.0}, {}, "dropout must be below 1, got 1.0"),
    "dtype": (TEXT, {"dtype": "float16"}, {}, "dtype='float16' is not known"),
    "positions": (TEXT, {"positions": "alibi"}, {}, "positions='alibi' is not known"),
    "activation": (TEXT, {"activation": "relu"}, {}, "activation='relu' is not known"),
    "n_threads": (TEXT, {"n_threads": 0}, {}, "n_threads must be a whole number of at least 1"),
    "seed": (TEXT, {"random_state": -1}, {}, "random_state must be a whole number of at least 0"),
    "n_inner": (TEXT, {"n_inner": 0}, {}, "n_inner must be a whole number of at least 1, got 0"),
    "vocabulary": (TOKENS, {"vocabulary": 0}, {}, "vocabulary must be a whole number of at least"),
    "steps": (TEXT, {}, {"max_steps": 0}, "max_steps must be a whole number of at least 1, got 0"),
    "batch": (TEXT, {}, {"batch_size": "a"}, "batch_size must be a whole number, got 'a'"),
    "every": (TEXT, {}, {"eval_every": 0}, "eval_every must be a whole number of at least 1"),
    "times": (TEXT, {}, {"gradient_accumulation": 0}, "gradient_accumulation must be a whole"),
    "clip": (TEXT, {}, {"clip_norm": 0}, "clip_norm must be a number above 0, got 0"),
    "rate": (TEXT, {}, {"learning_rate": -1}, "learning_rate must be a number above 0, got -1"),
    "optimizer": (TEXT, {}, {"optimizer": "adamv"}, "Did you mean 'adam'"),
    "full batch": (TEXT, {}, {"optimizer": "lbfgs"}, "LBFGS needs the gradient of one"),
    "schedule": (TEXT, {}, {"schedule": 3}, "schedule must be a callable step → factor, got 3"),
    "class": (TEXT, {}, {"schedule": gd.schedules.Linear}, "schedule must be a callable step"),
    "schedules": (TEXT, {}, {"schedule": "cosine"}, "schedule='cosine' is not known"),
    "share": (TEXT, {}, {"validation": 1.5}, "validation must be a number of at least 0 and at"),
    "all held": (TEXT, {}, {"validation": 1.0}, "data holds 0 tokens"),
    "patience": (TEXT, {}, {"patience": 0}, "patience must be a whole number of at least 1"),
    "watch": (TEXT, {}, {"patience": 2, "validation": None}, "patience watches the held-out loss"),
    "time": (TEXT, {}, {"max_time": 0}, "max_time must be a number above 0, got 0"),
    "no time": (TEXT, {}, {"max_time": None}, "max_time must be a number, got None"),
    "size": (TEXT, {"block_size": "9"}, {}, "block_size must be a whole number, got '9'"),
    "letters": (TEXT, {"tokenizer": Silent(), "vocabulary": 9}, {}, "tokenizer.encode must give a"),
    "resume": (TEXT, {}, {"resume": True}, "resume=True needs a checkpoint"),
    "callbacks": (TEXT, {}, {"callbacks": [3]}, "callbacks must be functions or objects"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_argument_meets_two_sentences(case):
    data, given, options, message = BAD[case]
    gpt = gd.GPT(**SMALL | given)
    with pytest.raises((ValueError, TypeError)) as error:
        gpt.fit(data, **QUICK | options)
    text = str(error.value)
    assert message in text
    assert "? " not in text
    assert text.count(". ") == 1
    assert text.endswith((".", "?"))
    assert not hasattr(gpt, "theta_")


def test_ids_that_are_none_are_refused():
    gpt = random_gpt()
    for ids, message in (
        (np.zeros((2, 2, 2), int), r"ids must be whole numbers \(t,\) or \(n, t\)"),
        (np.zeros(3), "ids must be whole numbers"),
        (np.full(3, 11), "Ids must be from 0 to 10"),
        (np.zeros(9, int), "9 ids is longer than the 8 places"),
        (np.zeros(0, int), "at least one"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            gpt.logits(ids)
        assert ". " in str(error.value)
    assert gpt.logits([1, 2]).shape == (2, 11)
    assert gpt.logits([[1, 2]]).shape == (1, 2, 11)


def test_what_evaluate_refuses():
    gpt = random_gpt()
    with pytest.raises(ValueError, match=r"data holds 8 tokens, and a window needs 9"):
        gpt.evaluate(TOKENS[:8])
    with pytest.raises(ValueError, match=r"data holds the token 11, and the model has 11"):
        gpt.evaluate(np.full(20, 11))
    for call in (lambda: gd.GPT().evaluate(TEXT), lambda: gd.GPT().logits([1])):
        with pytest.raises(gd.NotFittedError, match="has no weights yet"):
            call()
