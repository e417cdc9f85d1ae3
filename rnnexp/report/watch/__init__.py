"""The report's page, served on this machine alone, live while runs train."""
