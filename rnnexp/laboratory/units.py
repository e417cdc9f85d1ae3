"""The units of the laboratory's figures. Imports nothing, so that readers start quickly."""

UNITS = {
    "lyapunov": "nats per step",
    "lyapunov_error": "nats per step",
    "lyapunov_drift": "nats per step",
    "lyapunov_lost": "share of intervals",
    "kaplan_yorke": "dimensions",
    "singular": "nats",
    "singular_error": "nats",
    "singular_smallest": "nats",
    "condition": "nats",
    "gate_low": "share of units",
    "gate_high": "share of units",
    "time_constant": "steps",
    "dead": "share of units",
    "saturated": "share of units",
    "span": "steps",
    "time": "steps",
    "lag": "steps",
    "each_lag": "steps",
    "output_time": "steps",
    "step": "updates made",
}
"""By variable and dimension; others have no unit."""
