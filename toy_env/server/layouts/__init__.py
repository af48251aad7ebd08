"""What stands where on the wire, one table a client version. Methods name a layout and never an order of fields.

A further version is a further module beside `v0_9_16` and a row of `TABLES`.
"""

from toy_env.server.layouts import v0_9_15, v0_9_16
from toy_env.server.layouts.table import Layouts

TABLES: dict[str, Layouts] = {table.version: table for table in (v0_9_15.LAYOUTS, v0_9_16.LAYOUTS)}
"""By the version that the client expects of its server."""

__all__ = ["TABLES", "Layouts"]
