"""Many runs: the space of a sweep, its configurations, and how they are trained."""
