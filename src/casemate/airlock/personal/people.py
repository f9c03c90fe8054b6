"""Personal data: what names or reaches a person. The expressions are bounded, so that no text takes them long."""

from __future__ import annotations

import ipaddress
import re

from casemate.airlock.personal.pattern import Pattern, digits, luhn

_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ ]?[A-Za-z0-9]{4}){2,7}(?:[ ]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])"
)
_IBAN_CHARS = {
    "FR": 27, "MC": 27, "GB": 22, "DE": 22, "BE": 16, "LU": 20, "CH": 21, "ES": 24, "IT": 27, "PT": 25, "NL": 18,
    "IE": 22, "AT": 20, "PL": 28, "SE": 24, "DK": 18, "NO": 15, "FI": 18, "GR": 27, "CZ": 24, "HU": 28, "RO": 24,
    "BG": 22, "HR": 21, "SI": 19, "SK": 24, "EE": 20, "LV": 21, "LT": 20, "CY": 28, "MT": 31, "IS": 26, "LI": 21,
    "SM": 27, "AD": 24, "TR": 26, "IL": 23, "SA": 24, "AE": 23, "TN": 24, "MA": 28, "UA": 29,
}  # fmt: skip
_NIR = re.compile(
    r"(?<![\w.])[1-478][ ]?\d{2}[ ]?(?:0[1-9]|[1-9]\d)[ ]?(?:\d{2}|2[ABab])[ ]?\d{3}[ ]?\d{3}[ ]?\d{2}(?!\w|\.\d)"
)
_CARD = re.compile(  # in a row, or in the groups in which issuers print them and not among other such groups
    r"(?<![\w.+-])(?:\d{12,19}|(?<!\d[ -])\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?!\1\d{4}(?!\d))(?:\1\d{1,3})?"
    r"|\d{4}[ -]\d{6}[ -]\d{4,5})(?!\w|[.,-]\d)"
)
_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|(?:2131|1800)\d{11}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|(?:5[06-8]|6\d)\d{10,17}"
)
_SIRET_GROUPS = re.compile(r"(?<![\w.])\d{3}[ \u00a0]\d{3}[ \u00a0]\d{3}[ \u00a0]\d{5}(?!\w)")
_SIRET_NAMED = re.compile(r"(?i:\bsiret\b)[^\d\n]{0,20}(?P<it>\d{3}[ ]?\d{3}[ ]?\d{3}[ ]?\d{5})(?!\d)")
_SIREN_NAMED = re.compile(r"(?i:\bsiren\b|\bRCS\b)[^\d\n]{0,30}(?P<it>\d{3}[ ]?\d{3}[ ]?\d{3})(?!\d)")
_POST = "356000000"  # La Poste numbers its offices by another rule
_FRENCH_PHONE = re.compile(
    r"(?<![\w.+/-])(?:(?:\+|00)33[ .-]?(?:\(0\)[ .-]?)?[1-9]|0[1-9])(?:[ .\u00a0-]?\d{2}){4}(?!\w|[.,/-]\d)"
)
_E164 = re.compile(
    r"(?<![\w.+])(?:\+|00(?=[1-9]))[1-9]\d{0,2}(?:[ ./-]{0,2}(?:\(\d{1,5}\)|\d{1,5})){2,6}"
    r"(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6})?(?!\w)"
)
_AMERICAN_PHONE = re.compile(
    r"(?<![\w.+-])(?:\(\d{3}\)[ ]?|\d{3}[-.])\d{3}[-.]\d{4}(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6})?(?![\w-]|\.\d)"
)
_NAMED_PHONE = re.compile(
    r"(?i:\b(?:t[ée]l(?:[ée]phone)?|phone|mobile|portable|fax|t[ée]l[ée]copie|desk|cell|call|dial|appele[rz]|joindre"
    r"|joignable|reach|answering)\b)[^\d\n+(]{0,20}\n?[ ]?"
    r"(?P<it>[+(]?\d[\d ().\u00a0/-]{4,20}\d(?:[ ]?(?:x|ext\.?|poste)[ ]?\d{1,6})?)(?!\w)"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:{1,2}){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_TITLES = (
    "M.", "MM.", "Mme", "Mmes", "Mlle", "Dr", "Pr", "Mr", "Mrs", "Ms", "Miss", "Monsieur", "Madame", "Mademoiselle",
    "Docteur", "Professeur", "Maître", "Général", "Colonel", "Lieutenant", "Lieutenant-colonel", "Commandant",
    "Capitaine", "Adjudant", "Adjudant-chef", "Sergent", "Sergent-chef", "Caporal", "Caporal-chef", "Amiral", "General",
    "Captain", "Major", "Sergeant", "Corporal", "Admiral",
)  # fmt: skip
_TITLE_BEGINS = re.compile(
    r"[ACDGLMPS](?<![\w.].)(?:(?<=M)(?:\.|M\.|me|lle|r|s|iss|on|ad|a[îj])|(?<=D)(?:r|oct)|(?<=P)r|(?<=G)[ée]n|(?<=L)ieut"
    r"|(?<=C)(?:ol|omm|ap|orp)|(?<=A)(?:dj|mi|dm)|(?<=S)erg)"
)
# Two parts of an address of version 6; times of the day have three.
_TWO_PARTS = re.compile(r":(?<=[0-9A-Fa-f]:):?[0-9A-Fa-f]{1,4}:")
_TITLE = "(?:" + "|".join(re.escape(title) for title in sorted(_TITLES, key=len, reverse=True)) + ")"
_WORD = r"[A-ZÀ-ÖØ-ÞŁŚŠŽČ][\w'’-]{0,30}"
_PARTICLE = r"(?:de|du|des|le|la|van|von|der|den|di|el)\b"
_NAME = re.compile(
    rf"(?<![\w.]){_TITLE}\.?[ \u00a0](?P<it>(?:[A-Z]\.|{_WORD})(?:[ \u00a0](?:[A-Z]\.|{_WORD}|{_PARTICLE})){{0,4}})"
)


def _is_iban(value: str) -> bool:
    plain = value.replace(" ", "").upper()
    if _IBAN_CHARS.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _is_nir(value: str) -> bool:
    plain = value.replace(" ", "").upper()
    number = int(plain[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(plain[13:])


def _is_card(value: str) -> bool:
    plain = digits(value)
    return bool(_ISSUERS.fullmatch(plain)) and luhn(plain)


def _is_siret(value: str) -> bool:
    plain = digits(value)
    by_sum = plain.startswith(_POST) and sum(map(int, plain)) % 5 == 0
    return by_sum or (luhn(plain) and luhn(plain[:9]) and any(plain[:9].strip("0")))


def _is_siren(value: str) -> bool:
    return luhn(value) and any(digits(value).strip("0"))


def _is_phone(value: str) -> bool:
    number = re.split(r"x|ext|poste", value)[0]
    return 7 <= len(digits(number)) <= 15


def _is_international(value: str) -> bool:
    return _is_phone(value) and len(digits(re.split(r"x|ext", value)[0])) >= 9


def _is_address(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast or value.endswith(".255"))


PERSONAL = (
    Pattern("IBAN", _IBAN, _is_iban, near="numbers"),
    Pattern("e-mail address", _EMAIL, anchors=("@",), before=70),
    Pattern("NIR", _NIR, _is_nir, near="numbers"),
    Pattern("SIRET", _SIRET_NAMED, _is_siret, near="numbers"),
    Pattern("SIRET", _SIRET_GROUPS, _is_siret, near="numbers"),
    Pattern("SIREN", _SIREN_NAMED, _is_siren, near="numbers"),
    Pattern("payment card", _CARD, _is_card, near="numbers"),
    Pattern("IP address", _IPV4, _is_address, near="numbers"),
    Pattern("IP address", _IPV6, _is_address, anchors=_TWO_PARTS, after=48),
    Pattern("telephone number", _FRENCH_PHONE, near="numbers"),
    Pattern("telephone number", _E164, _is_international, near="numbers"),
    Pattern("telephone number", _AMERICAN_PHONE, near="numbers"),
    Pattern("telephone number", _NAMED_PHONE, _is_phone, near="numbers"),
    Pattern("name after a title", _NAME, anchors=_TITLE_BEGINS, before=8, after=180),
)
