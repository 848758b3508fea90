"""Progress bars of tqdm."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlx_encoder.errors import warn

Progress = Callable[[str, int, int], None]


@contextmanager
def bar(show: bool | None, name: str) -> Iterator[Progress | None]:
    """A function of (stage, done, total) that draws a bar a stage; None if no bar is wanted or tqdm is not installed."""
    if not show:
        yield None
        return
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except ImportError:
        warn("show_progress_bar: tqdm is not installed, so there is no bar; pip install tqdm")
        yield None
        return
    with tqdm(desc=name) as drawn:

        def draw(stage: str, done: int, total: int) -> None:
            drawn.desc, drawn.total = stage, total
            drawn.update(done - drawn.n)

        yield draw
