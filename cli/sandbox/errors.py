"""What the sandbox org refuses, in Salesforce's own words and codes.

Place     validation, transactions, SOQL -> [this] -> rest/answers.py (a JSON list), Bulk results, the SOAP fault.
Source    REST API Developer Guide, "Status Codes and Error Responses"; SOAP API, "StatusCode".
"""

HTTP_STATUS = {
    "INVALID_SESSION_ID": 401,
    "REQUEST_LIMIT_EXCEEDED": 403,
    "INSUFFICIENT_ACCESS": 403,
    "NOT_FOUND": 404,
    "ENTITY_IS_DELETED": 404,
    "METHOD_NOT_ALLOWED": 405,
    "INTERNAL_ERROR": 500,
    "SERVER_UNAVAILABLE": 503,
    "UNSUPPORTED_API_VERSION": 410,
}
"""Every other code is a 400."""


class OrgError(Exception):
    """One refusal: `code` (errorCode, statusCode), `message`, and the `fields` it is about."""

    def __init__(self, code: str, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.fields = fields

    @property
    def status(self) -> int:
        """The HTTP status that REST answers with."""
        return HTTP_STATUS.get(self.code, 400)
