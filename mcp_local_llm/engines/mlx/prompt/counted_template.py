"""Inserts counting into the syntax tree of a chat template: filters that a bounded environment must have. Pure."""

from typing import cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

STEP, PRINTED, BUILT, SHOWN = "_count_step", "_count_printed", "_check_size", "_check_shown"
SEARCHED = "_check_searched"


def with_counting(tree: nodes.Template) -> nodes.Template:
    """Return the tree with filters that count its steps and what it makes, prints, joins and compares."""
    return cast(nodes.Template, _Counting().visit(tree))


class _Counting(NodeTransformer):
    """Changes the nodes one by one."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, _step(node))
        if node.test is not None:
            # A filtered loop tests what its body never sees.
            node.test = nodes.And(nodes.Not(_step_expression(1, node), lineno=node.lineno), node.test)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, _step(node))
        return node

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        # The call itself must stay a call: the block becomes its argument.
        self.generic_visit(node.call)
        node.body = [self.visit(child) for child in node.body]
        node.body.insert(0, _step(node))
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [
            child if isinstance(child, nodes.TemplateData) else _filtered(child, PRINTED) for child in node.nodes
        ]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        # Before they become texts: a list may be short, and its text without end.
        node.nodes = [_filtered(child, SHOWN) for child in node.nodes]
        return _filtered(node, BUILT)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        for operand in node.ops:
            operand.expr = _read(operand.expr, SEARCHED if operand.op in ("in", "notin") else SHOWN)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        self.generic_visit(node)
        node.args = [_read(argument, SHOWN) for argument in node.args]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            return _filtered(node, BUILT)
        node.arg = _read(node.arg, SHOWN)
        return node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, SHOWN) if node.ctx == "load" and node.items else node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        return self._checked(node)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        inner: nodes.Expr | None = node
        while isinstance(inner, nodes.Filter):
            inner = inner.node
        if inner is None:
            self.generic_visit(node)  # The filter of a block: what it gets is printed, and counted there.
            return node
        return self._checked(node)

    def _checked(self, node: nodes.Expr) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, BUILT)


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _read(node: nodes.Expr, name: str) -> nodes.Expr:
    """Count what native code goes through, unless it is written there as one word or number."""
    return node if isinstance(node, nodes.Const) else _filtered(node, name)


def _step_expression(cost: int, place: nodes.Node) -> nodes.Filter:
    return _filtered(nodes.Const(cost, lineno=place.lineno), STEP)


def _step(place: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
    """Count a turn; the fixed text that it writes costs, too."""
    fixed = sum(len(data.data) for child in place.body for data in child.find_all(nodes.TemplateData))
    return nodes.ExprStmt(_step_expression(1 + fixed // 64, place), lineno=place.lineno)
