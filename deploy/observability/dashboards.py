"""Write the Grafana dashboards: python deploy/observability/dashboards.py. A test compares the files with this."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """A graph: a title, the unit in Grafana's terms, and queries by legend."""

    title: str
    unit: str
    queries: Mapping[str, str]


GATEWAY = 'service_name="crm-gateway"'
REQUESTS = "http_server_request_duration_seconds"
BY_SERVICE = "{{service_name}}"
BY_PROCESS = "{{service_name}} {{crm_role}} {{instance}}"
LATE = f"histogram_quantile(0.95, sum by (le) (rate({REQUESTS}_bucket{{{GATEWAY}}}[5m])))"

DASHBOARDS: Mapping[str, tuple[str, Sequence[Panel]]] = {
    "requests": (
        "Liaison: requests",
        [
            Panel(
                "Requests a second at the gateway, by result",
                "reqps",
                {
                    "{{http_response_status_class}}": f"sum by (http_response_status_class) (rate({REQUESTS}_count{{{GATEWAY}}}[5m]))"
                },
            ),
            Panel(
                "Errors at the gateway (objective 0.1 %)",
                "percentunit",
                {
                    "5 min": "liaison:gateway_error_ratio:rate5m",
                    "1 h": "liaison:gateway_error_ratio:rate1h",
                    "6 h": "liaison:gateway_error_ratio:rate6h",
                },
            ),
            Panel(
                "Slower than 0.5 s at the gateway (objective 1 %)",
                "percentunit",
                {
                    "5 min": "liaison:gateway_slow_ratio:rate5m",
                    "1 h": "liaison:gateway_slow_ratio:rate1h",
                    "6 h": "liaison:gateway_slow_ratio:rate6h",
                },
            ),
            Panel(
                "Duration at the gateway",
                "s",
                {"p50": LATE.replace("0.95", "0.5"), "p95": LATE, "p99": LATE.replace("0.95", "0.99")},
            ),
            Panel(
                "Requests a second by service",
                "reqps",
                {BY_SERVICE: f'sum by (service_name) (rate({REQUESTS}_count{{crm_role!="worker"}}[5m]))'},
            ),
            Panel(
                "Errors a second by service and route",
                "reqps",
                {
                    "{{service_name}} {{http_request_method}} {{http_route}}": f'sum by (service_name, http_request_method, http_route) (rate({REQUESTS}_count{{http_response_status_class="5xx"}}[5m])) > 0'
                },
            ),
            Panel(
                "Slowest routes, 95th percentile",
                "s",
                {
                    "{{service_name}} {{http_request_method}} {{http_route}}": f"topk(10, histogram_quantile(0.95, sum by (le, service_name, http_request_method, http_route) (rate({REQUESTS}_bucket[5m]))))"
                },
            ),
            Panel(
                "Gateway to services, 95th percentile",
                "s",
                {
                    "{{upstream}}": "histogram_quantile(0.95, sum by (le, upstream) (rate(http_client_request_duration_seconds_bucket[5m])))"
                },
            ),
            Panel(
                "Calls without an answer, refusals, open breakers",
                "short",
                {
                    "{{upstream}} {{reason}}": "sum by (upstream, reason) (rate(crm_gateway_upstream_failures_total[5m]))",
                    "refused {{upstream}} {{reason}}": "sum by (upstream, reason) (rate(crm_gateway_refused_total[5m]))",
                    "open {{upstream}}": "max by (upstream) (crm_gateway_breaker_open)",
                },
            ),
            Panel(
                "Calls under way, of the slots",
                "percentunit",
                {"{{upstream}}": "max by (upstream) (crm_gateway_upstream_calls / crm_gateway_upstream_slots)"},
            ),
            Panel(
                "Refused before the app, and shares used up, a second",
                "short",
                {
                    "{{service_name}} {{reason}}": "sum by (service_name, reason) (rate(crm_http_refused_total[5m]))",
                    "{{service_name}} share {{share}}": "sum by (service_name, share) (rate(crm_shares_refused_total[5m]))",
                },
            ),
        ],
    ),
    "events": (
        "Liaison: events",
        [
            Panel(
                "From commit to effect, 95th percentile",
                "s",
                {
                    "{{service_name}} {{group}}": "histogram_quantile(0.95, sum by (le, service_name, group) (rate(crm_inbox_lag_seconds_bucket[5m])))"
                },
            ),
            Panel(
                "Events later than 10 s (objective 1 %)", "percentunit", {BY_SERVICE: "liaison:event_late_ratio:rate5m"}
            ),
            Panel(
                "Outbox: not confirmed",
                "short",
                {BY_SERVICE: "liaison:outbox_pending:max", "held {{service_name}}": "liaison:outbox_held:max"},
            ),
            Panel("Outbox: age of the oldest", "s", {BY_SERVICE: "liaison:outbox_oldest_seconds:max"}),
            Panel("Queues at the broker", "short", {"{{queue}}": "liaison:queue_messages:max"}),
            Panel("Inbox: stored", "short", {"{{service_name}} {{group}} {{state}}": "liaison:inbox_stored:max > 0"}),
            Panel(
                "Inbox: oldest stored, and oldest gap",
                "s",
                {
                    "{{service_name}} {{group}} {{state}}": "max by (service_name, group, state) (crm_inbox_oldest_stored_seconds) > 0",
                    "gap {{service_name}}": "max by (service_name) (crm_inbox_oldest_gap_seconds)",
                },
            ),
            Panel(
                "Handled and failed a second",
                "short",
                {
                    "{{group}}": "sum by (group) (rate(crm_inbox_handled_total[5m]))",
                    "failed {{group}}": "sum by (group) (rate(crm_inbox_failed_total[5m])) > 0",
                },
            ),
            Panel(
                "Refused, rejected, unknown a second",
                "short",
                {
                    "refused {{service_name}}": "sum by (service_name) (rate(crm_inbox_refused_total[5m]))",
                    "rejected {{service_name}}": "sum by (service_name) (rate(crm_inbox_rejected_total[5m]))",
                    "unknown {{service_name}}": "sum by (service_name) (rate(crm_inbox_unknown_total[5m]))",
                },
            ),
            Panel(
                "Handlers, 95th percentile of a transaction",
                "s",
                {
                    "{{group}} {{outcome}}": "histogram_quantile(0.95, sum by (le, group, outcome) (rate(messaging_process_duration_seconds_bucket[5m])))"
                },
            ),
            Panel(
                "Relay: batch to last confirm, 95th percentile",
                "s",
                {
                    BY_SERVICE: "histogram_quantile(0.95, sum by (le, service_name) (rate(crm_relay_publish_seconds_bucket[5m])))"
                },
            ),
            Panel(
                "Relay: published, returned, again",
                "short",
                {
                    BY_SERVICE: "sum by (service_name) (rate(crm_relay_published_total[5m]))",
                    "returned {{service_name}}": "sum by (service_name) (rate(crm_relay_returned_total[5m]))",
                    "again {{service_name}}": "sum by (service_name) (rate(crm_relay_republished_total[5m]))",
                    "piece {{service_name}}": "min by (service_name) (crm_relay_piece)",
                },
            ),
        ],
    ),
    "saturation": (
        "Liaison: saturation",
        [
            Panel("Ready", "short", {BY_PROCESS: "crm_ready"}),
            Panel(
                "Connections in use, of the pool",
                "percentunit",
                {"{{service_name}} {{crm_role}} {{pool}}": "liaison:connections_used_ratio:max"},
            ),
            Panel(
                "Waiting for a connection, and given up",
                "short",
                {
                    "{{service_name}} {{pool}}": "sum by (service_name, pool) (db_client_connection_pending_requests)",
                    "given up {{service_name}}": "sum by (service_name) (rate(db_client_connection_timeouts_total[5m]))",
                },
            ),
            Panel(
                "Connections of the server",
                "percentunit",
                {"used": "max(crm_database_server_connections / crm_database_server_connections_max)"},
            ),
            Panel(
                "Event loop late, 99th percentile",
                "s",
                {
                    "{{service_name}} {{crm_role}}": "histogram_quantile(0.99, sum by (le, service_name, crm_role) (rate(crm_event_loop_delay_seconds_bucket[5m])))"
                },
            ),
            Panel("Requests under way", "short", {BY_SERVICE: "sum by (service_name) (http_server_active_requests)"}),
            Panel(
                "Processor",
                "percentunit",
                {BY_PROCESS: "sum by (service_name, crm_role, instance) (rate(process_cpu_time_seconds_total[5m]))"},
            ),
            Panel("Memory", "bytes", {BY_PROCESS: "process_memory_usage_bytes"}),
            Panel(
                "Open files, of the limit",
                "percentunit",
                {BY_PROCESS: "process_unix_file_descriptor_count / crm_process_file_descriptor_limit"},
            ),
            Panel(
                "Garbage collections a second, oldest generation",
                "short",
                {BY_PROCESS: 'rate(cpython_gc_collections_total{cpython_gc_generation="2"}[5m])'},
            ),
            Panel(
                "Disk left",
                "percentunit",
                {
                    "{{service_name}} {{directory}}": "min by (service_name, directory) (crm_disk_free_bytes / crm_disk_size_bytes)"
                },
            ),
            Panel("Size of databases", "bytes", {BY_SERVICE: "max by (service_name) (crm_database_size_bytes)"}),
            Panel(
                "Imports",
                "short",
                {
                    "{{service_name}} {{status}}": "max by (service_name, status) (crm_import_jobs)",
                    "resting {{service_name}}": "max by (service_name) (crm_import_resting)",
                    "lanes {{service_name}}": "sum by (service_name) (crm_import_lanes_busy)",
                },
            ),
            Panel(
                "Timers overdue, and failed",
                "short",
                {
                    "{{service_name}} {{timer}}": "max by (service_name, timer) (crm_timer_overdue)",
                    "failed {{timer}}": "sum by (timer) (rate(crm_timer_failed_total[5m]))",
                },
            ),
            Panel(
                "Since each chore was last done",
                "s",
                {
                    "{{service_name}} {{chore}}": "time() - max by (service_name, chore) (crm_chore_last_success_timestamp_seconds)"
                },
            ),
            Panel(
                "Builds and schemas",
                "short",
                {
                    "{{service_name}} {{version}}": "count by (service_name, version) (crm_build_info)",
                    "schema {{service_name}}": "min by (service_name) (crm_schema_fits)",
                },
            ),
            Panel(
                "Keys",
                "s",
                {
                    "as told to {{service_name}}": "max by (service_name) (crm_tokens_keys_age_seconds)",
                    "signing": "max(crm_identity_signing_key_age_seconds)",
                },
            ),
            Panel(
                "Log lines lost, locked log-ins",
                "short",
                {
                    BY_SERVICE: "sum by (service_name) (increase(crm_log_writes_failed_total[1h]))",
                    "locked": "sum(increase(crm_identity_lockouts_total[1h]))",
                },
            ),
        ],
    ),
}


def dashboard(uid: str, title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """Return a dashboard in Grafana's format, with two graphs in a row."""
    return {
        "uid": f"liaison-{uid}",
        "title": title,
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "tags": ["liaison"],
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Source"}]},
        "panels": [
            {
                "id": number + 1,
                "type": "timeseries",
                "title": panel.title,
                "datasource": SOURCE,
                "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
                "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
                    for index, (legend, query) in enumerate(panel.queries.items())
                ],
            }
            for number, panel in enumerate(panels)
        ],
    }


def files() -> dict[str, str]:
    """Return the content of each file."""
    return {
        f"{uid}.json": json.dumps(dashboard(uid, title, panels), indent=2) + "\n"
        for uid, (title, panels) in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text)
