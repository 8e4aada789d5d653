"""What a running fit says: log lines and a progress bar, as callbacks of the loop."""

import sys
import time
from contextlib import contextmanager

PAUSE = 0.1  # seconds between two writes of the plain line


@contextmanager
def reporting(verbose, progress, max_epochs):
    """The callbacks behind the `verbose` and `progress` arguments of an estimator."""
    callbacks, finish = [], None
    if verbose:
        callbacks.append(_log_lines(max(1, max_epochs // 20) if verbose == 1 else 1))
    if progress and sys.stderr.isatty():
        update, finish = _bar(max_epochs)
        callbacks.append(update)
    try:
        yield callbacks
    finally:
        if finish is not None:
            finish()


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
    """(update, finish): tqdm's bar, or one plain line where tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return _plain_line(total)
    bar = tqdm(total=total, unit="epoch", leave=False)

    def update(moment):
        bar.set_postfix_str(f"cost {moment.cost:.6g}, ‖∇J‖ {moment.gradient_norm:.2g}", False)
        bar.update(moment.epoch - bar.n)

    return update, bar.close


def _plain_line(total):
    written = -PAUSE

    def update(moment):
        nonlocal written
        if moment.seconds - written < PAUSE and moment.epoch < total:
            return
        written = moment.seconds
        text = f"epoch {moment.epoch}/{total}  cost {moment.cost:.6g}"
        sys.stderr.write(f"\r{text}  ‖∇J‖ {moment.gradient_norm:.2g}   ")
        sys.stderr.flush()

    def finish():
        sys.stderr.write("\n")

    return update, finish


@contextmanager
def stepping(total, done=0):
    """An `observe(step, loss, examples)` that shows a run of so many steps on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    started, seen, mean = time.perf_counter(), 0, None
    try:
        from tqdm import tqdm

        bar = tqdm(total=total, initial=done, unit="step", leave=False)
    except ImportError:
        bar = None
    written = started

    def observe(step, loss, examples):
        nonlocal seen, mean, written
        seen += examples
        mean = loss if mean is None else 0.95 * mean + 0.05 * loss
        now = time.perf_counter()
        if now - written < PAUSE and step < total:
            return
        written, speed = now, seen / (now - started)
        if bar is not None:
            bar.set_postfix_str(f"loss {mean:.4f}, {speed:,.0f} tokens/s", False)
            bar.update(step - bar.n)
            return
        left = (total - step) * (now - started) / max(1, step - done)
        sys.stderr.write(f"\rstep {step}/{total}  loss {mean:.4f}  {speed:,.0f} tokens/s  ")
        sys.stderr.write(f"{int(left) // 60}:{int(left) % 60:02d} left  ")
        sys.stderr.flush()

    try:
        yield observe
    finally:
        if bar is not None:
            bar.close()
        else:
            sys.stderr.write("\n")
