"""What a PromQL expression asks for, by the parser that Prometheus' own grammar was ported to."""

import re
from dataclasses import dataclass

import promql_parser

MADE_BY_PROMETHEUS = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
ADDED_BY_PROMETHEUS = {"job", "instance"}


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric and the labels that its samples are chosen by."""

    metric: str
    labels: frozenset[str]


def selectors(expression: str) -> list[Selector]:
    """Every selector in an expression. Raises ValueError where it is not PromQL."""
    found: list[Selector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            labels = frozenset(matcher.name for matcher in node.matchers.matchers)
            found.append(Selector(node.name, labels))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def without_variables(expression: str) -> str:
    """What Grafana sends for an expression of a dashboard: its variables replaced."""
    replaced = expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
    assert "$" not in re.sub(r'"[^"]*"', "", replaced), f"a variable nobody fills in: {expression}"
    return replaced
