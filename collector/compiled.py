"""The hot path's compiled part (c/, described in _compiled.pyi), where it was built.

Without it, for want of a C compiler, all is the same and slower: rows.py, wire/plain.py,
ingest/heads.py, store/window.py and store/inserts.py, which use it, do without, and `collector
serve` says so.
"""

try:
    from collector import _compiled
    from collector._compiled import Decoder as Decoder
    from collector._compiled import Head as Head
    from collector._compiled import Inserts as Inserts
    from collector._compiled import Plain as Plain
    from collector._compiled import Row as Row
    from collector._compiled import Table as Table
    from collector._compiled import pack as pack

    FILE = _compiled.__file__
except ImportError:
    Decoder = Head = Inserts = Plain = Row = Table = object  # type: ignore[assignment,misc]

COMPILED = Row is not object
