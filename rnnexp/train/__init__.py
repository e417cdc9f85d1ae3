"""A training program: the plan, the step, the chunk of steps, lanes, evaluation."""
