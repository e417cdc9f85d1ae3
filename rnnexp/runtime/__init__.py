"""The machine a run stands on: devices, processes, signals, compiled programs that are kept."""
