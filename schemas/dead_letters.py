"""Why an event is dead-lettered: the closed list of reasons, also the label of the metric and the CLI's filter."""

from enum import StrEnum


class DeadLetterReason(StrEnum):
    """A reason that no retry can mend; never renamed, since operators alert on them."""

    MALFORMED_JSON = "malformed_json"
    BODY_TOO_LARGE = "body_too_large"
    UNKNOWN_SHAPE = "unknown_shape"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_TIME = "invalid_time"
    FLOAT_AMOUNT = "float_amount"
    NOT_A_NUMBER = "not_a_number"
    VALUE_MISSING = "value_missing"
    UNKNOWN_CURRENCY = "unknown_currency"
    INVALID_AMOUNT = "invalid_amount"
    IDENTITY_CONFLICT = "identity_conflict"
    REFERENCE_NEVER_CAME = "reference_never_came"
    REFUSED_BY_BOOK = "refused_by_book"
    REJECTED_BY_DATABASE = "rejected_by_database"


DEAD_LETTER_HEADER_PREFIX = "__dlq.errors."
DEAD_LETTER_REASON_HEADER = "fakturo-dlq-reason"
DEAD_LETTER_AGENT_HEADER = "fakturo-dlq-agent"
