"""`Strategy`: what a user subclasses to trade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar

from twinstar_kit.strategy.component import Component
from twinstar_kit.strategy.context import Context
from twinstar_kit.strategy.errors import ParamError, StrategyError
from twinstar_kit.strategy.params import Number, ParamSpec, suggestion

S = TypeVar("S", bound="Strategy")


class Strategy(Component, base=True):
    """Base of strategies: declare parameters, indicators and fields, and propose orders in `on_bar`.

    An object stores its parameters and its state, nothing else; nothing is shared between objects. On every bar
    the declared indicators are fed first, then `on_bar` is called, from the first bar on: ask an indicator's
    `ready` before using it. A class that cannot be right is refused when it is made, with the line that shows it.

    `overlays` names values worth drawing over the price, such as `"channel.upper"`.

    >>> from twinstar_kit.strategy import Param, Strategy
    >>> from twinstar_kit.strategy.indicators import SMA
    >>> class Cross(Strategy):
    ...     fast: int = Param(20, 2, 200, help="bars in the fast average")
    ...     slow: int = Param(50, 5, 500, help="bars in the slow average")
    ...     quick = SMA(fast)
    ...     calm = SMA(slow)
    ...     def on_bar(self, ctx):
    ...         if self.calm.ready and ctx.position == 0.0 and self.quick.value > self.calm.value:
    ...             ctx.buy()
    ...         elif ctx.position > 0.0 and self.quick.value < self.calm.value:
    ...             ctx.close()
    >>> Cross(fast=10).params()
    {'fast': 10, 'slow': 50}
    """

    overlays: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **params: Any) -> None:
        if type(self).on_bar is Strategy.on_bar:
            raise StrategyError(f"{type(self).__name__} has no on_bar(self, ctx), so it could never trade")
        super().__init__(**params)
        if not all(name in vars(self) for name in self.declared.params):
            raise ParamError(f"{type(self).__name__}: a strategy's parameters are numbers, not expressions")

    def on_bar(self, ctx: Context) -> None:
        """Called once for every complete bar, after the indicators; proposes through `ctx`."""
        raise NotImplementedError

    @classmethod
    def specs(cls) -> dict[str, ParamSpec]:
        """The declared parameters by name: type, default, range, step and help."""
        return dict(cls.declared.params)

    @classmethod
    def from_text(cls, settings: Mapping[str, str]) -> Self:
        """An object with parameters as a command line spells them; ParamError names what is wrong.

        >>> from twinstar_kit.strategy import load
        >>> load("breakout").from_text({"lookback": "20"}).params()["lookback"]
        20
        """
        known = cls.declared.params
        for name in settings:
            if name not in known:
                has = ", ".join(known) or "none"
                raise ParamError(
                    f"{cls.__name__} has no parameter {name!r}{suggestion(name, known) or '.'} It has {has}."
                )
        return cls(
            **{name: known[name].parse(text, f"{cls.__name__}.{name}") for name, text in settings.items()}
        )

    def replace(self, **changes: Number) -> Self:
        """A new object with some parameters changed and fresh state."""
        return type(self)(**{**self.params(), **changes})

    @classmethod
    def source_hash(cls) -> str:
        """Hash of everything that decides what this strategy does, but for its parameters' values.

        It covers the declarations and the sources of all methods, indicators and helper functions, and is the
        same in every process, on every path, compiled or interpreted.
        """
        from twinstar_kit.strategy.compiler.identity import source_hash

        return source_hash(cls)
