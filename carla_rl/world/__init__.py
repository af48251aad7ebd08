"""One world with one ego as every simulator keeps it: its records, where the ego is on its route, the criteria, the scripts, what is seen.

The toy moves its worlds by its own kernel; the CARLA adapter fills the same records from a server. Knows neither of them.
"""
