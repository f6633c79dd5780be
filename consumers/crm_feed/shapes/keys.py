"""The record id in a Kafka key, and the object that a topic's name stands for: all that a tombstone has.

Place     confluent_v2, osodevops, tombstones -> [this]. Pure.
Source    reference 3.2: keys are `{"Id": ...}` or the id as text; topics `{prefix}.{SObject}`.
"""

from fakturo.consumers.crm_feed.shapes.message import Message
from fakturo.schemas.salesforce_ids import long_id

_KEY_PREFIXES = {
    "Account": "001",
    "Asset": "02i",
    "Contact": "003",
    "Contract": "800",
    "Lead": "00Q",
    "Opportunity": "006",
    "OpportunityLineItem": "00k",
    "Order": "801",
    "OrderItem": "802",
    "Pricebook2": "01s",
    "PricebookEntry": "01u",
    "Product2": "01t",
    "Quote": "0Q0",
    "QuoteLineItem": "0QL",
}
"""The first three characters of a standard object's ids: the same in every org (Salesforce help 000385203)."""


def key_id(message: Message) -> str | None:
    """Return the record id in the message's key, None where there is none."""
    found = message.key
    if isinstance(found, dict):
        inner = found.get("payload")
        found = (inner if isinstance(inner, dict) else found).get("Id")
    elif isinstance(found, str) and message.fields.get("Id"):
        return None  # any text may be the key of a record that has its id itself
    return found if isinstance(found, str) and found else None


def entity_of_topic(topic: str, record_id: str) -> str | None:
    """Return the object that the last part of `topic` names, if `record_id` can be one of its records.

    A standard object is told by its ids' prefix; a custom one by its name's ending, its ids beginning with `a`.
    """
    entity = topic.rpartition(".")[2]
    try:
        prefix = long_id(record_id)[:3]
    except ValueError:
        return None
    if entity.endswith("__c"):
        return entity if prefix[0] == "a" else None
    return entity if _KEY_PREFIXES.get(entity) == prefix else None
