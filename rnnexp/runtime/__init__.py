"""The machine of a run: devices, processes, signals, the cache of compiled programs."""
