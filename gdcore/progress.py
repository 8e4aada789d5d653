"""What a running fit says: log lines and a progress bar, as callbacks of the loop."""

import sys


def reporters(verbose, progress, max_epochs):
    """The callbacks behind the `verbose` and `progress` arguments of an estimator."""
    callbacks = []
    if verbose:
        callbacks.append(_log_lines(max(1, max_epochs // 20) if verbose == 1 else 1))
    if progress and sys.stderr.isatty():
        callbacks.append(_bar(max_epochs))
    return callbacks


def _log_lines(every):
    import logging

    logger = logging.getLogger("gdcore")
    if not logger.handlers and not logging.getLogger().handlers:
        logger.addHandler(logging.StreamHandler())
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)

    def log(moment):
        if moment.epoch % every == 0:
            logger.info(
                "epoch %5d  cost %.6g  gradient %.3g  rate %.3g  %.2f s", moment.epoch,
                moment.cost, moment.gradient_norm, moment.learning_rate, moment.seconds,
            )  # fmt: skip

    return log


def _bar(total):
    try:
        from tqdm import tqdm
    except ImportError:
        return _one_line()
    bar = tqdm(total=total, unit="epoch", leave=False)

    def update(moment):
        bar.set_postfix_str(f"cost {moment.cost:.6g}, gradient {moment.gradient_norm:.2g}")
        bar.update(moment.epoch - bar.n)

    return update


def _one_line():
    def write(moment):
        text = f"\repoch {moment.epoch}  cost {moment.cost:.6g}  ‖∇J‖ {moment.gradient_norm:.2g}  "
        sys.stderr.write(text)
        sys.stderr.flush()

    return write
