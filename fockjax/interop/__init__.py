"""Bridges to other simulators. Each is imported only when asked for."""
