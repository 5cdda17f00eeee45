"""Renders chat templates within bounds: a template is a program that came with the model, and may loop for ever.

Jinja's own sandbox bounds `range` alone. Here every turn of a loop, every call of a macro, function or filter and
everything that is made, printed, joined or compared is counted, and the rendering ends when a bound is passed or the
request was cancelled. What native code would go through is counted first: nothing ends it, and it may hold Python's
lock, so that the whole process stands still. The environment is otherwise that of transformers
(`utils/chat_template_utils.py`), so the text is the same.
Pure: it must not know a tokenizer.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from jinja2 import Environment, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from mcp_local_llm.engines.mlx.prompt.counted_template import BUILT, PRINTED, SEARCHED, SHOWN, STEP, with_counting
from mcp_local_llm.engines.mlx.prompt.rendering_budget import RenderingBudget, RenderingLimit
from mcp_local_llm.engines.mlx.prompt.template_sizes import SHALLOW, product_bits, result_size, shown_size

MAX_LAYOUT = 256
"""Characters of the layout of a date."""
MAX_EXPONENT = 64
MAX_BITS = 2**14
"""Of a whole number; Python writes none of more than 4,300 digits."""

_BUDGET = "_rendering_budget"


class ChatTemplate:
    """One compiled chat template.

    Attributes:
        names: its variables, its own among them.
        words: the texts that it compares or writes by themselves.

    Raises:
        jinja2.TemplateSyntaxError: it is no template.
    """

    def __init__(self, source: str) -> None:
        environment = _BoundedEnvironment()
        tree = environment.parse(source)
        self.names = frozenset(name.name for name in tree.find_all(nodes.Name))
        self.words = frozenset(word.value for word in tree.find_all(nodes.Const) if isinstance(word.value, str))
        self._template = environment.from_string(with_counting(tree))

    def render(self, variables: Mapping[str, Any], budget: RenderingBudget) -> str:
        """Return the text.

        Raises:
            RenderingLimit: it passed a bound.
            Exception: whatever the template raises.
        """
        return "".join(self._template.generate({**variables, _BUDGET: budget}))


@lru_cache(maxsize=8)
def compiled(source: str) -> ChatTemplate:
    """Return the compiled template; the last few are kept: compiling takes longer than loading a small model."""
    return ChatTemplate(source)


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with transformers' options, filters and functions, and with bounded operators."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.filters |= {"tojson": _tojson}
        self.filters = {name: _bounded(name, one) for name, one in self.filters.items()}
        self.filters |= {STEP: _count_step, PRINTED: _count_printed, BUILT: _check_size, SHOWN: _check_shown}
        self.filters |= {SEARCHED: _check_searched}
        del self.globals["lipsum"]
        self.globals |= {
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
            "dict": _TemplateDict(),
            "namespace": _TemplateNamespace,
        }

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute `left operator right`, unless the result would be too large."""
        if operator in ("*", "**") and product_bits(operator, left, right) > MAX_BITS:
            raise RenderingLimit(f"it computes a number of more than {MAX_BITS:,} bits")
        if operator == "**":
            if abs(right) > MAX_EXPONENT:
                raise RenderingLimit(f"it computes a power above {MAX_EXPONENT}")
        elif operator == "%":
            _require_room(context, "%", left, right if isinstance(right, tuple) else (right,), {})
        elif operator == "+":
            # A tuple can be a key: its hash goes through all that is in it.
            deep = isinstance(left, tuple)
            _budget(context).built(sum(_shown(context, one) if deep else _size(one) for one in (left, right)))
        elif isinstance(left, int) != isinstance(right, int):
            sequence, count = (right, left) if isinstance(left, int) else (left, right)
            if isinstance(count, int):
                _budget(context).built(_shown(context, sequence) * max(count, 0))
        return super().call_binop(context, operator, left, right)

    def call(self, __context: Context, __obj: Any, *arguments: Any, **named: Any) -> Any:
        """Call a function or method, unless a text, number or list would become too large, or be searched too long."""
        method = getattr(__obj, "__wrapped__", __obj)
        owner = getattr(method, "__self__", None)
        if isinstance(owner, str | int | list | tuple):
            _require_room(__context, f".{method.__name__}", owner, arguments, named)
        return super().call(__context, __obj, *arguments, **named)


class _Generation(Extension):
    """Reads `{% generation %}`, which marks answers for training; here it changes nothing."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return the block's content."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _TemplateDict:
    """`dict` for templates, without the attributes of the type."""

    def __call__(self, *arguments: Any, **named: Any) -> dict[Any, Any]:
        return dict(*arguments, **named)

    def fromkeys(self, *arguments: Any) -> dict[Any, Any]:
        return dict.fromkeys(*arguments)


class _TemplateNamespace(Namespace):
    """`namespace` for templates, without attributes that begin with an underscore."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a namespace takes no attribute {name!r}")
        super().__setitem__(name, value)


def _budget(context: Context) -> RenderingBudget:
    return cast(RenderingBudget, context.resolve(_BUDGET))


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple | range) else 0


@pass_context
def _count_step(context: Context, cost: int) -> None:
    _budget(context).step(cost)


@pass_context
def _count_printed(context: Context, value: Any) -> Any:
    _budget(context).printed(_shown(context, value))
    return value


@pass_context
def _check_shown(context: Context, value: Any) -> Any:
    _shown(context, value)
    return value


@pass_context
def _check_searched(context: Context, value: Any) -> Any:
    # A key is found in a mapping without a look at the others.
    return value if isinstance(value, Mapping) else _check_shown(context, value)


@pass_context
def _check_size(context: Context, value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise RenderingLimit(f"it computes a number of more than {MAX_BITS:,} bits")
    _budget(context).built(_size(value))
    return value


def _shown(context: Context, value: Any) -> int:
    budget = _budget(context)
    size = len(value) if isinstance(value, str) else shown_size(value, budget.room)
    if not isinstance(value, str):
        budget.built(size)
    return size


def _require_room(
    context: Context, name: str, value: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> None:
    budget = _budget(context)
    budget.built(result_size(name, value, arguments, named, budget.room))


def _counted(budget: RenderingBudget, items: Iterator[Any]) -> Iterator[Any]:
    """Count what passes from one filter to the next."""
    for item in items:
        budget.step()
        yield item


def _bounded(name: str, one: Callable[..., Any]) -> Callable[..., Any]:
    """Make a filter that is computed only if its result has room."""
    wants = getattr(one, "jinja_pass_arg", None)

    @pass_context
    def bounded(context: Context, value: Any = "", *arguments: Any, **named: Any) -> Any:
        if isinstance(value, Iterator):
            items = _counted(_budget(context), cast(Iterator[Any], value))
            value = items if name in SHALLOW else [*items]
        _require_room(context, name, value, arguments, named)
        if wants is None:
            return one(value, *arguments, **named)
        passed = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        return one(passed[wants.name], value, *arguments, **named)

    return bounded


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: object) -> None:
    raise TemplateError(message if isinstance(message, str) else "it says no reason")


def _strftime_now(layout: str) -> str:
    if len(layout) > MAX_LAYOUT:
        raise RenderingLimit(f"it writes a date by a layout of more than {MAX_LAYOUT} characters")
    return datetime.now().strftime(layout)
