"""The environment variables by which a user says where JAX keeps compiled programs."""

OURS = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
