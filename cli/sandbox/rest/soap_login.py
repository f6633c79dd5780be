"""SOAP login(): a user name and a password become a session id.

Place     app.py -> [this] -> access.py, sessions.py
Rules     The session id is an access token like any other. Versions up to 64.0 have login(), later ones do not; below
          31.0 nothing is left. The sandbox knows no other SOAP operation. A fault is HTTP 500, as SOAP 1.1 says.
Source    SOAP API Developer Guide, "login()", "SOAP API End-of-Life Policy"; reference 4.1.
"""

from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.access import Access
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.rest.answers import org_of
from fakturo.cli.sandbox.rest.calls import OLDEST
from fakturo.cli.sandbox.rest.oauth import instance_url

LAST_WITH_LOGIN = 64
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_API = {"u": "partner", "c": "enterprise"}


async def login(request: Request) -> Response:
    """Answer a login call."""
    kind, version = request.url.path.split("/Soap/", 1)[1][:1], request.path_params["version"]
    number = int(float(version)) if version.replace(".", "", 1).isdigit() else 0
    if number < OLDEST:
        return _fault(kind, "UNSUPPORTED_API_VERSION", f"API version {version} is retired or does not exist")
    try:
        call, org_id = _read(await request.body())
    except (ParseError, DefusedXmlException):
        return _client_fault("The request is no XML")
    if call is None or _local(call) != "login":
        return _client_fault(f"No operation available for request {_shown(call)}, please check the WSDL")
    if number > LAST_WITH_LOGIN:
        return _client_fault(f"No operation available for request {_shown(call)}: login() ended with version 64.0")
    given = {_local(child): child.text or "" for child in call}
    access: Access = request.app.state.access
    known_org = org_id is None or org_id[:15] == org_of(request).org_id[:15]
    if not known_org or not access.is_user(given.get("username", ""), given.get("password", "")):
        return _fault(kind, "INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    return _logged_in(request, kind, version)


def _read(body: bytes) -> tuple[Element | None, str | None]:
    """Return the operation that a request calls, and the org that its LoginScopeHeader names."""
    envelope = ElementTree.fromstring(body)
    soap_body = envelope.find(f"{{{_ENVELOPE}}}Body")
    named = next((one.text for one in envelope.iter() if _local(one) == "organizationId"), None)
    return (next(iter(soap_body), None) if soap_body is not None else None), named


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _shown(element: Element | None) -> str:
    return "nothing" if element is None else element.tag


def _logged_in(request: Request, kind: str, version: str) -> Response:
    org = org_of(request)
    session = org.sessions.issue(org.user_id)
    where = instance_url(request)
    short = org.org_id[:15]
    result = (
        f"<metadataServerUrl>{escape(where)}/services/Soap/m/{version}/{short}</metadataServerUrl>"
        "<passwordExpired>false</passwordExpired><sandbox>true</sandbox>"
        f"<serverUrl>{escape(where)}/services/Soap/{kind}/{version}/{short}</serverUrl>"
        f"<sessionId>{escape(session.token)}</sessionId><userId>{org.user_id}</userId>"
        f"<userInfo>{_user_info(org)}</userInfo>"
    )
    return _xml(
        f'<loginResponse xmlns="urn:{_API[kind]}.soap.sforce.com"><result>{result}</result></loginResponse>', 200
    )


def _user_info(org: SandboxOrg) -> str:
    user = org.tables["User"][org.user_id]
    told = {
        "organizationId": org.org_id,
        "organizationMultiCurrency": "true",
        "organizationName": org.org_name,
        "sessionSecondsValid": str(int(org.sessions.idle_seconds)),
        "userDefaultCurrencyIsoCode": user["DefaultCurrencyIsoCode"],
        "userEmail": user["Email"],
        "userFullName": user["Name"],
        "userLanguage": user["LanguageLocaleKey"],
        "userLocale": user["LocaleSidKey"],
        "userName": user["Username"],
        "userTimeZone": user["TimeZoneSidKey"],
        "userType": user["UserType"],
    }
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in told.items())


def _fault(kind: str, code: str, message: str) -> Response:
    told = f"<sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{escape(message)}</sf:exceptionMessage>"
    return _xml(
        f'<soapenv:Fault xmlns:sf="urn:fault.{_API[kind]}.soap.sforce.com"><faultcode>sf:{code}</faultcode>'
        f"<faultstring>{code}: {escape(message)}</faultstring><detail>"
        f'<sf:LoginFault xsi:type="sf:LoginFault">{told}</sf:LoginFault></detail></soapenv:Fault>',
        500,
    )


def _client_fault(message: str) -> Response:
    return _xml(
        "<soapenv:Fault><faultcode>soapenv:Client</faultcode>"
        f"<faultstring>{escape(message)}</faultstring></soapenv:Fault>",
        500,
    )


def _xml(body: str, status: int) -> Response:
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{_ENVELOPE}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>",
        status,
        media_type="text/xml",
    )


ROUTES = [
    Route(f"/services/Soap/{kind}/{{version}}{rest}", login, methods=["POST"], name=kind)
    for kind in _API
    for rest in ("", "/{org_id}")
]
