"""The demo data set: five sources of one coffee-and-tea retailer, about invented people.

The files in `data/` are what `generate.py` writes with its defaults. `SOURCES` names them in the order in which
the demo loads them; `story.json` beside them names the people and devices worth showing.
"""

from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
DATA = HERE / "data"
STORY = DATA / "story.json"


class Source(NamedTuple):
    """One file of the data set: who says it, where it lies, and the field mapping it needs.

    `fields` is None where the rows are observations already.
    """

    name: str
    file: str
    fields: Path | None


SOURCES = (
    Source("crm", "crm.csv", HERE / "fields" / "crm.yaml"),
    Source("shop", "shop_orders.jsonl", HERE / "fields" / "shop_orders.yaml"),
    Source("pos", "till_receipts.csv", HERE / "fields" / "till_receipts.yaml"),
    Source("web", "web_events.jsonl", None),
    Source("app", "app_events.jsonl", None),
)
