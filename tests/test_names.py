"""Names that others rely on."""

import dataclasses

import pytest

import gdcore as gd

NAMES = """LinearRegression LogisticRegression MLPClassifier MLPRegressor GPT tokenizers layers
descend minimize Cost Parameters Status backend kernels
optim losses penalties schedules convergence datasets save load ConvergenceWarning
NotFittedError chunks hash_features CSR doctor check_gradient find_learning_rate callbacks
plots""".split()
RULES = """SGD Momentum Nesterov AdaGrad AdaDelta RMSProp Adam AMSGrad AdamW NAdam RAdam AdaMax Lion
ScheduleFreeSGD ScheduleFreeAdamW AdGD LBFGS Adafactor Muon Prodigy DoWG Polyak FISTA""".split()


@pytest.mark.parametrize("name", NAMES)
def test_public_names(name):
    assert name in gd.__all__
    assert name in dir(gd)
    assert getattr(gd, name) is not None


def test_every_public_name_exists_and_unknown_ones_do_not():
    for name in gd.__all__:
        assert getattr(gd, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Adam'"):
        _ = gd.Adam


@pytest.mark.parametrize("name", RULES)
def test_an_optimizers_first_argument_is_its_rate(name):
    rule = getattr(gd.optim, name)
    assert name in gd.optim.__all__
    assert dataclasses.fields(rule)[0].name == "lr"
    assert rule(0.25).lr == 0.25
    assert gd.optim.by_name(name.lower()) is rule


PARAMETERS = """alpha l1_ratio fit_intercept standardize optimizer learning_rate batch_size
max_epochs tol early_stopping validation_fraction warm_start callbacks progress verbose n_threads
random_state""".split()


@pytest.mark.parametrize("kind", [gd.LinearRegression, gd.LogisticRegression])
def test_common_parameters_and_what_is_fitted(kind):
    model = kind(max_epochs=5, tol=0)
    assert set(PARAMETERS) <= set(model.get_params())
    assert kind is gd.LinearRegression or "class_weight" in model.get_params()
    model.fit([[0.0], [1.0], [2.0]], [0, 1, 1])
    for name in ("coef_", "intercept_", "n_iter_", "trace_", "result_", "n_features_in_"):
        assert hasattr(model, name)
    for name in ("x", "fun", "jac", "nit", "nfev", "success", "status", "message", "trace"):
        assert getattr(model.result_, name) is model.result_[name]


BESIDE = """chain ClipNorm ClipValue AdaptiveClip Noise Accumulate SkipNonFinite ZeroNonFinite Decay
EMA
PolyakAverage Lookahead SparseGradient Updater""".split()


@pytest.mark.parametrize("name", BESIDE)
def test_what_stands_beside_the_rules(name):
    assert getattr(gd.optim, name).__doc__
    assert name not in gd.optim.__all__


def test_minimize_stays_a_function_when_its_module_is_imported():
    """gd.minimize is a name that others rely on: no module may take its place."""
    import gdcore.minimizer

    assert gd.minimize is gdcore.minimizer.minimize
    assert not isinstance(gd.descend, type(gdcore))


GPTS = """n_layer n_head n_embd block_size dropout tokenizer positions tied bias activation
recompute n_threads random_state""".split()


def test_what_a_gpt_takes_and_does():
    names = [field.name for field in dataclasses.fields(gd.GPT)]
    assert names[:6] == GPTS[:6]
    assert set(GPTS) <= set(names)
    for name in ("fit", "generate", "evaluate", "logits", "save", "load", "from_gpt2", "save_gpt2"):
        assert getattr(gd.GPT, name).__doc__
    gpt = gd.GPT(n_layer=1, n_head=1, n_embd=4, block_size=4, tokenizer="bytes")
    assert gpt.fit("abcd" * 9, max_steps=1, validation=None) is gpt
    for name in ("theta_", "tokenizer_", "result_", "trace_", "n_iter_"):
        assert hasattr(gpt, name)
    assert set(gd.tokenizers.KINDS) == {"bytes", "characters", "bpe"}
    for name in ("Bytes", "Characters", "BPE"):
        assert getattr(gd.tokenizers, name).__doc__
