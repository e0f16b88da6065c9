"""Sweeps an installation over and over, with little room for features, until killed (bench/chaos.py)."""

from __future__ import annotations

import time

from sqlalchemy.exc import SQLAlchemyError

from records import sweep
from records.db import Database
from records.settings import Retention, Settings
from records.storage import Storage
from vcp_core.catalog.errors import StorageError
from vcp_core.scoring.maps import MAP_VERSION

ROOM_GIB = 0.0005  # some evaluations of chaos fill it
MIN_AGE_S = 5.0  # a worker writes an object into a local folder by another name first
EVERY_S = 0.5


def main() -> None:
    """Sweep until the process is killed."""
    settings = Settings.load()
    database, store = Database(settings.database_url.get_secret_value()), Storage(settings.store_url)
    limits = Retention(features_gib=ROOM_GIB)
    while True:
        try:
            sweep.run(database, store, limits, map_version=MAP_VERSION, min_age_s=MIN_AGE_S)
        except (SQLAlchemyError, StorageError) as error:  # PostgreSQL was killed
            print(error, flush=True)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
