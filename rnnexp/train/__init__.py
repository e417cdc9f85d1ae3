"""The training program: plan, step, chunk of steps, lanes, evaluation."""
