"""Store and Directory on one SQLite file: the default of a single node.

files.py      the data directory: lock, version, migrations, soundness at start
writer.py     the one write thread: a group of jobs, one transaction, one fsync
bulk.py       the plain commits of a group, all at once in a few big statements
single.py     any commit, one at a time
places.py     where entries stand and which ops were done, kept cheap to write
moves.py      cursors
touches.py    whose inbox rows are already above their last sync
archive.py    live items that are kept for replays
checkpoint.py the thread that copies the write-ahead log into the file
reading.py    the read threads and what they ask
check.py      what `hongyan doctor` looks at
"""

from hongyan.adapters.sqlite.directory import SqliteDirectory
from hongyan.adapters.sqlite.files import StoreCorrupt, StoreFault, StoreLocked, StoreTooNew
from hongyan.adapters.sqlite.outlets import SqliteOutlets
from hongyan.adapters.sqlite.store import SqliteStore

__all__ = [
    "SqliteDirectory",
    "SqliteOutlets",
    "SqliteStore",
    "StoreCorrupt",
    "StoreFault",
    "StoreLocked",
    "StoreTooNew",
]
