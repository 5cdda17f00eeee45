"""All facts → all findings, in the order in which a reader asks. Pure."""

from mcp_local_llm.doctor import advice, surroundings
from mcp_local_llm.doctor import model_checks as models
from mcp_local_llm.doctor import server_checks as servers
from mcp_local_llm.doctor import setup_checks as basics
from mcp_local_llm.doctor.facts import Facts
from mcp_local_llm.doctor.finding import Finding


def report(facts: Facts) -> tuple[Finding, ...]:
    """Judge everything that was read."""
    parts = (
        basics.versions,
        basics.engine,
        basics.machine,
        basics.settings,
        basics.variables,
        models.models,
        models.choice,
        models.registry,
        surroundings.resident,
        surroundings.llama_server,
        advice.linux_cpu,
        advice.recommendation,
        servers.endpoints,
        servers.sightings,
        surroundings.claude,
    )
    return tuple(finding for part in parts for finding in part(facts))
