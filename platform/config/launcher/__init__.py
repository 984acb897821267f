"""Starts and stops a whole site: private PostgreSQL and Valkey where none are given, web, workers, beat."""

from config.launcher.folders import LaunchError
from config.launcher.site import Site

__all__ = ["LaunchError", "Site"]
